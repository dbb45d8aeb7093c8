import json

import numpy as np
import pytest
import torch

from mbrepro import bench
from mbrepro.localizer import LocalizerSettings, PoseCNN, frame_windows, pose_features


def test_measure_merges_its_figures_and_keeps_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "BENCHMARKS", {"one": lambda: {"ratio": 2.0}, "two": lambda: {"ratio": 3.0}})
    path = tmp_path / "results" / "bench.json"
    bench.measure(["one"], path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"older": {"ratio": 1.0}, "two": {"ratio": 9.0}}))
    assert bench.measure(["two"], path) == {"two": {"ratio": 3.0}}
    assert json.loads(path.read_text()) == {"older": {"ratio": 1.0}, "one": {"ratio": 2.0}, "two": {"ratio": 3.0}}


def test_damaged_file_and_unknown_name_are_refused_before_measuring(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "BENCHMARKS", {"one": lambda: pytest.fail("measured in vain")})
    path = tmp_path / "bench.json"
    for damaged in ("{", "[1]"):
        path.write_text(damaged)
        assert bench.main(["--out", str(path)]) == 2
        assert "bench.json: this is not" in capsys.readouterr().err
        assert path.read_text() == damaged
    assert bench.main(["other", "--out", str(tmp_path / "new.json")]) == 2
    assert "no benchmark 'other'" in capsys.readouterr().err


def test_localizer_epoch_reports_the_ratio_of_its_two_times(monkeypatch):
    seconds = iter([1.0, 20.0, 3.0, 50.0, 2.0, 30.0])  # ours and theirs in turn
    monkeypatch.setattr(bench, "_epoch_seconds", lambda *_: next(seconds))
    figures = bench.localizer_epoch(recordings=2, frames=30)
    assert (figures["ours_s"], figures["theirs_s"], figures["ratio"]) == (2.0, 30.0, 15.0)
    assert figures["frames"] == 60
    assert figures["torch_threads"] == torch.get_num_threads()
    assert figures["machine"]


def test_windowed_epoch_shows_every_frames_window_once_with_its_label(monkeypatch):
    settings = LocalizerSettings(context_before=6, context_after=6, channels=(4,), kernel=2, dropout=0.0)
    recordings = [bench.random_recording("a", 150, 0), bench.random_recording("b", 37, 1)]
    targets = [recording.labels % 2 for recording in recordings]
    model = PoseCNN(settings)
    seen = []

    def spy(windows):
        seen.append(windows.numpy())
        return PoseCNN.forward_windows(model, windows)

    monkeypatch.setattr(model, "forward_windows", spy)
    labels = []
    cross_entropy = bench.F.cross_entropy
    monkeypatch.setattr(bench.F, "cross_entropy", lambda x, y: (labels.append(y.numpy()), cross_entropy(x, y))[1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    bench.windowed_epoch(model, optimizer, recordings, targets, np.random.default_rng(0))
    assert [len(batch) for batch in seen] == [128, 59]
    expected = np.concatenate([frame_windows(pose_features(r), np.arange(len(r)), settings) for r in recordings])
    pairs = {
        window.tobytes(): int(label) for window, label in zip(np.concatenate(seen), np.concatenate(labels), strict=True)
    }
    assert len(pairs) == 187
    assert pairs == {
        np.ascontiguousarray(w).tobytes(): y for w, y in zip(expected, np.concatenate(targets), strict=True)
    }
