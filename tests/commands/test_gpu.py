"""`mbrepro gpu` on the CPU with tiny shapes: every part runs there to its end; the figures are a GPU's to give."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mbrepro import cli
from mbrepro.commands import gpu, throughput
from mbrepro.data.video import decode_frames, probe, write_video
from mbrepro.errors import InputError

SMALL = (("num_hidden_layers", 2), ("vocab_size", 2048), ("intermediate_size", 64))


@pytest.fixture
def trial(tmp_path):
    made = gpu.Trial(
        tmp_path, "cpu", "float32", SMALL, film_s=12.0, drawn=60, size=(128, 72), pixels=56, clips=2, batches=(1, 2),
        batch=1, workers=(2,), side=256, recordings=(2, 1),
    )  # fmt: skip
    yield made
    throughput.released.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_parts_that_need_one_say_so(tmp_path, capsys):
    out = tmp_path / "gpu.json"
    assert cli.main(["gpu", "--out", str(out), "devices", "precision"]) == 0
    told = json.loads(out.read_text())
    assert told["machine"]["torch"] == torch.__version__ and "gpu" not in told["machine"]
    assert [part["skipped"] for part in told["parts"].values()] == [gpu.GPU_ONLY] * 2
    assert gpu.GPU_ONLY in capsys.readouterr().out
    assert cli.main(["gpu", "--out", str(out), "other"]) == 2


@pytest.mark.parametrize("name", ["Qwen2.5-VL-3B", "Qwen2-VL-2B"])
def test_a_released_shape_runs_through_its_parts(trial, name):
    """The shares are of the product measured in the same run, and what was stored is every clip of the film."""
    names = [name, f"{name}-cutting"]
    parts = gpu.measure(trial, trial.folder / "gpu.json", names)["parts"]
    assert not [part["failed"] for part in parts.values() if "failed" in part]
    plain, cut = (parts[part] for part in names)
    assert set(plain["batches"]) == {1, 2} and plain["tokens_per_clip"] == 8 * 4
    reached = plain["library"]["clips_per_s"] * plain["tflop_per_clip"]
    assert plain["library"]["share_of_matmul"] == pytest.approx(reached / plain["matmul_tflops"])
    assert cut["clips"] == 6 and cut["stored_from_2"]["clips_per_s"] > 0
    assert json.loads((trial.folder / "gpu.json").read_text())["parts"].keys() == set(names)


def test_the_other_parts_run(trial):
    parts = gpu.measure(trial, trial.folder / "gpu.json", ["devices", "precision", "asking", "fine_tuning"])["parts"]
    assert not [part["failed"] for part in parts.values() if "failed" in part]
    assert parts["devices"]["packing_largest"] == 0.0
    assert max(parts["devices"]["as_it_is"].values()) < 1e-4
    same = [part["largest"] for part in parts["precision"]["stand_in_cosine"].values()]
    assert max(same) < 1e-6 and parts["precision"]["head_video_100"]["named_otherwise"] == 0
    assert max(parts["asking"][shots]["largest"] for shots in ("shots_0", "shots_3")) < 1e-3
    assert len(parts["fine_tuning"]["losses"]) == 6 and parts["fine_tuning"]["losses"][-1] > 0


def test_a_part_that_fails_is_told_and_the_others_go_on(trial, monkeypatch):
    def broken(_):
        raise InputError("this one cannot")

    monkeypatch.setattr(gpu, "PARTS", {"one": (broken, True), "two": (lambda _: {"figure": 1.0}, False)})
    parts = gpu.measure(trial, trial.folder / "gpu.json", ["one", "two"])["parts"]
    assert "this one cannot" in parts["one"]["failed"] and parts["two"]["figure"] == 1.0


def test_shape_is_the_released_models(trial):
    """Width, side and tokens are Qwen2.5-VL-3B's, whatever the number of layers."""
    embedder = throughput.random_embedder(replace(trial, pixels=224), "Qwen2.5-VL-3B")
    assert embedder.width == 2048
    noise = [np.zeros((16, 224, 224, 3), np.uint8)]
    assert int(embedder.prepare(noise, throughput.FPS)["video_grid_thw"].prod()) // 4 == 8 * 64


def test_repeated_video_shows_the_same_frames_again(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (7, 32, 48, 3), dtype=np.uint8)
    write_video(tmp_path / "few.mp4", frames, 30.0, 48, 32, gop=7)
    throughput.repeat_video(tmp_path / "few.mp4", tmp_path / "film.mp4", 3)
    info = probe(tmp_path / "film.mp4")
    assert info.frames == 21 and info.fps == pytest.approx(30.0)
    once = decode_frames(tmp_path / "few.mp4", range(7))
    assert np.array_equal(decode_frames(tmp_path / "film.mp4", range(21)), np.tile(once, (3, 1, 1, 1)))


def test_the_recorded_figures_are_of_these_parts_and_of_a_run_in_which_none_failed():
    recorded = json.loads((gpu.paths.SOURCE / "results" / "gpu.json").read_text())
    assert recorded["parts"].keys() <= gpu.PARTS.keys() and recorded["machine"]["gpu"]
    assert not [part for part in recorded["parts"].values() if "failed" in part or part.get("skipped")]
    assert {recorded["parts"]["processors"][kind] for kind in ("failures", "errors", "skipped")} == {0}
