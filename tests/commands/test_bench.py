import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from mbrepro import cli, paths
from mbrepro.commands import bench, bench_stage1, timing
from mbrepro.data import clips
from mbrepro.data.calms21.read import read_calms21
from mbrepro.data.clips import clip_frames, cut_clips
from mbrepro.data.video import iter_frames
from mbrepro.method.localizer import LocalizerSettings, PoseCNN, pose_features
from tests.fixtures.windows import frame_windows


def test_measure_merges_its_figures_and_keeps_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "BENCHMARKS", {"one": lambda: {"ratio": 2.0}, "two": lambda: {"ratio": 3.0}})
    path = tmp_path / "results" / "bench.json"
    bench.measure(["one"], path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"older": {"ratio": 1.0}, "two": {"ratio": 9.0}}))
    machine = {"machine": timing.cpu_model()}
    assert machine["machine"] and bench.measure(["two"], path) == {"two": {"ratio": 3.0} | machine}
    assert json.loads(path.read_text()) == {
        "older": {"ratio": 1.0}, "one": {"ratio": 2.0} | machine, "two": {"ratio": 3.0} | machine,
    }  # fmt: skip


def test_damaged_file_and_unknown_name_are_refused_before_measuring(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "BENCHMARKS", {"one": lambda: pytest.fail("measured in vain")})
    path = tmp_path / "bench.json"
    for damaged in ("{", "[1]"):
        path.write_text(damaged)
        assert cli.main(["bench", "--out", str(path)]) == 2
        assert "bench.json: this is not" in capsys.readouterr().err
        assert path.read_text() == damaged
    assert cli.main(["bench", "other", "--out", str(tmp_path / "new.json")]) == 2
    assert "no benchmark 'other'" in capsys.readouterr().err


def test_the_recorded_figures_are_of_these_benchmarks():
    kept = json.loads((paths.SOURCE / "results" / "bench.json").read_text())
    assert set(kept) == set(bench.BENCHMARKS)


def test_the_time_to_an_f1_ends_with_the_first_pass_that_has_it(monkeypatch):
    curves = {
        bench_stage1.windowed_epoch: [(10.0, 0.5), (20.0, 0.82), (30.0, 0.7), (40.0, 0.8)],
        bench_stage1.train_epoch: [(1.0, 0.6), (2.0, 0.81)],
    }
    monkeypatch.setattr(bench_stage1, "curve", lambda epoch, *_: curves[epoch])
    figures = bench_stage1.localizer_to_f1(recordings=2, held_out=1, frames=30)
    assert (figures["ours_s"], figures["theirs_s"], figures["ratio"], figures["f1"]) == (2.0, 20.0, 10.0, 0.8)
    assert (figures["ours_passes"], figures["theirs_passes"], figures["frames"]) == (2, 2, 30)
    curves[bench_stage1.train_epoch][1] = (2.0, 0.79)
    assert bench_stage1.localizer_to_f1(recordings=2, held_out=1, frames=30)["ratio"] is None


def test_a_curve_counts_training_alone_and_stops_where_it_is_told(monkeypatch):
    made = [bench_stage1.simulated(k, 400) for k in (1, 2)]
    monkeypatch.setattr(bench_stage1, "timed", lambda work: (work(), 2.0)[1])
    every = bench_stage1.curve(bench_stage1.train_epoch, made[:1], made[1:], 1e-3, 3)
    assert [seconds for seconds, _ in every] == [2.0, 4.0, 6.0] and all(0 <= f1 <= 1 for _, f1 in every)
    assert len(bench_stage1.curve(bench_stage1.train_epoch, made[:1], made[1:], 1e-3, 3, every[0][1])) == 1


def test_stage_1s_rates_are_of_what_was_timed():
    peak = bench_stage1.localizer_peak(seconds=20.0)
    assert peak["frames"] == 600 and 0 < peak["share_of_peak"] < 1.5
    assert peak["share_of_peak"] == pytest.approx(peak["gflop_per_s"] / peak["peak_gflop_per_s"])
    assert bench_stage1.features(frames=300)["frames_per_s"] > 0
    assert bench_stage1.boosting(sequences=2, frames=1200)["frames"] == 1200


def test_windowed_epoch_shows_every_frames_window_once_with_its_label(monkeypatch):
    settings = LocalizerSettings(context_before=6, context_after=6, channels=(4,), kernel=2, dropout=0.0)
    recordings = [bench_stage1.simulated(1, 150), bench_stage1.simulated(2, 37)]
    targets = [recording.labels % 2 for recording in recordings]
    model = PoseCNN(settings)
    seen = []

    def spy(windows):
        seen.append(windows.numpy())
        return PoseCNN.forward_windows(model, windows)

    monkeypatch.setattr(model, "forward_windows", spy)
    labels = []
    cross_entropy = bench_stage1.F.cross_entropy
    monkeypatch.setattr(
        bench_stage1.F, "cross_entropy", lambda x, y: (labels.append(y.numpy()), cross_entropy(x, y))[1]
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    bench_stage1.windowed_epoch(model, optimizer, recordings, targets, np.random.default_rng(0))
    assert [len(batch) for batch in seen] == [128, 59]
    expected = np.concatenate([frame_windows(pose_features(r), np.arange(len(r)), settings) for r in recordings])
    pairs = {
        window.tobytes(): int(label) for window, label in zip(np.concatenate(seen), np.concatenate(labels), strict=True)
    }
    assert len(pairs) == 187
    assert pairs == {
        np.ascontiguousarray(w).tobytes(): y for w, y in zip(expected, np.concatenate(targets), strict=True)
    }


def test_json_reads_compare_medians_of_sides_that_take_turns(monkeypatch):
    asked = []
    seconds = {"theirs": iter([20.0, 30.0, 90.0]), "first": iter([4.0, 5.0, 9.0]), "second": iter([0.5, 0.1, 0.25])}
    peaks = {"theirs": 1600.0, "first": 400.0, "second": 100.0}

    def run(side, path, stored):
        asked.append((side, path.is_file(), stored.name))
        return {"s": next(seconds[side]), "idle_mb": 30.0, "peak_mb": peaks[side]}

    monkeypatch.setattr(bench, "read_alone", run)
    found = bench.json_reads(3, sequences=2, frames=700)
    assert asked == [(side, True, f"data{k}") for k in range(3) for side in ("theirs", "first", "second")]
    assert (found["first"]["ratio"], found["first"]["memory_ratio"]) == (6.0, 4.0)
    assert (found["second"]["ratio"], found["second"]["memory_ratio"]) == (120.0, 16.0)
    assert (found["second"]["ours_s"], found["second"]["theirs_s"], found["second"]["theirs_idle_mb"]) == (0.25, 30, 30)


def test_json_reads_run_each_side_in_its_own_process(tmp_path):
    found = bench.json_reads(1, sequences=3, frames=1400)
    for side in ("first", "second"):
        assert (found[side]["sequences"], found[side]["frames"]) == (3, 1400)
        assert 0 < found[side]["ours_idle_mb"] <= found[side]["ours_peak_mb"]
        assert 0 < found[side]["theirs_idle_mb"] < found[side]["ours_idle_mb"]  # theirs needs fewer libraries
    assert found["second"]["ours_s"] < found["first"]["ours_s"]


def test_written_file_has_the_sequences_and_frames_it_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    path = bench.released_file(tmp_path, 4, 2000)
    lengths = [len(recording) for recording in read_calms21(path)]
    assert len(lengths) == 4 and sum(lengths) == 2000
    assert lengths[3] / lengths[0] == pytest.approx(9, rel=0.02)


def test_peak_is_of_this_program_alone_whatever_its_parent_held():
    held = np.ones(40_000_000)  # 320 MB
    code = f"from pathlib import Path\n{inspect.getsource(bench.peak_mb)}\nprint(peak_mb())"
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert held.sum() == 40_000_000 and 5 < float(said.stdout) < 150


def test_bare_decoding_gives_exactly_the_wanted_frames(tmp_path, monkeypatch):
    recording = bench.filmed(tmp_path / "a.mp4", 12.0, (128, 72))
    starts = [5, 20, 200]
    wanted = np.unique(np.concatenate([clip_frames(start, recording, bench.SHOWN) for start in starts]))
    assert bench.decode_groups(recording.video, wanted) == len(wanted)
    asked = []

    def asking(path, frames, threads):
        asked.append(frames)
        return iter_frames(path, frames, threads)

    monkeypatch.setattr(clips, "iter_frames", asking)
    cut_clips(recording, starts, bench.SHOWN)
    assert sorted(asked[0]) == wanted.tolist()


def test_loop_is_compared_with_the_model_on_the_same_inputs(monkeypatch):
    figures = bench.embed_loop(clips=3, repetitions=1)
    assert figures["clips"] == 3 and figures["ours_s"] > 0 and figures["theirs_s"] > 0
    assert figures["over_bare"] == pytest.approx(figures["ours_s"] / figures["theirs_s"])


def test_rendering_counts_frames():
    figures = bench.render_speed(frames=300, repetitions=1, films=1, film_s=10)
    assert figures["frames"] == 300 and min(figures["frames_per_s"], figures["written_frames_per_s"]) > 0
