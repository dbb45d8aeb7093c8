"""`mbrepro embed`: what is wrong is said in a sentence before anything is trained; --estimate counts what there is."""

from dataclasses import replace

import numpy as np
import pytest

from mbrepro import cli, paths
from mbrepro.data.recordings import Dataset
from mbrepro.demo.simulated import DemoSettings, demo_dataset
from mbrepro.embedding import checkpoint, embedder_class
from mbrepro.embedding.embedder import CONTROLS, EmbedderSettings
from mbrepro.method.proposals import propose
from mbrepro.study import embed, estimate
from tests.fixtures.tiny_checkpoint import write_checkpoint
from tests.fixtures.tiny_encoders import write_encoder


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
        model, sentence = "nobody/no-such-model@" + 40 * "0", "the model hub gives no such model"
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


def proposed(recordings, protocol) -> int:
    return sum(len(propose(r.action.astype(np.float32), protocol.rule)) for r in recordings)


def cost(settings, clips):
    return embedder_class(settings.model).cost(settings, clips, (570, 1024))


def test_estimate_counts_both_tasks_and_multiplies(unfilmed, capsys):
    """Clips by hand from the labels' own proposals: of labelled bouts once, of localized ones for each of two seeds."""
    sets = embed.filmed_sets("demo", "corrected", ["task1", "task3"], 0.1)
    (data, protocol), *rest = sets
    one = 3 * proposed(data.train, protocol) + 2 * proposed(data.test, protocol)
    three = sum(2 * proposed(task.recordings, few_shot) for task, few_shot in rest)
    assert one > 0 and three > 0 and len(rest) == 7
    costs = estimate.estimate("demo", 2, tasks=["task1", "task3"], scale=0.1, names=["corrected"]).loc["corrected"]
    tokens, each = cost(protocol.embedder, protocol.clips)
    assert costs["tokens"] == tokens == 8 * 4 * 4
    assert costs["clips"] == one + three and costs["TFLOP"] == pytest.approx((one + three) * each)
    assert cli.main(["embed", "--estimate", "--tasks", "task1", "--scale", "0.1", "--seeds", "2"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("clips", "tokens", "TFLOP", "hours", "corrected", f" {one} "))
    assert not list(paths.artifacts("demo").rglob("*.safetensors"))  # nothing was trained or embedded


def test_estimate_counts_the_steps_between_the_protocols(unfilmed):
    """Five of page 08's steps show clips that neither protocol does."""
    (data, published), *_ = embed.filmed_sets("demo", "published", ["task1"], 0.1)
    (_, corrected), *_ = embed.filmed_sets("demo", "corrected", ["task1"], 0.1)
    poster = proposed(data.train, published) + proposed(data.test, published)
    short = proposed(data.train, corrected) + proposed(data.test, corrected)
    found = estimate.estimate("demo", 2, scale=0.1).loc[estimate.STEPS]
    # epochs, true time, frames a second, crop: the poster's proposals; then short ones, localized
    assert found["clips"] == 2 * (4 * poster + short)


def test_encoders_and_controls_are_estimated_too(tmp_path):
    clips = embed.protocols.corrected(EmbedderSettings()).clips
    passed = {"vjepa2": 4 * 4, "videomae": 8 * 4, "siglip": 16 * 4, "dinov2": 16 * (1 + 4), "dinov3_vit": 16 * (5 + 4)}
    for kind, tokens in passed.items():
        folder = write_encoder(tmp_path / kind, kind)
        found, tflop = cost(EmbedderSettings(str(folder)), clips)
        assert found == tokens and tflop > 0
    for control in CONTROLS:
        assert cost(EmbedderSettings(control), clips) == (0, 0.0)
