"""Both stages on a recording of one's own: simulated ones here, and real ones where they are at hand."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mbrepro import cli
from mbrepro.data.annotations import read_behaviour
from mbrepro.data.recordings import KEYPOINTS, TASK1_CLASSES
from mbrepro.data.video import probe
from mbrepro.study import predict, profiles

pytestmark = pytest.mark.study
SCALE = 0.15


@pytest.fixture(scope="module")
def small_study(tmp_path_factory):
    """Models of a study with few recordings and two epochs; the command itself is not changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBREPRO_ROOT", str(tmp_path_factory.mktemp("study")))
        patch.setattr(predict, "load_dataset", lambda task, profile: profiles.load_dataset(task, profile, SCALE))
        patch.setattr(predict, "training_epochs", lambda *_: 3)
        yield profiles.load_dataset("task1", "demo", SCALE)


def write_deeplabcut(path, recording, names=KEYPOINTS, individuals=("m1", "m2"), frames=None):
    """A multi-animal DeepLabCut csv of a recording's poses, likelihood 1."""
    keypoints = recording.keypoints[:frames]
    columns = [(i, n, c) for i in individuals for n in names for c in ("x", "y", "likelihood")]
    lines = [["scorer", *["net"] * len(columns)]]
    lines += [[level, *[c[k] for c in columns]] for k, level in enumerate(("individuals", "bodyparts", "coords"))]
    values = np.concatenate([keypoints, np.ones_like(keypoints[..., :1])], -1).reshape(len(keypoints), -1)
    lines += [[str(t), *map("{:.3f}".format, row)] for t, row in enumerate(values)]
    path.write_text("\n".join(",".join(line) for line in lines))
    return path


def run(*arguments) -> int:
    return cli.main(["predict", *map(str, arguments)])


def read(out, name):
    segments = pd.read_csv(out / f"{name}.pred.csv")
    frames = pd.read_csv(out / f"{name}.frames.csv")
    return segments, frames, json.loads((out / f"{name}.pred.json").read_text())


def check_agreement(segments, frames, classes, fps):
    """Segments tile the recording, and say of each frame what the frame table says."""
    assert list(segments.columns) == ["label", "start_s", "stop_s", "start_frame", "stop_frame", "score"]
    assert segments["start_frame"].tolist() == [0, *segments["stop_frame"][:-1]]
    assert segments["stop_frame"].iloc[-1] == len(frames)
    np.testing.assert_allclose(segments["start_s"], segments["start_frame"] / fps, atol=1e-3)
    told = np.repeat(segments["label"].to_numpy(), segments["stop_frame"] - segments["start_frame"])
    assert (told == frames["label"]).all()
    assert set(told) <= set(classes)
    scores = frames[[f"score_{name}" for name in classes]].to_numpy()
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-4)
    assert frames["p_action"].between(0, 1).all()


def test_predictions_match_the_video_and_running_again_gives_the_same_bytes(small_study, tmp_path):
    recording = small_study.test[0]
    poses = write_deeplabcut(tmp_path / "tracked.csv", recording, frames=-1)
    arguments = (recording.video, "--poses", poses, "--out", tmp_path / "out", "--frame-size", 1024, 570)
    assert run(*arguments) == 0
    name = recording.video.stem
    segments, frames, notes = read(tmp_path / "out", name)
    assert len(frames) == probe(recording.video).frames == len(recording)
    check_agreement(segments, frames, TASK1_CLASSES, 30)
    assert notes["poses_held_at_the_end"] == 1
    assert notes["models_trained_on"] == "simulated recordings"
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert run(*arguments) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_stage_1_alone_needs_no_video_and_finds_action(small_study, tmp_path):
    recording = small_study.train[0]
    poses = write_deeplabcut(tmp_path / "tracked.csv", recording)
    out = tmp_path / "out"
    assert run("--stage1-only", "--poses", poses, "--out", out, "--fps", 30, "--frame-size", 1024, 570) == 0
    segments, frames, notes = read(out, "tracked")
    check_agreement(segments, frames, ("action", "other"), 30)
    assert notes["stages"] == 1
    assert roc_auc_score(recording.action, frames["p_action"]) > 0.8


def test_missing_points_are_listed_and_nothing_is_written(small_study, tmp_path, capsys):
    recording = small_study.test[0]
    names = [*KEYPOINTS[:4], "left_paw", "right_paw", "tail"]
    poses = write_deeplabcut(tmp_path / "tracked.csv", recording, names)
    assert run(recording.video, "--poses", poses, "--out", tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert all(name in message for name in ("left_hip", "right_hip", "tail_base", "left_paw"))
    assert not (tmp_path / "out").exists()


def test_real_video_with_three_tracked_mice(small_study, real_data, tmp_path):
    folder = real_data / "mabe22_video"
    name = "EGS8X2MN4SSUGFWAV976"
    parts = ["left_hip=left hindpaw", "right_hip=right hindpaw"]
    assert run(
        folder / f"{name}.mp4", "--poses", folder / f"{name}.h5", "--out", tmp_path,
        "--individuals", "mouse1", "mouse3", "--parts", *parts,
    ) == 0  # fmt: skip
    segments, frames, notes = read(tmp_path, name)
    assert len(frames) == 1801
    assert (notes["poses_in_file"], notes["poses_held_at_the_end"]) == (1800, 1)
    check_agreement(segments, frames, TASK1_CLASSES, 30)


def test_real_poses_without_video(small_study, real_data, tmp_path):
    folder = real_data / "ethome_dyad"
    assert run(
        "--stage1-only", "--poses", folder / "poses_dlc.csv", "--out", tmp_path, "--parts", "tail_base=tail",
        "--fps", 30, "--frame-size", 1280, 1024, "--compare", folder / "labels_boris.csv", "interact",
    ) == 0  # fmt: skip
    _, frames, notes = read(tmp_path, "poses_dlc")
    interact = read_behaviour(folder / "labels_boris.csv", "interact", 30, 5700)
    assert len(frames) == 5700
    assert notes["compared_with"]["share_of_frames"] == pytest.approx(663 / 5700)
    assert notes["compared_with"]["auroc"] == pytest.approx(roc_auc_score(interact, frames["p_action"]), abs=1e-3)
    assert notes["compared_with"]["auroc"] > 0.5
