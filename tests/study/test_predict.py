"""Both stages on a recording of one's own: simulated ones here, and real ones where they are at hand."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mbrepro import cli
from mbrepro.artifacts import file_hash
from mbrepro.data.alignment import to_training_scale
from mbrepro.data.annotations import read_behaviour, read_bouts
from mbrepro.data.annotations.bout import NOT_SCORABLE, Bout
from mbrepro.data.own.fitted import read_own
from mbrepro.data.recordings import KEYPOINTS, TASK1_CLASSES, Recording
from mbrepro.data.video import probe, write_video
from mbrepro.method.localizer import action_probability, localize
from mbrepro.method.official import BODY_LENGTH, load_official
from mbrepro.study import predict, profiles
from tests.fixtures.keras_network import write_network

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


def run_demo(*arguments) -> int:
    return run("--model", "demo", *arguments)


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
    assert run_demo(*arguments) == 0
    name = recording.video.stem
    segments, frames, notes = read(tmp_path / "out", name)
    assert len(frames) == probe(recording.video).frames == len(recording)
    check_agreement(segments, frames, TASK1_CLASSES, 30)
    assert notes["poses_held_at_the_end"] == 1
    assert notes["models_trained_on"] == "simulated recordings"
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert run_demo(*arguments) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_stage_1_alone_needs_no_video_and_finds_action(small_study, tmp_path):
    recording = small_study.train[0]
    poses = write_deeplabcut(tmp_path / "tracked.csv", recording)
    out = tmp_path / "out"
    assert run_demo("--stage1-only", "--poses", poses, "--out", out, "--fps", 30, "--frame-size", 1024, 570) == 0
    segments, frames, notes = read(out, "tracked")
    check_agreement(segments, frames, ("action", "other"), 30)
    assert notes["stages"] == 1
    assert roc_auc_score(recording.action, frames["p_action"]) > 0.8


def test_missing_points_are_listed_and_nothing_is_written(small_study, tmp_path, capsys):
    recording = small_study.test[0]
    names = [*KEYPOINTS[:4], "left_paw", "right_paw", "tail"]
    poses = write_deeplabcut(tmp_path / "tracked.csv", recording, names)
    assert run_demo(recording.video, "--poses", poses, "--out", tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert all(name in message for name in ("left_hip", "right_hip", "tail_base", "left_paw"))
    assert not (tmp_path / "out").exists()


def test_real_video_with_three_tracked_mice(small_study, real_data, tmp_path):
    folder = real_data / "mabe22_video"
    name = "EGS8X2MN4SSUGFWAV976"
    parts = ["left_hip=left hindpaw", "right_hip=right hindpaw"]
    assert run_demo(
        folder / f"{name}.mp4", "--poses", folder / f"{name}.h5", "--out", tmp_path,
        "--individuals", "mouse1", "mouse3", "--parts", *parts,
    ) == 0  # fmt: skip
    segments, frames, notes = read(tmp_path, name)
    assert len(frames) == 1801
    assert (notes["poses_in_file"], notes["poses_held_at_the_end"], notes["frames_not_scorable"]) == (1800, 1, 0)
    check_agreement(segments, frames, TASK1_CLASSES, 30)


def test_real_poses_without_video(small_study, real_data, tmp_path):
    folder = real_data / "ethome_dyad"
    assert run_demo(
        "--stage1-only", "--poses", folder / "poses_dlc.csv", "--out", tmp_path, "--parts", "tail_base=tail",
        "--fps", 30, "--frame-size", 1280, 1024, "--compare", folder / "labels_boris.csv", "interact",
    ) == 0  # fmt: skip
    _, frames, notes = read(tmp_path, "poses_dlc")
    interact = read_behaviour(folder / "labels_boris.csv", "interact", 30, 5700)
    assert len(frames) == 5700
    assert notes["compared_with"]["share_of_frames"] == pytest.approx(663 / 5700)
    assert notes["compared_with"]["auroc"] == pytest.approx(roc_auc_score(interact, frames["p_action"]), abs=1e-3)
    assert notes["compared_with"]["auroc"] > 0.5


# --- what people who do this job run into; files as of the folder of cases, the official network as stage 1 -----------

STAGE1 = ("--stage1-only", "--model", "official")


@pytest.fixture
def case(cases, real_data, monkeypatch, tmp_path, capsys):
    """Run a case, by its folder's number, on the official network; give its tables and notes, or the refusal."""
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))

    def run_case(video, *options, poses=None, compare=None):
        video = cases / video
        poses = cases / poses if poses else video.parent / "poses.csv"
        told = ("--compare", cases / compare, "investigation") if compare else ()
        out = tmp_path / poses.parent.name / str(len(options))  # predictions from other poses are not written over
        status = run(video, *STAGE1, "--poses", poses, "--out", out, *options, *told)
        if status == 2:
            assert not out.exists()
            return capsys.readouterr().err
        return read(out, video.stem)

    return run_case


def test_case_03_time_offset_is_taken_off_and_the_comparison_is_the_same(case):
    plain, shifted, epoch = (
        case("base/base600.mp4", poses="base/base600.csv", compare=f"03-boris-time-offset/{name}.csv")[2]
        for name in ("no_offset", "offset_4s", "offset_epoch")
    )
    assert plain["compared_with"] == shifted["compared_with"] == epoch["compared_with"]
    assert plain["compared_with"]["auroc"] == pytest.approx(0.814, abs=2e-3)


def test_case_13_poses_of_a_crop_need_its_offset(case):
    cropped = "13-dlc-cropped-coordinates/poses.csv"
    assert "poses.csv: 8.9% of the points lie outside the picture of 512 x 286 px; give --offset X Y" in case(
        "base/base600.mp4", poses=cropped
    )
    _, whole, _ = case("base/base600.mp4", poses="base/base600.csv")
    _, frames, notes = case("base/base600.mp4", "--offset", 150, 60, poses=cropped)
    pd.testing.assert_frame_equal(frames, whole, atol=1e-4)
    assert notes["points_outside_the_picture"] == 0


def test_case_14_frames_without_one_of_the_mice_are_not_scored(case):
    segments, frames, notes = case("base/base600.mp4", poses="14-intruder-absent/poses.csv")
    assert (frames["label"] == predict.NOT_SCORABLE).tolist() == [True] * 300 + [False] * 300
    assert frames.drop(columns=["frame", "time_s", "label"])[:300].isna().all(axis=None)
    assert frames[300:].notna().all(axis=None) and frames["label"][300:].isin(TASK1_CLASSES).all()
    assert segments.iloc[0].tolist()[:5] == [predict.NOT_SCORABLE, 0, 10, 0, 300] and np.isnan(segments["score"][0])
    assert (notes["frames_not_scorable"], notes["points_filled"]) == (300, 0.25)


def test_case_17_turned_phone_video_has_the_frame_that_was_tracked(case):
    assert case("17-video-rotated/phone.mp4")[2]["points_outside_the_picture"] == 0


def test_case_20_everything_follows_the_videos_own_clock(case):
    segments, frames, notes = case("20-video-vfr/webcam.mp4", compare="20-video-vfr/events.csv")
    assert frames["time_s"][299] == pytest.approx(9.967, abs=5e-4)
    assert segments["stop_s"].iloc[-1] == pytest.approx(30, abs=0.07)
    assert notes["compared_with"]["auroc"] == pytest.approx(0.813, abs=5e-3)


def test_case_21_header_that_promises_too_many_frames_is_told_in_the_notes(case):
    _, frames, notes = case("21-avi-header-count/promises_340.avi")
    assert (len(frames), notes["frames_promised_but_not_in_the_video"]) == (300, 40)
    assert len(case("19-avi-without-pts/x264.avi")[1]) == 300


def test_case_22_rate_of_a_video_is_its_own(case, cases, tmp_path, capsys):
    assert "ffmpeg -r 30 -i raw.h264 raw.mp4" in case("22-picamera-h264/raw.h264")
    video = cases / "22-picamera-h264" / "as_advised.mp4"
    both_stages = ("--poses", video.parent / "poses.csv", "--out", tmp_path / "out", "--fps", 30)
    assert run_demo(video, *both_stages) == 2
    for refusal in (capsys.readouterr().err, case("22-picamera-h264/as_advised.mp4", "--fps", 30)):
        assert "as_advised.mp4: --fps is not used, as the video runs at 25" in refusal
        assert "ffmpeg -r 30 -i as_advised.mp4 NEW.mp4" in refusal


def test_case_32_trimmed_video_needs_to_be_told_at_which_end(case, cases):
    name = "32-trimmed-start/clip.mp4"
    assert "clip.mp4: 600 poses (poses) do not belong to its 576 frames; " in case(name)
    _, frames, notes = case(name, "--align", "end")
    assert (len(frames), notes["poses_dropped_at_the_start"], notes["poses_held_at_the_start"]) == (576, 24, 0)
    assert case(name, "--align", "start")[2]["poses_dropped_at_the_end"] == 24
    whole, _ = read_own(cases / "base" / "base600.mp4", cases / "base" / "base600.csv")
    for align, kept in {"end": slice(24, None), "start": slice(576)}.items():
        trimmed, _ = read_own(cases / name, cases / "32-trimmed-start" / "poses.csv", align=align)
        np.testing.assert_array_equal(trimmed.keypoints, whole.keypoints[kept])


def test_both_stages_run_on_turned_uneven_and_counted_videos(small_study, cases, tmp_path):
    for name in ("17-video-rotated/phone.mp4", "20-video-vfr/webcam.mp4", "19-avi-without-pts/x264.avi"):
        video = cases / name
        assert run_demo(video, "--poses", video.parent / "poses.csv", "--out", tmp_path) == 0
        segments, frames, notes = read(tmp_path, video.stem)
        np.testing.assert_allclose(frames["time_s"], probe(video).times, atol=1e-3)
        told = np.repeat(segments["label"].to_numpy(), segments["stop_frame"] - segments["start_frame"])
        assert (told == frames["label"]).all() and notes["stages"] == 2
        assert frames["label"].isin(TASK1_CLASSES).all() and frames["label"].nunique() > 1


def test_options_without_a_use_are_refused_before_anything_is_trained(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(predict, "load_dataset", lambda *_: pytest.fail("nothing is to be made"))
    poses = write_deeplabcut(
        tmp_path / "tracked.csv", Recording("a", np.random.default_rng(0).random((90, 2, 7, 2)) * 9)
    )
    rig = ("--stage1-only", "--poses", poses, "--out", tmp_path / "out", "--frame-size", 16, 16)
    video = tmp_path / "a.mp4"
    write_video(video, [np.zeros((16, 16, 3), np.uint8)] * 90, 30, 16, 16)
    events = tmp_path / "events.csv"
    events.write_text("Time,Subject,Behavior,Status\n0,a,groom,START\n3,a,groom,STOP\n")
    points = tmp_path / "points.csv"
    points.write_text("Time,Subject,Behavior,Status\n1,a,bite,POINT\n0,a,bite,POINT\n")
    for options, words in {
        ("--fps", 30, "--align", "end"): "tracked.csv: without a video, leave out --align, and give --fps and --frame",
        ("--fps", 0): "fps must be a positive number, not 0.0",
        (video, "--fps", 30): "a.mp4: --fps is not used",
        (video, "--align", "middle"): "align must be start or end, not 'middle'",
        (video, "--offset", 9, 0): "of the points lie outside the picture of 16 x 16 px",
        (video, "--point-seconds", 1): "--point-seconds is for point events of --compare; leave it out",
        (video, "--point-seconds", 0, "--compare", events, "groom"): "--point-seconds must be a positive number",
        (video, "--point-seconds", 1, "--compare", events, "groom"): "events.csv: 'groom' has no point events",
        (video, "--compare", points, "bite"): "points.csv: bite at 1 s is a point event, which has no length",
        (video, "--point-seconds", 3, "--compare", points, "bite"): "a comparison needs frames with the behaviour and",
        (video, "--compare", events, "groom"): "a comparison needs frames with the behaviour and frames without it",
        (video, "--parts", "nose=tail_base"): "nose and tail_base lie on one spot, so its animals have no length",
    }.items():
        assert run_demo(*rig, *options) == 2
        assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


# --- the official network as stage 1 --------------------------------------------------------------------------------


@pytest.fixture
def made_network(monkeypatch, tmp_path):
    """A network of the official layout in place of the published one."""
    path = write_network(tmp_path / "network.h5")
    monkeypatch.setattr(predict, "find_network", lambda: path)
    return path


def check_official_notes(notes, network):
    told = notes["stage1"]
    assert told["network"] == "CalMS21's official Task 1 network, seed 42" and told["trained_on"] == predict.REAL_MICE
    assert (told["file"], told["sha256"]) == (str(network), file_hash(network))
    assert told["poses_scaled_to_body_length_px"] == BODY_LENGTH


def test_official_network_alone_names_each_frame_and_needs_no_recordings_of_a_profile(
    made_network, monkeypatch, tmp_path
):
    monkeypatch.setattr(predict, "load_dataset", lambda *_: pytest.fail("no recording of a profile is needed"))
    at_scale = np.random.default_rng(0).uniform(0, 500, (200, 2, 7, 2)).round(1)
    at_scale[:, :, 0] = at_scale[:, :, 6] + (0, BODY_LENGTH)
    low, high = np.percentile(at_scale.reshape(-1, 2), [1, 99], axis=0)
    at_scale += np.array([512, 285]) - (low + high) / 2  # already where the poses are brought to
    poses = write_deeplabcut(tmp_path / "tracked.csv", Recording("a", at_scale / 2 + 40))
    out = tmp_path / "out"
    assert run(
        "--stage1-only", "--model", "official", "--poses", poses, "--out", out, "--fps", 30, "--frame-size", 900, 700
    ) == 0  # fmt: skip
    segments, frames, notes = read(out, "tracked")
    check_agreement(segments, frames, TASK1_CLASSES, 30)
    expected = localize(load_official(made_network), Recording("a", at_scale))
    np.testing.assert_allclose(frames[[f"score_{name}" for name in TASK1_CLASSES]], expected, atol=2e-3)
    np.testing.assert_allclose(frames["p_action"], 1 - frames["score_other"], atol=1e-4)
    sure = np.sort(expected, 1)[:, -1] - np.sort(expected, 1)[:, -2] > 0.01
    assert (frames["label"][sure] == np.array(TASK1_CLASSES)[expected.argmax(1)][sure]).all() and sure.mean() > 0.9
    check_official_notes(notes, made_network)
    assert (notes["stages"], notes["profile"], notes["models_trained_on"]) == (1, None, predict.REAL_MICE)
    outside = ((at_scale < 0) | (at_scale > (1024, 570))).any(-1).mean()
    assert notes["points_outside_the_training_frame"] == pytest.approx(outside, abs=2e-3)


def test_predictions_of_another_recording_of_the_same_name_stay(made_network, tmp_path, capsys):
    for cage in ("cage1", "cage2"):
        (tmp_path / cage).mkdir()
        points = np.random.default_rng(len(list(tmp_path.iterdir()))).uniform(0, 500, (90, 2, 7, 2))
        write_deeplabcut(tmp_path / cage / "tracked.csv", Recording("a", points))
    rig = ("--stage1-only", "--model", "official", "--fps", 30, "--frame-size", 600, 600, "--out", tmp_path / "out")
    assert run(*rig, "--poses", tmp_path / "cage1" / "tracked.csv") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert run(*rig, "--poses", tmp_path / "cage2" / "tracked.csv") == 2
    assert "tracked.pred.json: these are not known to be of these poses; name another --out" in capsys.readouterr().err
    assert run(*rig, "--poses", tmp_path / "cage1" / "tracked.csv") == 0  # its own are made again
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_predictions_are_all_written_or_none(tmp_path, monkeypatch):
    """A disk that is full when the second file is written."""
    written, write = [], Path.write_text

    def full(path, *arguments, **how):
        written.append(path)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, *arguments, **how)

    monkeypatch.setattr(Path, "write_text", full)
    made = np.zeros(9, int), np.full((9, 4), 0.25), np.full(9, 0.75)
    with pytest.raises(OSError, match="No space left on device"):
        predict.write_prediction(tmp_path, "a", Recording("a", np.zeros((9, 2, 7, 2))), TASK1_CLASSES, *made, {})
    assert not list(tmp_path.iterdir())


def test_a_model_is_used_only_if_it_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(predict, "load_dataset", lambda *_: pytest.fail("nothing is to be made"))
    poses = write_deeplabcut(tmp_path / "tracked.csv", Recording("a", np.random.default_rng(0).random((9, 2, 7, 2))))
    rig = ("--poses", poses, "--out", tmp_path / "out", "--fps", 30, "--frame-size", 16, 16)
    choices = "--model FILE, of mbrepro train, or --model official --stage1-only, CalMS21's own network of real mice; "
    for options, words in {
        (
            "--stage1-only",
        ): f"no model is given; name one: {choices}--model demo, models of simulated mice; or --profile",
        ("--model", "mine.zp"): f"there is no model 'mine.zp'; name one: {choices}",
        ("--model", "official"): f"--model official needs --stage1-only, or a profile's stage 2; name one: {choices}",
        ("--model", "demo", "--profile", "calms21"): "--model demo and --profile calms21 are different models; leave",
        ("--model", "demo", "--pairs", "all"): f"several recordings and --pairs need {choices[:-2]}",
        ("--model", "official", "--stage1-only", "--profile", "demo"): "--model official has no use for --profile",
    }.items():
        assert run(*rig, *options) == 2
        assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_study_that_can_only_be_read_is_told_before_anything_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path / "theirs"))
    (tmp_path / "theirs").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and Path(path).name == "theirs"))
    assert run_demo(tmp_path / "a.mp4", "--poses", tmp_path / "a.csv", "--out", tmp_path / "out") == 2
    assert "theirs; name another folder, or set MBREPRO_ROOT" in capsys.readouterr().err
    assert run_demo("--stage1-only", "--poses", tmp_path / "a.csv", "--out", tmp_path / "out") == 2
    assert "without a video" in capsys.readouterr().err  # that one needs no room there


def test_official_network_that_was_not_fetched_is_asked_for(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(tmp_path / "none"))
    poses = write_deeplabcut(tmp_path / "tracked.csv", Recording("a", np.random.default_rng(0).random((9, 2, 7, 2))))
    options = ("--poses", poses, "--out", tmp_path / "out", "--fps", 30, "--frame-size", 900, 700)
    assert run("--stage1-only", "--model", "official", *options) == 2
    assert capsys.readouterr().err.endswith("official yet: run mbrepro fetch official\n")
    assert not (tmp_path / "out").exists()


def test_official_network_on_a_folder_and_on_files_says_the_same(made_network, tmp_path, capsys):
    """Points by other names, which the manifest maps; a third animal, and both orders of each two."""
    rng, folder = np.random.default_rng(0), tmp_path / "lab"
    (folder / "poses").mkdir(parents=True)
    theirs = ("snout", *KEYPOINTS[1:])
    for name in ("a", "b"):
        write_deeplabcut(folder / "poses" / f"{name}.csv", Recording(name, rng.uniform(0, 500, (90, 2, 7, 2))), theirs)
    (folder / "recordings.csv").write_text("name,poses,fps\na,poses/a.csv,25\nb,poses/b.csv,25\n")
    (folder / "dataset.yml").write_text(
        "roles: different\nparts: [nose, neck]\nfront: nose\nrear: neck\npart_names: {nose: snout}\n"
        "behaviours: {fight: fight}\nunlabelled: other\nframe_size: [600, 600]\n"
    )
    assert run(*STAGE1, folder, "--out", tmp_path / "folder") == 0
    rig = ("--fps", 25, "--frame-size", 600, 600, "--parts", "nose=snout")
    files = [folder / "poses" / f"{name}.csv" for name in ("a", "b")]
    assert run(*STAGE1, *files, *rig, "--out", tmp_path / "files") == 0
    assert run(*STAGE1, *files, *rig, "--pairs", "all", "--out", tmp_path / "pairs") == 0
    for name in ("a", "b"):
        told = [tmp_path / place for place in (f"folder/{name}", f"files/{name}", f"pairs/{name}.m1-m2")]
        one, *others = (Path(f"{path}.frames.csv").read_bytes() for path in told)
        assert others == [one, one] and Path(f"{told[2]}.frames.csv").with_name(f"{name}.m2-m1.frames.csv").exists()
    events = tmp_path / "events.csv"
    events.write_text("Time,Subject,Behavior,Status\n0,a,fight,START\n1,a,fight,STOP\n")
    capsys.readouterr()
    assert run(*STAGE1, *files, *rig, "--compare", events, "fight", "--out", tmp_path / "files") == 2
    assert "--compare takes the labels of one recording, and there are 2" in capsys.readouterr().err


def test_official_network_proposes_what_stage_2_names(small_study, made_network, tmp_path):
    recording = small_study.test[0]
    poses = write_deeplabcut(tmp_path / "tracked.csv", recording)
    assert run(
        recording.video, "--model", "official", "--profile", "demo", "--poses", poses, "--out", tmp_path,
        "--frame-size", 1024, 570,
    ) == 0  # fmt: skip
    segments, frames, notes = read(tmp_path, recording.video.stem)
    check_agreement(segments, frames, TASK1_CLASSES, 30)
    check_official_notes(notes, made_network)
    assert notes["models_trained_on"] == "CalMS21's real mice (stage 1), simulated recordings (stage 2)"
    scaled = to_training_scale(recording, BODY_LENGTH)
    expected = action_probability(localize(load_official(made_network), scaled))
    np.testing.assert_allclose(frames["p_action"], expected, atol=1e-2)  # poses in the file are rounded
    proposed = frames["score_other"] < 1
    behaviours = frames[[f"score_{name}" for name in TASK1_CLASSES[:3]]]
    assert proposed.any()
    # of each proposal the head leaves other one share, the same at all of its frames
    share = (behaviours.sum(axis=1) / frames["p_action"])[proposed].round(3)
    assert share.between(0, 1.001).all() and share.max() > 0.5 and share.nunique() <= proposed.sum() / 15


def test_official_network_on_real_poses(real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    folder, name = real_data / "ethome_dyad", "EGS8X2MN4SSUGFWAV976"
    assert run(
        "--stage1-only", "--model", "official", "--poses", folder / "poses_dlc.csv", "--out", tmp_path,
        "--parts", "tail_base=tail", "--fps", 30, "--frame-size", 1280, 1024,
        "--compare", folder / "labels_boris.csv", "interact",
    ) == 0  # fmt: skip
    _, frames, notes = read(tmp_path, "poses_dlc")
    assert notes["compared_with"]["auroc"] >= 0.97 and notes["compared_with"]["average_precision"] >= 0.86
    interact = read_behaviour(folder / "labels_boris.csv", "interact", 30, 5700)
    assert roc_auc_score(interact, frames["p_action"]) >= 0.97
    folder = real_data / "mabe22_video"
    assert run(
        folder / f"{name}.mp4", "--stage1-only", "--model", "official", "--poses", folder / f"{name}.h5",
        "--out", tmp_path, "--individuals", "mouse1", "mouse2",
        "--parts", "left_hip=left hindpaw", "right_hip=right hindpaw",
    ) == 0  # fmt: skip
    segments, frames, notes = read(tmp_path, name)
    check_agreement(segments, frames, TASK1_CLASSES, 30)
    out = tmp_path / "pairs"
    assert run(
        "--stage1-only", "--model", "official", "--poses", folder / f"{name}.h5", "--pairs", "all", "--out", out,
        "--parts", "left_hip=left hindpaw", "right_hip=right hindpaw", "--fps", 30, "--frame-size", 512, 512,
    ) == 0  # fmt: skip
    assert len(list(out.glob("*.frames.csv"))) == 6
    of_pairs = pd.read_csv(out / f"{name}.mouse1-mouse2.frames.csv")
    pd.testing.assert_frame_equal(of_pairs, frames[:1800], atol=1e-4, check_exact=False)
    # In the video mouse2 joins the two that huddle at 39 s and one leaves at 42 s; before it is at the other side.
    assert frames["p_action"][1200:1260].min() > 0.9 and frames["p_action"][:1100].max() < 0.1
    assert notes["points_outside_the_training_frame"] > 0.9  # its arena is many times CalMS21's


def test_tables_are_read_back_to_the_frame_by_pandas_and_by_the_reader(tmp_path):
    """Labels drawn in stretches of 1 to 20 frames, some not scorable, on an uneven clock."""
    rng, names = np.random.default_rng(4), [*TASK1_CLASSES, NOT_SCORABLE]
    labels = np.repeat(rng.integers(-1, 4, 60), rng.integers(1, 20, 60))
    times = np.cumsum(rng.choice([1 / 30, 1 / 15], len(labels))) - 1 / 30
    recording = Recording("uneven", np.full((len(labels), 2, 7, 2), 50, np.float32), times=times)
    scores = np.full((len(labels), 4), 0.25, np.float32)
    predict.write_prediction(tmp_path, "uneven", recording, TASK1_CLASSES, labels, scores, scores[:, 0], {})
    frames, bouts = (pd.read_csv(tmp_path / f"uneven.{kind}.csv") for kind in ("frames", "pred"))
    assert frames["label"].tolist() == [names[label] for label in labels]
    assert np.repeat(bouts["label"], bouts["stop_frame"] - bouts["start_frame"]).tolist() == frames["label"].tolist()
    np.testing.assert_allclose(bouts["start_s"], times[bouts["start_frame"]], atol=1e-6)
    expected = [Bout(*row) for row in bouts[["label", "start_frame", "stop_frame"]].itertuples(index=False)]
    for kind in ("frames", "pred"):
        assert read_bouts(tmp_path / f"uneven.{kind}.csv", times) == expected


def test_frames_of_a_long_recording_have_times_of_their_own(tmp_path):
    times = 12_000 + np.arange(90) / 30
    recording = Recording("night", np.full((90, 2, 7, 2), 50, np.float32), times=times)
    scores = np.full((90, 4), 0.25, np.float32)
    predict.write_prediction(tmp_path, "night", recording, TASK1_CLASSES, np.zeros(90, int), scores, scores[:, 0], {})
    written = pd.read_csv(tmp_path / "night.frames.csv")["time_s"]
    np.testing.assert_allclose(np.diff(written), 1 / 30, atol=2e-6)
