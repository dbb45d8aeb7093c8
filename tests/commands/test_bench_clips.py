import numpy as np
import pytest

from mbrepro.commands import bench, bench_clips
from mbrepro.data import clips
from mbrepro.data.clips import clip_frames, cut_clips
from mbrepro.data.video import iter_frames


def test_stage_2_is_among_the_benchmarks():
    assert {"embed_loop", "decode", "render"} <= set(bench.BENCHMARKS)


def test_bare_decoding_gives_exactly_the_wanted_frames(tmp_path, monkeypatch):
    recording = bench_clips.filmed(tmp_path / "a.mp4", 12.0, (128, 72))
    starts = [5, 20, 200]
    wanted = np.unique(np.concatenate([clip_frames(start, recording, bench_clips.SHOWN) for start in starts]))
    assert bench_clips.decode_groups(recording.video, wanted) == len(wanted)
    asked = []
    monkeypatch.setattr(clips, "iter_frames", lambda path, frames: asked.append(frames) or iter_frames(path, frames))
    cut_clips(recording, starts, bench_clips.SHOWN)
    assert sorted(asked[0]) == wanted.tolist()


def test_loop_is_compared_with_the_model_on_the_same_inputs(monkeypatch):
    figures = bench_clips.embed_loop(clips=3, repetitions=1)
    assert figures["clips"] == 3 and figures["ours_s"] > 0 and figures["theirs_s"] > 0
    assert figures["over_bare"] == pytest.approx(figures["ours_s"] / figures["theirs_s"])


def test_large_shape_is_the_released_models(tmp_path):
    """Two of its layers, on the CPU: widths, heads and tokens are Qwen2.5-VL-3B's."""
    embedder = bench_clips.random_embedder(
        tmp_path, 1, "cpu", "float32", num_hidden_layers=2, vocab_size=512, intermediate_size=64
    )
    assert embedder.width == 2048
    noise = bench_clips.random_clips(1, bench_clips.LARGE)
    assert noise[0].shape == (16, 224, 224, 3)
    assert int(embedder.prepare(noise, 8.0)["video_grid_thw"].prod()) // 4 == 8 * 64


def test_rendering_counts_frames():
    figures = bench_clips.render_speed(frames=300, repetitions=1, films=1, film_s=10)
    assert figures["frames"] == 300 and min(figures["frames_per_s"], figures["written_frames_per_s"]) > 0
