"""`mbrepro embed`: what is wrong is said in a sentence before anything is trained; --estimate counts what there is."""

from dataclasses import replace

import numpy as np
import pytest

from mbrepro import cli, embed, estimate, paths
from mbrepro.embedding import POSES, checkpoint, cost
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.proposals import propose
from mbrepro.recordings import Dataset
from mbrepro.sources.simulated import DemoSettings, demo_dataset
from tests.tiny_checkpoint import write_checkpoint
from tests.tiny_encoders import write_encoder


@pytest.fixture
def unfilmed(tmp_path, monkeypatch):
    """The demo's recordings with the names of videos that nobody has drawn: an estimate never looks into one."""

    def load(task: str, _: str, scale: float = 1.0) -> Dataset:
        data = demo_dataset(task, DemoSettings().scaled(scale), tmp_path, videos=False)
        parts = [tuple(replace(r, video=tmp_path / "none.mp4") for r in part) for part in (data.train, data.test)]
        return replace(data, train=parts[0], test=parts[1])

    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    monkeypatch.setattr(embed, "load_dataset", load)


def embed_with(model, *more: str) -> int:
    return cli.main(["embed", "--profile", "calms21", "--model", str(model), *more])


@pytest.mark.parametrize("more", [[], ["--estimate"], ["--engine", "ray"]])
@pytest.mark.parametrize("wrong", ["unknown", "unsupported", "no weights"])
def test_wrong_model_is_one_sentence_before_data_are_read(tmp_path, capsys, monkeypatch, wrong, more):
    monkeypatch.setenv("MBREPRO_MODEL", "")
    monkeypatch.setattr(embed, "plan", lambda *_: pytest.fail("planned in vain"))
    if wrong == "unknown":
        model, sentence = "nobody/no-such-model", "the model hub gives no such model"
    elif wrong == "unsupported":
        model, sentence = tmp_path, "model_type 'llava' is not supported; use one of qwen2_vl"
        (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    else:
        model, sentence = write_checkpoint(tmp_path / "model"), "model.safetensors is missing"
        (model / "model.safetensors").unlink()
    assert embed_with(model, *more) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and sentence in told.err


def test_too_little_memory_is_one_sentence_before_data_are_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MBREPRO_MODEL", "")
    monkeypatch.setattr(checkpoint, "available_memory", lambda: 1000)
    monkeypatch.setattr(embed, "plan", lambda *_: pytest.fail("planned in vain"))
    assert embed_with(write_checkpoint(tmp_path / "model")) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "GB of memory are free; use a smaller model or a larger machine" in told


def test_estimate_counts_both_tasks_and_multiplies(unfilmed, capsys):
    """Clips by hand from the labels' own proposals; corrected, those its head is trained on are there once."""
    costs = {
        tasks: estimate.estimate("demo", 2, tasks=tasks, scale=0.1, names=["published"]).loc["published"]
        for tasks in (("task1",), ("task3",), ("task1", "task3"))
    }
    one, three, both = costs.values()
    (data, protocol), *rest = embed.filmed_sets("demo", "published", ["task1", "task3"], 0.1)
    count = {
        name: sum(len(propose(r.action.astype(np.float32), protocol.rule)) for r in part)
        for name, part in (("train", data.train), ("test", data.test))
    }
    assert one["clips"] == 2 * (count["train"] + count["test"]) and three["clips"] > 0 and len(rest) == 1
    ((again, other),) = embed.filmed_sets("demo", "corrected", ["task1"], 0.1)
    counts = [
        sum(len(propose(r.action.astype(np.float32), other.rule)) for r in part) for part in (again.train, again.test)
    ]
    corrected = estimate.estimate("demo", 2, scale=0.1, names=["corrected"]).loc["corrected"]
    assert corrected["clips"] == counts[0] + 2 * counts[1] and corrected["tokens"] == 8 * 4 * 4
    assert both["clips"] == one["clips"] + three["clips"]
    assert both["TFLOP"] == pytest.approx(one["TFLOP"] + three["TFLOP"])
    tokens, each = cost.clip_cost(protocol.embedder, protocol.clips, (570, 1024))
    assert one["tokens"] == tokens and one["TFLOP"] == pytest.approx(one["clips"] * each)
    assert cli.main(["embed", "--estimate", "--protocol", "published", "--scale", "0.1", "--seeds", "2"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("clips", "tokens", "TFLOP", "hours", "published", str(both["clips"])))
    assert not list((paths.artifacts("demo")).glob("*.safetensors"))


def test_encoders_and_poses_are_estimated_too(tmp_path):
    clips = embed.protocols.corrected(EmbedderSettings()).clips
    for kind, tokens in (("vjepa2", 4 * 4), ("videomae", 8 * 4), ("siglip", 16 * 4), ("dinov3_vit", 16 * (5 + 4))):
        folder = write_encoder(tmp_path / kind, kind)
        found, tflop = cost.clip_cost(EmbedderSettings(str(folder)), clips, (570, 1024))
        assert found == tokens and tflop > 0
    assert cost.clip_cost(EmbedderSettings(POSES), clips, (570, 1024)) == (0, 0.0)
