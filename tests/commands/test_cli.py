"""The command line: one clear sentence and status 2 for what is wrong."""

import errno

import numpy as np
import pytest

from mbrepro import cli
from mbrepro.commands import runner
from mbrepro.data.calms21.read import load_calms21
from mbrepro.demo.simulated import DemoSettings, demo_dataset


def run(capsys, *arguments):
    status = cli.main(list(arguments))
    return status, capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], "name one notebook, or give --all"),
        (["run", "03_clip", "--all"], "name one notebook, or give --all"),
        (["run", "03_clips"], "there is no notebook '03_clips'"),
        (["run", "03_clip", "-p", "clip_second", "2"], "03_clip has no parameter 'clip_second'; it has profile"),
        (
            ["run", "03_clip", "-p", "clip_seconds", "two"],
            "clip_seconds takes a value of type float like 2.0, not 'two'",
        ),
        (["run", "03_clip", "--profile", "real"], "there is no profile 'real'; there are demo and calms21"),
        (["book", "--profile", "real"], "there is no profile 'real'"),
        (["verify"], "there are no results in"),
        (["predict", "--poses", "a.csv", "--out", "o"], "stage 2 looks at the video"),
        (
            ["predict", "--stage1-only", "--poses", "a.csv", "--out", "o"],
            "without a video, give --fps and --frame-size",
        ),
        (["predict", "no.mp4", "--poses", "a.csv", "--out", "o"], "no.mp4: no such video file"),
        (["predict", "no.mp4", "--poses", "a.csv", "--out", "o", "--parts", "nose"], "--parts takes PART=NAME"),
    ],
)
def test_bad_input_gets_one_sentence_and_status_2(capsys, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    status, printed = run(capsys, *arguments)
    assert status == 2
    assert printed.out == ""
    assert printed.err.startswith("mbrepro: ") and sentence in printed.err
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_parameters_are_listed_with_their_help(capsys):
    status, printed = run(capsys, "run", "03_clip", "--parameters")
    assert status == 0
    assert "clip_seconds = 2.0  corrected protocol: length of the clip" in printed.out


def test_simulated_recordings_are_written_as_the_release_and_read_back(capsys, tmp_path):
    status, _ = run(capsys, "simulate", str(tmp_path / "release"), "--scale", "0.05", "--no-videos")
    assert status == 0
    for task in ("task1", "task3/groom"):
        settings = DemoSettings().scaled(0.05)
        made = demo_dataset(task, settings, tmp_path / "again", videos=False)
        read = load_calms21(tmp_path / "release", task)
        assert read.source == "simulated" and read.classes == made.classes
        assert [r.name for r in read.train] == [r.name for r in made.train]
        for one, other in zip(read.recordings, made.recordings, strict=True):
            np.testing.assert_array_equal(one.labels, other.labels)
            np.testing.assert_array_equal(one.keypoints, other.keypoints)


def test_a_full_disk_is_said_in_one_sentence(capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "results/x")

    monkeypatch.setattr(runner, "run_one", full)
    status, printed = run(capsys, "run", "03_clip")
    assert status == 2
    assert printed.err == "mbrepro: No space left on device: results/x; what was finished is kept\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0.5", 0.5), ("1e-3", 1e-3), ("true", True), ("mice", "mice"), ("'5'", "5"), ("-1", -1)],
)
def test_values_are_taken_as_typed(text, value):
    taken = cli._value(text)
    assert taken == value and type(taken) is type(value)
