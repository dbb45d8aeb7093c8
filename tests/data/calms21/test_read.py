import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data.calms21 import read as calms21
from mbrepro.data.calms21.read import load_calms21, load_labels, read_calms21, read_sequences
from mbrepro.data.calms21.release import json_path
from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.data.video import write_video
from mbrepro.demo.simulated.release import write_calms21
from mbrepro.errors import InputError
from tests.fixtures.sequences import VOCAB, sequence, write_release

TASK3 = ("other", "sniff_face")


@pytest.fixture(autouse=True)
def stored(tmp_path_factory, monkeypatch):
    """Where arrays are stored in this test."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("MBREPRO_DATA", str(folder))
    return folder / "arrays"


def made_dataset(task="task1", classes=TASK1_CLASSES, source="simulated", seed=0, video=None, scores=True):
    rng = np.random.default_rng(seed)
    recordings = [
        Recording(
            f"mouse{number:03d}_{task.replace('/', '_')}_annotator1",
            rng.uniform(0, 500, (30 + number, 2, 7, 2)),
            classes,
            rng.integers(0, len(classes), 30 + number),
            rng.uniform(0, 1, (30 + number, 2, 7)) if scores else None,
            video=video,
        )
        for number in (1, 2, 3)
    ]
    return Dataset(task, classes, tuple(recordings[:2]), tuple(recordings[2:]), source)


def test_axes_are_frame_mouse_part_xy(tmp_path):
    path = write_release(tmp_path / "a.json", {"task1/train/mouse001_task1_annotator1": sequence()})
    (recording,) = read_calms21(path)
    assert recording.keypoints.shape == (4, 2, 7, 2)
    assert recording.keypoints[3, 1, 5].tolist() == [355.0, 375.0]  # frame 3, intruder, part 5: x, then y 20 higher
    assert recording.name == "mouse001_task1_annotator1" and recording.animal == "mouse001"
    assert recording.classes == ("attack", "investigation", "mount", "other")
    assert recording.labels.tolist() == [0, 1, 2, 3]
    assert (recording.fps, recording.frame_size, recording.video) == (30.0, (1024, 570), None)


def test_sequences_keep_their_order(tmp_path):
    names = [f"task1/train/mouse{number:03d}_x" for number in (9, 2, 30)]
    path = write_release(tmp_path / "a.json", {name: sequence() for name in names})
    assert [recording.name for recording in read_calms21(path)] == ["mouse009_x", "mouse002_x", "mouse030_x"]


@pytest.mark.parametrize("scores", [True, False])
def test_task1_survives_a_round_trip_exactly(tmp_path, scores):
    written = made_dataset(scores=scores)
    write_calms21(tmp_path, task1=written)
    read = load_calms21(tmp_path)
    assert (read.task, read.classes, read.source) == ("task1", TASK1_CLASSES, "simulated")
    assert [len(read.train), len(read.test)] == [2, 1]
    for a, b in zip(written.recordings, read.recordings, strict=True):
        assert a.name == b.name
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.labels, b.labels)
        assert (a.scores is None) == (b.scores is None) == (not scores)
        if scores:
            np.testing.assert_array_equal(a.scores, b.scores)


def test_task3_groups_are_separate_binary_tasks(tmp_path):
    datasets = {
        "sniff_face": made_dataset("task3/sniff_face", TASK3, seed=1),
        "groom": made_dataset("task3/groom", ("other", "groom"), seed=2),
    }
    write_calms21(tmp_path, task3=datasets)
    raw = json.loads(json_path(tmp_path, "task3", "test").read_text())
    assert list(raw) == ["sniff_face", "groom"]
    assert list(raw["groom"]) == ["task3/groom/test/mouse003_task3_groom_annotator1"]
    for behaviour, written in datasets.items():
        read = load_calms21(tmp_path, f"task3/{behaviour}")
        assert (read.task, read.classes, read.behaviours) == (f"task3/{behaviour}", ("other", behaviour), (behaviour,))
        for a, b in zip(written.recordings, read.recordings, strict=True):
            np.testing.assert_array_equal(a.labels, b.labels)
            np.testing.assert_array_equal(a.keypoints, b.keypoints)
    with pytest.raises(InputError, match="no behaviour approach, only sniff_face, groom"):
        load_calms21(tmp_path, "task3/approach")


def test_written_files_have_the_released_form(tmp_path):
    write_calms21(tmp_path, task1=made_dataset())
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == [f"task1_classic_classification/calms21_task1_{split}.json" for split in ("test", "train")]
    raw = json.loads((tmp_path / files[1]).read_text())
    assert list(raw) == ["annotator-id_0"]
    name, fields = next(iter(raw["annotator-id_0"].items()))
    assert name == "task1/train/mouse001_task1_annotator1"
    assert list(fields) == ["keypoints", "scores", "annotations", "metadata"]
    assert np.shape(fields["keypoints"]) == (31, 2, 2, 7) and np.shape(fields["scores"]) == (31, 2, 7)
    assert fields["metadata"]["vocab"] == VOCAB


@pytest.mark.parametrize("split", ["train", "test"])
def test_simulated_recordings_cannot_pass_for_real_ones(tmp_path, split):
    write_calms21(tmp_path / "made", task1=made_dataset(source="simulated"))
    assert load_calms21(tmp_path / "made").source == "simulated"
    write_calms21(tmp_path / "real", task1=made_dataset(source="CalMS21"))
    assert load_calms21(tmp_path / "real").source == "CalMS21"
    # one simulated sequence among real ones is enough
    path = json_path(tmp_path / "real", "task1", split)
    raw = json.loads(path.read_text())
    next(iter(raw["annotator-id_0"].values()))["metadata"]["simulated"] = True
    path.write_text(json.dumps(raw))
    assert load_calms21(tmp_path / "real").source == "simulated"


@pytest.fixture(scope="module")
def short_video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    write_video(path, [np.full((16, 16, 3), value, np.uint8) for value in range(33)], 30, 16, 16)
    return path


def test_videos_are_placed_and_found_by_name(tmp_path, short_video):
    written = made_dataset(video=short_video)
    write_calms21(tmp_path, task1=written)
    read = load_calms21(tmp_path)
    expected = ["train/mouse001", "train/mouse002", "test/mouse003"]
    for recording, start in zip(read.recordings, expected, strict=True):
        assert recording.video == tmp_path / "task1_videos_mp4" / f"{start}_task1_annotator1.mp4"
        assert recording.video.read_bytes() == short_video.read_bytes()
    write_calms21(tmp_path, task1=read)  # onto itself
    assert not list(tmp_path.rglob("*partial*"))
    (tmp_path / "task1_videos_mp4/train/mouse002_task1_annotator1.mp4").unlink()
    assert [recording.video is None for recording in load_calms21(tmp_path).recordings] == [False, True, False]


def test_video_shorter_than_its_labels_is_refused(tmp_path, short_video):
    release = {"task1/train/mouse001_x": sequence(34)}
    path = write_release(tmp_path / "a.json", release)
    (tmp_path / "mouse001_x.mp4").write_bytes(short_video.read_bytes())
    with pytest.raises(InputError, match=r"mouse001_x\.mp4: the video has 33 frames, but mouse001_x has 34 labels"):
        read_calms21(path, tmp_path)


def test_video_longer_than_its_labels_by_more_than_a_second_is_refused(tmp_path, short_video):
    (tmp_path / "mouse001_x.mp4").write_bytes(short_video.read_bytes())
    path = write_release(tmp_path / "a.json", {"task1/train/mouse001_x": sequence(3)})
    (recording,) = read_calms21(path, tmp_path)  # 33 frames, a second more
    assert recording.video is not None
    write_release(path, {"task1/train/mouse001_x": sequence(2)})
    with pytest.raises(
        InputError, match=r"33 frames, but mouse001_x has 2 labels \(sequence task1/train/mouse001_x of"
    ):
        read_calms21(path, tmp_path)


def test_recordings_of_another_camera_are_not_written(tmp_path):
    odd = Recording("mouse001", np.ones((5, 2, 7, 2)), labels=np.zeros(5, int), fps=25.0)
    dataset = Dataset("task1", TASK1_CLASSES, (odd,), (), "simulated")
    with pytest.raises(InputError, match="mouse001: CalMS21's layout holds 30 fps"):
        write_calms21(tmp_path, task1=dataset)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keypoints": None}, "mouse001_x has no keypoints"),
        ({"annotations": None}, "mouse001_x has no annotations"),
        ({"metadata": {}}, "mouse001_x has no vocab"),
        ({"keypoints": [[1, 2], [3]]}, r"mouse001_x: keypoints are not a regular \(T, 2, 2, 7\) array"),
        (
            {"keypoints": np.zeros((4, 2, 7, 2)).tolist()},
            r"mouse001_x: keypoints have shape \(4, 2, 7, 2\), not \(T, 2",
        ),
        ({"keypoints": []}, r"mouse001_x: keypoints have shape \(0,\)"),
        ({"scores": np.zeros((3, 2, 7)).tolist()}, r"mouse001_x: scores have shape \(3, 2, 7\), not \(4, 2, 7\)"),
        ({"annotations": [0, 1, 2]}, r"mouse001_x: annotations have shape \(3,\), not \(4\)"),
        ({"annotations": [0, 1, 2, 4]}, "mouse001_x: label 4 at frame 3"),
        ({"annotations": ["a", "b", "c", "d"]}, "mouse001_x: labels must be whole numbers"),
        ({"metadata": {"vocab": {**VOCAB, "chase": 4}}}, "mouse001_x: unknown behaviours: .* chase"),
        ({"metadata": {"vocab": {"attack": 0, "other": 2}}}, "mouse001_x: its vocab does not number"),
        ({"metadata": {"vocab": {**VOCAB, "a\nb": 4}}}, r"mouse001_x: unknown behaviours: .* 'a\\nb', not"),
        ({"metadata": {"vocab": ["attack"]}}, "mouse001_x: its vocab does not number"),
        (
            {"keypoints": np.full((4, 2, 2, 7), np.nan).tolist()},
            "mouse001_x: keypoints hold a value that is not finite",
        ),
        ({"scores": np.full((4, 2, 7), -np.inf).tolist()}, "mouse001_x: scores hold a value that is not finite"),
        ({"annotations": [0, 1, float("inf"), 2]}, "mouse001_x: annotations hold a value that is not finite"),
        ({"keypoints": [None]}, r"mouse001_x: keypoints have shape \(1,\)"),
    ],
)
def test_broken_sequence_is_refused_naming_file_and_sequence(tmp_path, changes, words):
    path = write_release(tmp_path / "bad.json", {"task1/train/mouse001_x": sequence(**changes)})
    with pytest.raises(InputError, match=words) as caught:
        read_calms21(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps({"annotator-id_0": {"mouse001_x": sequence()}})[:-40], "not a whole JSON file"),
        ("", "not a whole JSON file"),
        (json.dumps({"a": {"mouse001_x": sequence(), "mouse002_x": sequence()}})[:-150], "in sequence mouse002_x"),
        ('{"a": {"mouse001_x": ' + "[" * 100_000, "not a whole JSON file"),
        ('{"a": {"mouse001_x": {"keypoints": [1e999]}}}', "sequence mouse001_x: not readable as JSON"),
        ('{"a": {}} {', "not a whole JSON file"),
        ("[1, 2]", "not in CalMS21's form"),
        ('{"annotator-id_0": [1]}', "not in CalMS21's form"),
        (json.dumps({"a": {"b\nc": sequence()}}), r"no sequence can be called 'b\\nc' of 'a'"),
        ('{"annotator-id_0": {"mouse001_x": 1}}', "sequence mouse001_x has no keypoints"),
        (b"\xff\xfe\x00", "not a whole JSON file"),
        (None, "cannot be read"),
    ],
)
def test_broken_file_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words) as caught:
        read_calms21(path)
    assert str(path) in str(caught.value)


def test_every_field_is_kept(tmp_path):
    metadata = {"vocab": VOCAB, "annotator-id": 3, "simulated": True, "note": "é"}
    path = write_release(tmp_path / "a.json", {"task1/train/mouse001_x": sequence(5, metadata=metadata)})
    for _ in ("parsed", "mapped"):
        calms21._stored.cache_clear()
        (read,) = read_sequences(path)
        assert (read.group, read.key, read.name) == ("annotator-id_0", "task1/train/mouse001_x", "mouse001_x")
        assert read.metadata == metadata and list(read.metadata["vocab"]) == list(VOCAB)
        assert read.classes == TASK1_CLASSES
        assert read.labels.tolist() == [0, 1, 2, 3, 0] and read.labels.dtype == np.uint8
        assert read.keypoints[4, 1, 5].tolist() == [455.0, 475.0] and read.keypoints.dtype == np.float32
        np.testing.assert_array_equal(read.scores, np.full((5, 2, 7), 0.9, np.float32))


def test_what_is_read_is_as_at_this_version(tmp_path):
    """If this fails and is meant to, raise `VERSION`: arrays stored before would be taken for what is read now."""
    metadata = {"vocab": VOCAB, "note": "é"}
    path = write_release(tmp_path / "a.json", {"task1/train/mouse001_x": sequence(5, metadata=metadata)})
    (read,) = read_sequences(path)
    digest = hashlib.sha256(repr((read.group, read.key, read.metadata, read.classes)).encode())
    for values in (read.keypoints, read.scores, read.labels):
        digest.update(f"{values.shape} {values.dtype.str}".encode() + values.tobytes())
    assert (calms21.VERSION, digest.hexdigest()[:16]) == (1, "452d39236f3d3ff3")


def forbid_parsing(monkeypatch):
    calms21._stored.cache_clear()
    monkeypatch.setattr(calms21, "_parse", lambda path: pytest.fail("parsed again"))


def test_second_read_maps_what_the_first_stored(tmp_path, monkeypatch, stored):
    write_calms21(tmp_path, task1=made_dataset(scores=True))
    first = load_calms21(tmp_path)
    forbid_parsing(monkeypatch)
    second = load_calms21(tmp_path)
    assert len(list(stored.glob("calms21_task1_*.safetensors"))) == 2
    for a, b in zip(first.recordings, second.recordings, strict=True):
        for field in ("keypoints", "scores", "labels"):
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
        assert not b.keypoints.flags.writeable and b.keypoints.flags.aligned and b.keypoints.flags.c_contiguous
        base = b.keypoints
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap)


def test_changed_file_is_read_anew_and_the_same_bytes_are_not(tmp_path, monkeypatch):
    path = write_release(tmp_path / "a.json", {"mouse001_x": sequence(4)})
    assert len(read_calms21(path)[0]) == 4
    write_release(path, {"mouse001_x": sequence(6)})
    assert len(read_calms21(path)[0]) == 6
    forbid_parsing(monkeypatch)
    write_release(path, {"mouse001_x": sequence(4)})
    assert len(read_calms21(path)[0]) == 4


@pytest.mark.parametrize("damage", ["cut", "emptied", "other file", "pose", "structure"])
def test_damaged_arrays_are_made_again(tmp_path, stored, damage):
    path = write_release(tmp_path / "a.json", {f"mouse00{k}_x": sequence(40) for k in (1, 2)})
    wanted = read_sequences(path)
    (file,) = stored.iterdir()
    whole = file.read_bytes()
    pose = whole.index(wanted[1].keypoints.tobytes()) + 100
    changed = {
        "cut": whole[:-10],
        "emptied": b"",
        "other file": b"[1, 2]" * 1000,
        "pose": whole[:pose] + bytes([whole[pose] ^ 1]) + whole[pose + 1 :],
        "structure": whole[:60] + b"\xff" * 200 + whole[260:],
    }[damage]
    file.unlink()
    file.write_bytes(changed)
    calms21._stored.cache_clear()
    for a, b in zip(wanted, read_sequences(path), strict=True):
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.labels, b.labels)
    assert file.read_bytes() == whole


def test_broken_file_stores_nothing(tmp_path, stored):
    path = write_release(tmp_path / "a.json", {"mouse001_x": sequence(), "mouse002_x": sequence(scores=[1])})
    with pytest.raises(InputError, match="mouse002_x: scores have shape"):
        read_calms21(path)
    assert not list(stored.glob("*"))


def test_folder_that_cannot_hold_arrays_is_said(tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "taken"))
    path = write_release(tmp_path / "a.json", {"mouse001_x": sequence()})
    with pytest.raises(InputError, match=r"taken/arrays: arrays cannot be stored there .* MBREPRO_DATA"):
        read_calms21(path)


def test_labels_alone_are_those_of_the_recordings(tmp_path, short_video):
    written = made_dataset("task3/sniff_face", TASK3)
    write_calms21(tmp_path, task1=made_dataset(video=short_video), task3={"sniff_face": written})
    for video in (tmp_path / "task1_videos_mp4").rglob("*.mp4"):
        video.unlink()
        video.write_text("no video, which labels do not need")
    labels = load_labels(tmp_path)
    assert list(labels) == ["train", "test"]
    assert list(labels["train"]) == ["mouse001_task1_annotator1", "mouse002_task1_annotator1"]
    for split in ("train", "test"):
        for recording in getattr(made_dataset(), split):
            np.testing.assert_array_equal(labels[split][recording.name], recording.labels)
    (test,) = load_labels(tmp_path, "task3/sniff_face")["test"].values()
    np.testing.assert_array_equal(test, written.test[0].labels)


def test_fetched_from_a_simulated_release_is_simulated(tmp_path):
    write_calms21(tmp_path, task1=made_dataset(source="CalMS21"))
    for simulated, source in ((False, "CalMS21"), (True, "simulated")):
        release = {"title": "t", "doi": "d", "notice": "n", "simulated": simulated}
        told = {"source": "", "release": release, "notice_shown": "2026-01-01", "files": {}, "zips": {}}
        (tmp_path / "fetched.json").write_text(json.dumps(told | {"videos": {"held": [], "of": 0}}))
        assert load_calms21(tmp_path).source == source


def test_vocab_numbered_otherwise_is_refused(tmp_path):
    write_calms21(tmp_path, task1=made_dataset())
    path = json_path(tmp_path, "task1", "test")
    swapped = {"attack": 1, "investigation": 0, "mount": 2, "other": 3}
    write_release(path, {"task1/test/mouse009_x": sequence(vocab=swapped)})
    for load in (load_calms21, load_labels):
        with pytest.raises(
            InputError, match=r"task1_test\.json: sequence task1/test/mouse009_x: its vocab numbers invest"
        ):
            load(tmp_path)


@given(at=st.integers(0, 5000), byte=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_cut_or_changed_byte_is_read_or_refused_in_one_sentence(tmp_path_factory, at, byte, cut):
    whole = json.dumps({"annotator-id_0": {f"mouse00{k}_x": sequence(3) for k in (1, 2)}}).encode()
    at %= len(whole)
    path = tmp_path_factory.mktemp("a") / "a.json"
    path.write_bytes(whole[:at] if cut else whole[:at] + bytes([byte]) + whole[at + 1 :])
    try:
        recordings = read_calms21(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:
        assert not cut and all(len(recording) == 3 for recording in recordings)


def test_task3_behaviour_must_match_its_group(tmp_path):
    wrong = {"task3/groom/train/mouse001_x": sequence(vocab={"other": 0, "sniff_face": 1})}
    with pytest.raises(InputError, match="unknown behaviours: its vocab has other, sniff_face, not other, groom"):
        read_calms21(write_release(tmp_path / "a.json", wrong, "groom"))


@pytest.mark.parametrize("task", ["task2", "task3", "task3/chase", "task1/attack", ""])
def test_unknown_task_is_refused(tmp_path, task):
    with pytest.raises(InputError, match="CalMS21 has no task"):
        load_calms21(tmp_path, task)


def test_missing_release_is_refused_by_the_file_expected(tmp_path):
    with pytest.raises(InputError, match=r"task1_classic_classification/calms21_task1_train\.json: cannot be read"):
        load_calms21(tmp_path)
