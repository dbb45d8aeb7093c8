import itertools
import json
import os
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mbrepro import paths
from mbrepro.data.alignment import fit_to_video
from mbrepro.data.annotations import read_behaviour
from mbrepro.data.recordings import Skeleton
from mbrepro.data.tracking import READERS, fill_gaps, read_tracking
from mbrepro.data.tracking.deeplabcut import read_h5, unpickle_plain
from mbrepro.data.video import probe
from mbrepro.errors import InputError
from tests.fixtures.changed import changed_bytes
from tests.fixtures.pose_files import (
    PARTS,
    SLEAP,
    THREE,
    columns_of,
    values_of,
    write_csv,
    write_fixed,
    write_sleap,
    write_table,
)
from tests.fixtures.sequences import sequence, write_release

H5 = "DeepLabCut or SLEAP analysis h5, SLEAP slp, NWB, movement nc"
RIG = {"fps": 30, "frame_size": (1000, 800)}


WRITERS = {"poses.csv": write_csv, "fixed.h5": write_fixed, "table.h5": write_table}


@pytest.mark.parametrize("name", WRITERS)
def test_every_form_gives_the_same_recording(tmp_path, name):
    columns = columns_of()
    values = values_of(columns)
    recording = read_tracking(WRITERS[name](tmp_path / name, columns, values), **RIG)
    assert (len(recording), recording.fps, recording.frame_size, recording.labels) == (6, 30, (1000, 800), None)
    for mouse, part in np.ndindex(2, 7):
        at = (mouse * len(PARTS) + part) * 3  # parts 0 to 6 of the file are our seven, in order
        np.testing.assert_array_equal(recording.keypoints[:, mouse, part], values[:, at : at + 2])
        np.testing.assert_allclose(recording.scores[:, mouse, part], values[:, at + 2], rtol=1e-6)


@pytest.mark.parametrize("name", WRITERS)
def test_individuals_are_taken_in_the_order_named_and_parts_as_mapped(tmp_path, name):
    parts = ("tail base", "nose", "left ear", "right ear", "neck", "left hindpaw", "right hindpaw")
    columns = columns_of(("mouse1", "mouse2", "mouse3"), parts, ("x", "y"))
    path = WRITERS[name](tmp_path / name, columns, np.round(values_of(columns)))
    renamed = {"left_hip": "left hindpaw", "right_hip": "Right_Hindpaw"}
    recording = read_tracking(path, individuals=["mouse3", "mouse1"], parts=renamed, **RIG)
    assert recording.scores is None
    # frame 2; mouse3 is third of three, its nose the second of seven parts: column 2 * 14 + 2
    assert recording.keypoints[2, 0, 0].tolist() == [2030.0, 2032.0]  # 2030.5 and 2031.5, rounded half to even
    assert recording.keypoints[2, 1, 6].tolist() == [2000.0, 2002.0]  # mouse1's tail base comes first
    with pytest.raises(
        InputError, match="name the two individuals, resident first, out of its 3: mouse1, mouse2, mouse3"
    ):
        read_tracking(path, parts=renamed, **RIG)
    with pytest.raises(InputError, match="no individual rat, only mouse1, mouse2, mouse3"):
        read_tracking(path, individuals=["mouse1", "rat"], parts=renamed, **RIG)
    with pytest.raises(InputError, match="two different individuals"):
        read_tracking(path, individuals=["mouse1", "mouse1"], parts=renamed, **RIG)
    with pytest.raises(InputError, match=r"missing parts: left_hip, right_hip; .* tail base, nose, left ear"):
        read_tracking(path, individuals=["mouse1", "mouse2"], **RIG)
    with pytest.raises(InputError, match="'paw' is none of the 7 parts"):
        read_tracking(path, individuals=["mouse1", "mouse2"], parts={"paw": "nose"}, **RIG)


def test_real_pose_file_with_three_mice(real_data):
    path = next((real_data / "mabe22_video").glob("*.h5"))
    hips = {"left_hip": "left hindpaw", "right_hip": "right hindpaw"}
    recording = read_tracking(path, individuals=["mouse2", "mouse1"], parts=hips, fps=30, frame_size=(512, 512))
    assert len(recording) == 1800 and recording.scores is None
    video = probe(next((real_data / "mabe22_video").glob("*.mp4")))
    fitted, added = fit_to_video(recording, video)
    assert (len(fitted), added) == (1801, 1)
    with h5py.File(path) as file:
        stored = file["df_with_missing/block0_values"][:]
    assert recording.keypoints[0, 1, 0].tolist() == stored[0, :2].tolist()  # mouse1's nose is written first
    assert (stored[59, :24] == 0).all() and recording.keypoints[59].min() > 20  # mouse1 is not seen in frame 59


def test_real_csv_and_events_of_two_mice(real_data):
    path = real_data / "ethome_dyad" / "poses_dlc.csv"
    recording = read_tracking(path, parts={"tail_base": "tail"}, fps=30, frame_size=(1000, 1000))
    assert len(recording) == 5700
    assert recording.keypoints[0, 0, 0].tolist() == pytest.approx([606.248, 718.07])
    assert recording.keypoints[0, 1, 0].tolist() == pytest.approx([279.401, 250.082])
    events = read_behaviour(real_data / "ethome_dyad" / "labels_boris.csv", "interact", 30, 5700)
    assert np.flatnonzero(np.diff(events))[:2].tolist() == [895, 1041]  # 29.850 s and 34.725 s
    distance = np.linalg.norm(recording.keypoints[:, 0].mean(1) - recording.keypoints[:, 1].mean(1), axis=1)
    assert roc_auc_score(events, -distance) > 0.9  # interacting mice are close: clocks and mice are not mixed up


def test_gaps_are_filled_linearly_and_ends_held():
    positions = np.full((6, 2, 7, 2), 5.0)
    positions[:, 1, 2, 0] = [np.nan, 10, np.nan, np.nan, 40, np.nan]
    positions[:, 1, 2, 1] = [1, 2, 3, np.nan, 0, 7]  # a point counts as seen where both coordinates are
    filled, there = fill_gaps("poses.csv", positions)
    np.testing.assert_allclose(filled[:, 1, 2, 0], [10, 10, 20, 30, 40, 40])
    np.testing.assert_allclose(filled[:, 1, 2, 1], [2, 2, 2 - 2 / 3, 2 - 4 / 3, 0, 0])
    assert there[:, 1, 2].tolist() == [False, True, False, False, True, False]
    assert there.sum() == 6 * 2 * 7 - 4
    positions[:, 0, 0] = [[8, 8], [0, 0], [0, 4], [4, 0], [0, 0], [0, 0]]  # (0, 0) stands for not seen
    expected = [[8, 8], [4, 6], [0, 4], [4, 0], [4, 0], [4, 0]]
    np.testing.assert_allclose(fill_gaps("poses.csv", positions)[0][:, 0, 0], expected)
    assert (filled[:, 0] == 5).all() and np.isnan(positions[0, 1, 2, 0])


@given(st.lists(st.booleans(), min_size=2, max_size=30).filter(any), st.floats(0, 5), st.floats(1, 100))
@settings(max_examples=60, deadline=None)
def test_gaps_in_straight_motion_are_filled_exactly_between_what_was_seen(seen, slope, start):
    line = start + slope * np.arange(len(seen))
    positions = np.broadcast_to(line[:, None, None, None], (len(seen), 2, 7, 2)).copy()
    positions[~np.array(seen)] = np.nan
    first, last = np.flatnonzero(seen)[[0, -1]]
    expected = line[np.clip(np.arange(len(seen)), first, last)]
    np.testing.assert_allclose(fill_gaps("a", positions)[0][:, 1, 4, 1], expected, atol=1e-9)


def test_unlikely_positions_count_as_gaps_only_on_request(tmp_path):
    columns = columns_of()
    values = values_of(columns, frames=5)
    likelihoods = [place for place, column in enumerate(columns) if column[3] == "likelihood"]
    values[:, likelihoods] = 0.9
    values[2, likelihoods[3]] = 0.2  # the adult's neck
    values[2, likelihoods[3] - 2] = 9999.0
    path = write_csv(tmp_path / "a.csv", columns, values)
    assert read_tracking(path, **RIG).keypoints[2, 0, 3, 0] == 9999.0
    careful = read_tracking(path, min_score=0.5, **RIG)
    assert careful.keypoints[2, 0, 3, 0] == values[[1, 3], likelihoods[3] - 2].mean()
    assert careful.scores[2, 0, 3] == np.float32(0.2)
    with pytest.raises(InputError, match="nose of adult was never seen"):
        read_tracking(path, min_score=0.95, **RIG)
    with pytest.raises(InputError, match=r"a\.csv: it holds one sequence only, so sequence mine cannot be used"):
        read_tracking(path, sequence="mine", **RIG)
    unscored = write_csv(tmp_path / "b.csv", columns_of(cells=("x", "y")), values_of(columns_of(cells=("x", "y"))))
    with pytest.raises(InputError, match="no likelihoods"):
        read_tracking(unscored, min_score=0.5, **RIG)


def test_any_points_of_any_two_animals_are_read_and_what_was_filled_is_told(tmp_path):
    rat = Skeleton(("top", "tail_m", "body"), front="top", rear="tail_m")
    columns = columns_of(("rat1", "rat2"), ("Top", "body", "tail-m", "tail-e"))
    values = values_of(columns)
    values[1:4, 12 + 6 : 12 + 9] = np.nan  # the second rat's tail-m for three frames, its likelihood too
    recording = read_tracking(write_csv(tmp_path / "a.csv", columns, values), skeleton=rat, **RIG)
    assert (recording.parts, recording.skeleton.ends) == (("top", "tail_m", "body"), (0, 1))
    assert recording.keypoints.shape == (6, 2, 3, 2) and recording.scores.shape == (6, 2, 3)
    np.testing.assert_array_equal(recording.keypoints[:, 0, 2], values[:, 3:5])
    assert recording.keypoints[:, 1, 1, 0].tolist() == [18.5, 1018.5, 2018.5, 3018.5, 4018.5, 5018.5]  # a line, filled
    gone = np.zeros((6, 2, 3), bool)
    gone[1:4, 1, 1] = True
    np.testing.assert_array_equal(recording.seen, ~gone)
    assert recording.scores[gone].tolist() == [0, 0, 0]
    named = {"parts": {"tail_m": "tail-e"}, "skeleton": rat}
    np.testing.assert_array_equal(read_tracking(tmp_path / "a.csv", **named, **RIG).keypoints[:, 0, 1], values[:, 9:11])
    with pytest.raises(InputError, match="'nose' is none of the 3 parts to map: top, tail_m, body"):
        read_tracking(tmp_path / "a.csv", skeleton=rat, parts={"nose": "Top"}, **RIG)
    with pytest.raises(InputError, match=r"missing parts: paw; .* Top, body, tail-m, tail-e"):
        read_tracking(tmp_path / "a.csv", skeleton=Skeleton(("top", "paw"), "top", "paw"), **RIG)


def test_part_never_seen_is_refused_by_name(tmp_path):
    columns = columns_of()
    values = values_of(columns)
    values[:, len(PARTS) * 3 + 9] = np.nan
    with pytest.raises(InputError, match="neck of juvenile was never seen"):
        read_tracking(write_csv(tmp_path / "a.csv", columns, values), **RIG)


def test_calms21_json_is_read_by_sequence(tmp_path):
    path = write_release(
        tmp_path / "poses", {"task1/train/mouse001_x": sequence(4), "task1/train/mouse002_x": sequence(5)}
    )
    for name in ("mouse002_x", "task1/train/mouse002_x"):
        recording = read_tracking(path, sequence=name, fps=30, frame_size=(1024, 570))
        assert (recording.name, len(recording), recording.labels) == ("mouse002_x", 5, None)
        assert recording.keypoints[3, 1, 5].tolist() == [355.0, 375.0]
    swapped = read_tracking(path, sequence="mouse001_x", individuals=["intruder", "resident"], **RIG)
    assert swapped.keypoints[3, 0, 5].tolist() == [355.0, 375.0]
    with pytest.raises(InputError, match=r"name one of its 2 sequences .*mouse001_x, task1/train/mouse002_x"):
        read_tracking(path, **RIG)
    bare = sequence(4, annotations=None, scores=None, metadata=None)
    assert len(read_tracking(write_release(tmp_path / "one.json", {"mine": bare}), **RIG)) == 4


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(5))
def test_hostile_pickle_in_an_h5_file_runs_nothing(tmp_path, protocol):
    target = tmp_path / "made_by_the_pickle"
    hostile = pickle.dumps([Payload(target)], protocol)
    columns = columns_of()
    path = tmp_path / "bad.h5"
    write_table(path, columns, values_of(columns))
    with h5py.File(path, "a") as file:
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.void(hostile)
    with pytest.raises(InputError, match=r"column names are not plain text .*mkdir"):
        read_tracking(path, **RIG)
    assert not target.exists()
    pickle.loads(hostile)
    assert target.exists(), "the pickle is harmless, so this test would show nothing"


def test_plain_pickles_are_read_and_broken_ones_refused():
    labels = columns_of()
    for protocol in range(5):
        assert unpickle_plain("a.h5", pickle.dumps(labels, protocol)) == labels
    for broken in (
        b"",
        b"(lp0",
        pickle.dumps(labels)[:-20],
        b"\x80\xff.",
        b"garbage",
        b"0.",
        b"Pabc\n.",
        b"Np4000000000\n.",
        b"\x95" + b"\0" * 7 + b"\x80",
        np.int64(10**12),
    ):
        with pytest.raises(InputError, match=r"^a\.h5: its column names.*csv$"):
            unpickle_plain("a.h5", broken)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_unpickle_to_plain_values_or_are_refused(data):
    try:
        unpickle_plain("a.h5", data)
    except InputError as error:
        assert "a.h5" in str(error) and "\n" not in str(error)


def _single_animal_csv(path):
    path.write_text("scorer,a,a\nbodyparts,nose,nose\ncoords,x,y\n0,1,2\n")


def _cut_csv(path):
    write_csv(path, columns_of(), values_of(columns_of()))
    path.write_text(path.read_text()[:-200])


def _text_in_csv(path):
    write_csv(path, columns_of(), values_of(columns_of()))
    path.write_text(path.read_text().replace("2000.5", "two", 1))


def _frames_missing(path):
    write_csv(path, columns_of(), values_of(columns_of()))
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:6] + lines[7:]) + "\n")


def _no_frames(path):
    write_csv(path, columns_of(), values_of(columns_of(), frames=0))


def _repeated_column(path):
    columns = [*columns_of(), columns_of()[0]]
    write_csv(path, columns, values_of(columns))


def _cut_h5(path):
    write_fixed(path, columns_of(), values_of(columns_of()))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _long_row_in_csv(path):
    write_csv(path, columns_of(), values_of(columns_of()))
    path.write_text(path.read_text().replace("2000.5", '"', 1))


def _h5_without_table(path):
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(4)


def _h5_lacking_values(path):
    write_fixed(path, columns_of(), values_of(columns_of()))
    with h5py.File(path, "a") as file:
        del file["df_with_missing/block0_values"]


def _h5_of_objects(path):
    write_fixed(path, columns_of(), values_of(columns_of()))
    with h5py.File(path, "a") as file:
        del file["df_with_missing/block0_items_level1"]
        objects = file.create_dataset("df_with_missing/block0_items_level1", (1,), h5py.vlen_dtype(np.uint8))
        objects[0] = np.frombuffer(pickle.dumps(["adult", "juvenile"]), np.uint8)


def _cut_sleap_h5(path):
    write_sleap(path)
    with h5py.File(path, "a") as file:
        del file["node_names"]
        file["node_names"] = np.arange(3)


def _sleap_h5_of_other_shape(path):
    write_sleap(path)
    with h5py.File(path, "a") as file:
        del file["tracks"]
        file["tracks"] = np.zeros((4, 2, 3, 2))


def _table_of_one_animal(path):
    columns = columns_of()
    write_table(path, columns, values_of(columns), pickle.dumps([column[:3] for column in columns], 0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_single_animal_csv, "it does not tell two animals apart; say whose part is whose, .* out of its nose"),
        (lambda path: path.write_text("scorer,a\nparts,nose\ncoords,x\n"), "not DeepLabCut's csv, whose rows begin"),
        (_cut_csv, "line 10 has .* cells, not 49"),
        (_long_row_in_csv, "does not hold numbers only"),
        (_text_in_csv, "does not hold numbers only"),
        (_frames_missing, "frame numbers do not run 0, 1, 2"),
        (_no_frames, "no frames"),
        (_repeated_column, "repeated column DLC_net / adult / nose / x"),
        (_cut_h5, "not a whole DeepLabCut h5 file"),
        (_h5_without_table, "one table, this one 0"),
        (_h5_lacking_values, "not a whole DeepLabCut h5 file"),
        (_h5_of_objects, "holds objects"),
        (_table_of_one_animal, "unexpected or repeated column"),
        (
            lambda path: path.write_bytes(bytes(range(256))),
            "none of the pose files .* CalMS21 or MARS JSON",
        ),
        (lambda path: path.write_bytes(b"scorer,\xff"), "not a csv file, as it is no text"),
        (lambda path: path.write_text(json.dumps({"a": {"b": {}}})), "sequence b has no keypoints"),
        (lambda path: path.write_text('{"a": '), "not a whole JSON file"),
        (lambda path: path.write_text('{"keypoints": [[1]]}'), "sequence poses: keypoints have shape"),
        (_cut_sleap_h5, "not a whole SLEAP analysis file"),
        (_sleap_h5_of_other_shape, r"its tracks are not of shape \(tracks, 2, nodes, frames\)"),
        (lambda path: path.write_text(SLEAP.replace("left,2,", "left,0,")), "instances without a track of their own"),
        (lambda path: path.write_text(SLEAP.replace("left,2,", ",2,")), "instances without a track of their own"),
        (
            lambda path: path.write_text(SLEAP.replace("left,2,", "left,-2,")),
            "not a whole SLEAP analysis file of frames",
        ),
        (lambda path: path.write_text(SLEAP.replace("left,2,", "left,two,")), "not a whole SLEAP analysis file"),
        (lambda path: path.write_text(SLEAP.replace("left,2,", "left,2,7,")), "not a whole SLEAP analysis file"),
        (lambda path: path.write_text(SLEAP.replace("tail.score", "tail.sure")), "not a whole SLEAP analysis file"),
        (lambda path: path.write_text(SLEAP.splitlines()[0]), "not a whole SLEAP analysis file of frames"),
        (lambda path: path.write_text(""), "none of the pose files"),
        (lambda path: None, "cannot be read"),
    ],
)
def test_unusable_pose_file_is_refused_in_one_sentence(tmp_path, make, words):
    path = tmp_path / "poses"
    make(path)
    with pytest.raises(InputError, match=words) as caught:
        read_tracking(path, **RIG)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_values_of_several_blocks_and_untransposed_ones_are_joined(tmp_path):
    columns = columns_of(cells=("x", "y"))
    values = values_of(columns)
    path = write_fixed(tmp_path / "a.h5", columns[:20], values[:, :20])
    other = write_fixed(tmp_path / "b.h5", columns[20:], values[:, 20:])
    with h5py.File(path, "a") as file, h5py.File(other) as more:
        group = file["df_with_missing"]
        group.attrs.update({"nblocks": 2, "block1_items_nlevels": 4})
        for level, kind in itertools.product(range(4), ("level", "label")):
            group[f"block1_items_{kind}{level}"] = more[f"df_with_missing/block0_items_{kind}{level}"][()]
        group["block1_values"] = values[:, 20:].T
        group["block1_values"].attrs["transposed"] = np.uint8(0)
    np.testing.assert_array_equal(read_h5(path).positions.reshape(6, -1), values)


def test_every_form_in_the_registry_is_told_by_its_first_bytes_alone(tmp_path):
    columns = columns_of()
    sleap = tmp_path / "d"
    sleap.write_text(SLEAP)
    csv = write_csv(tmp_path / "c", columns, values_of(columns))
    written = {
        "CalMS21 or MARS JSON": write_release(tmp_path / "a", {"mine": sequence(6)}),
        H5: write_fixed(tmp_path / "b", columns, values_of(columns)),
        "DeepLabCut csv": csv,
        "MABe arrays (npy, npz)": write_array(tmp_path / "f.npy"),
        "SLEAP analysis csv": sleap,
    }
    assert list(written) == list(READERS)
    others = {}
    for name in ("DeepLabCut csv", "SLEAP analysis csv"):
        others[name] = [tmp_path / f"{name} marked", tmp_path / f"{name} of Excel"]
        others[name][0].write_bytes(b"\xef\xbb\xbf" + written[name].read_bytes())
        others[name][1].write_text(written[name].read_text().replace(",", ";").replace(".", ","), encoding="utf-8-sig")
    others[H5] = [write_sleap(tmp_path / "e")]
    np.savez(tmp_path / "g.npz", a=np.zeros((4, 2, 7, 2)))
    others["MABe arrays (npy, npz)"] = [tmp_path / "g.npz"]
    for name, path in written.items():
        for same in (path, *others.get(name, ())):
            start = same.read_bytes()[:64]
            assert [form for form, (is_its_start, _) in READERS.items() if is_its_start(start)] == [name]
    expected = read_tracking(csv, **RIG).keypoints
    for other in others["DeepLabCut csv"]:
        np.testing.assert_array_equal(read_tracking(other, **RIG).keypoints, expected)


def write_array(path, parts=12):
    """Three mice, whose values spell frame, animal, part and axis."""
    frame, animal, part, axis = np.indices((5, 3, parts, 2))
    np.save(path, 1000 * frame + 100 * animal + 2 * part + axis + 1)
    return path


def test_arrays_are_read_whichever_axis_is_that_of_x_and_y(tmp_path):
    parts = {"left_hip": "left_hindpaw", "right_hip": "right_hindpaw"}
    mabe22 = read_tracking(write_array(tmp_path / "a.npy"), individuals=("3", "1"), parts=parts, **RIG)
    assert mabe22.keypoints[4, 0, 0].tolist() == [4201, 4202]  # the nose of the third mouse
    assert mabe22.keypoints[2, 1].tolist() == [[2001 + 2 * k, 2002 + 2 * k] for k in (0, 1, 2, 3, 7, 8, 9)]
    values = np.load(write_array(tmp_path / "b.npy", 7))[:, :2]
    np.savez(tmp_path / "c.npz", one=values, two=values.transpose(0, 1, 3, 2) + 7.5)
    one, two = (read_tracking(tmp_path / "c.npz", sequence=name, **RIG) for name in ("one", "two"))
    np.testing.assert_array_equal(one.keypoints, values)
    np.testing.assert_array_equal(two.keypoints, values + 7.5)
    parts = {"tail": "5", "nose": "1", "ear": "2"}
    path = write_array(tmp_path / "d.npy", 5)
    unnamed = read_tracking(path, individuals=("1", "2"), skeleton=THREE, parts=parts, **RIG)
    assert unnamed.keypoints[0, 0, :, 0].tolist() == [9, 1, 3]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((4, 2, 2, 2)), r"its array is float64 \(4, 2, 2, 2\), not \(frames, animals, parts, 2\)"),
        (np.zeros((4, 2, 7)), "its array is float64"),
        (np.zeros((0, 2, 7, 2)), "its array is float64"),
        (np.full((4, 2, 7, 2), "a"), "its array is <U1"),
        (
            {"sequences": {"a": {"keypoints": np.zeros((4, 2, 2, 7))}}},
            "Python objects are not opened: save each sequence's keypoints",
        ),
    ],
)
def test_arrays_that_are_no_poses_are_refused(tmp_path, values, words):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(InputError, match=words):
        read_tracking(tmp_path / "a.npy", **RIG)
    np.savez(tmp_path / "b.npz", one=np.zeros((4, 2, 7, 2)), two=np.zeros((4, 2, 7, 2)))
    with pytest.raises(InputError, match="name one of its 2 sequences as the sequence to read: one, two"):
        read_tracking(tmp_path / "b.npz", **RIG)
    cut = tmp_path / "c.npz"
    cut.write_bytes((tmp_path / "b.npz").read_bytes()[:200])
    with pytest.raises(InputError, match=r"c\.npz: no plain arrays"):
        read_tracking(cut, **RIG)


def swollen(path):
    """A small file that stands for gigabytes."""
    far, huge = path.with_name("far.h5"), (2, 2, 3, 10**8)
    if path.name == "sleap.csv":
        path.write_text(SLEAP.splitlines()[0] + "\nleft,999999999,0.9" + ",1,2,0.5" * 3 + "\n")
    elif path.name == "a.npy":
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": huge})
    elif path.name == "bomb.npz":
        np.savez_compressed(path, a=np.zeros((2**22, 2, 4, 2), np.uint8))
    elif path.name == "dlc.h5":
        write_fixed(path, columns_of(), values_of(columns_of()))
        with h5py.File(path, "a") as file:
            del file["df_with_missing/block0_values"]
            file["df_with_missing"].create_dataset("block0_values", (12, 10**8), chunks=(12, 10**4), dtype="f8")
    else:
        write_sleap(path)
        with h5py.File(path, "a") as file, h5py.File(far, "w") as other:
            other["tracks"] = file["tracks"][()]
            del file["tracks"]
            if path.name == "sleap.h5":
                file.create_dataset("tracks", huge, chunks=(2, 2, 3, 1000), dtype="f8")
            elif path.name == "link.h5":
                file["tracks"] = h5py.ExternalLink(far.name, "tracks")
            elif path.name == "outside.h5":
                file.create_dataset("tracks", (2, 2, 3, 4), "f8", external=[(str(far), 0, 384)])
            else:
                layout = h5py.VirtualLayout((2, 2, 3, 4), "f8")
                layout[:] = h5py.VirtualSource(str(far), "tracks", (2, 2, 3, 4))
                file.create_virtual_dataset("tracks", layout)
    return path


@pytest.mark.parametrize("name", ["sleap.csv", "a.npy", "bomb.npz", "dlc.h5", "sleap.h5"])
def test_a_small_file_that_stands_for_gigabytes_is_refused_before_they_are_asked_for(tmp_path, name):
    path = swollen(tmp_path / name)
    assert path.stat().st_size < 100_000
    said = "mmap length is greater" if name == "a.npy" else r"it stands for [\d,]{9,} bytes, far more than it holds"
    with pytest.raises(InputError, match=f"{name}: .*{said}"):
        read_tracking(path, **RIG)


@pytest.mark.parametrize("name", ["link.h5", "outside.h5", "virtual.h5"])
def test_arrays_of_an_h5_file_that_lie_in_another_file_are_not_opened(tmp_path, name):
    with pytest.raises(InputError, match=rf"{name}: /tracks lies in another file, which is not opened"):
        read_tracking(swollen(tmp_path / name), **RIG)


def write_folder(folder, names=("m1_adultDLC_net_shuffle1_500", "m1_pupDLC_net_shuffle1_500")):
    """A file of one animal for each name, the values of which are those of both in one file."""
    folder.mkdir()
    columns = columns_of()
    values = values_of(columns)
    for place, name in enumerate(names):
        half = slice(place * len(columns) // 2, (place + 1) * len(columns) // 2)
        single = [(scorer, part, cell) for scorer, _, part, cell in columns[half]]
        write_csv(folder / f"{name}.csv", single, values[:, half])
    return write_csv(folder.with_suffix(".csv"), columns, values)


def test_a_file_for_each_animal_is_read_as_one_of_both(tmp_path):
    both = read_tracking(write_folder(tmp_path / "poses"), **RIG)
    (tmp_path / "poses" / ".hidden").touch()
    for order, named in (((0, 1), None), ((0, 1), ("adult", "pup")), ((1, 0), ("pup", "adult"))):
        found = read_tracking(tmp_path / "poses", individuals=named, **RIG)
        np.testing.assert_array_equal(found.keypoints, both.keypoints[:, list(order)])
        np.testing.assert_array_equal(found.scores, both.scores[:, list(order)])
    assert found.name == "poses"


def test_folders_that_are_not_a_file_an_animal_are_refused(tmp_path):
    write_folder(tmp_path / "a", ("adult", "pup"))
    (tmp_path / "a" / "pup.csv").write_text("".join((tmp_path / "a" / "pup.csv").read_text().splitlines(True)[:-1]))
    with pytest.raises(InputError, match=r"pup\.csv: 5 frames of .*, where adult\.csv has 6 .*; export every frame"):
        read_tracking(tmp_path / "a", **RIG)
    (tmp_path / "a" / "pup.csv").unlink()
    with pytest.raises(InputError, match="a: a folder of poses holds a file for each animal, and this one has 1"):
        read_tracking(tmp_path / "a", **RIG)
    write_csv(tmp_path / "a" / "both.csv", columns_of(), values_of(columns_of()))
    with pytest.raises(InputError, match=r"both\.csv: it holds adult, juvenile, where a file of one animal is needed"):
        read_tracking(tmp_path / "a", **RIG)


def test_sleap_tables_and_arrays_hold_the_same_tracks(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text(SLEAP)
    for path in (table, write_sleap(tmp_path / "a.h5")):
        recording = read_tracking(path, individuals=["right", "left"], skeleton=THREE, **RIG)
        assert recording.keypoints[:, 0, 0].tolist() == [[15, 16], [25, 26], [35, 36], [45, 46]]  # tail of right
        assert recording.keypoints[:, 1, 1, 1].tolist() == [2, 4, 6, 6]  # y of left's nose
        assert recording.seen[:, 1, 2].tolist() == [True, False, False, False]  # its ear
        assert recording.scores[2, 1].tolist() == pytest.approx([0.8, 0.7, 0])
    unnamed = read_tracking(
        write_sleap(tmp_path / "b.h5", ()), individuals=["track_1", "track_0"], skeleton=THREE, **RIG
    )
    np.testing.assert_array_equal(unnamed.keypoints, recording.keypoints)


def single_columns(names):
    return [("net", name, cell) for name in names for cell in ("x", "y")]


def write_single(path, names):
    """A csv of a project of one animal, without the row of individuals; values spell frame and column."""
    columns = single_columns(names)
    values = np.arange(4)[:, None] * 100 + np.arange(len(columns))
    header = zip(("scorer", "bodyparts", "coords"), zip(*columns, strict=True), strict=True)
    lines = [",".join([level, *cells]) for level, cells in header]
    path.write_text("\n".join(lines + [",".join(map(str, [t, *row])) for t, row in enumerate(values)]))
    return path


@pytest.mark.parametrize(
    ("names", "animals"),
    [
        (("nose_1", "ear_1", "tail_1", "tail_2", "nose_2", "ear_2"), ("2", "1")),
        (("m1.nose", "m1.ear", "m1.tail", "m2.tail", "m2.nose", "m2.ear"), ("m2", "m1")),
        (("nose1", "ear1", "tail1", "tail2", "nose2", "ear2"), ("2", "1")),
        (("NoseWhite", "ear white", "t_1", "t_2", "nose black", "ear black"), None),
    ],
)
def test_two_animals_of_a_single_animal_project_are_told_apart_by_suffix_or_by_name(tmp_path, names, animals):
    path = write_single(tmp_path / "a.csv", names)
    told = {"individuals": animals}
    if animals is None:
        with pytest.raises(
            InputError, match=r"does not tell two animals apart; say .*resident:PART=NAME .* NoseWhite, "
        ):
            read_tracking(path, skeleton=THREE, **RIG)
        told = {"parts": {"resident:nose": "nose black", "resident:ear": "ear black", "resident:tail": "t_2"}}
        told["parts"] |= {"intruder:nose": "NoseWhite", "intruder:ear": "EAR-WHITE", "intruder:tail": "t_1"}
    recording = read_tracking(path, skeleton=THREE, **told, **RIG)
    # columns: nose, ear, tail of the first animal at 0, 2, 4; tail, nose, ear of the second, the resident, at 6, 8, 10
    assert recording.keypoints[1, 0].tolist() == [[106, 107], [108, 109], [110, 111]]
    assert recording.keypoints[1, 1].tolist() == [[104, 105], [100, 101], [102, 103]]


def test_single_animal_h5_is_read_as_its_csv(tmp_path):
    names = ("nose_1", "ear_1", "tail_1", "nose_2", "ear_2", "tail_2")
    csv = read_tracking(write_single(tmp_path / "a.csv", names), skeleton=THREE, **RIG)
    columns = single_columns(names)
    table = write_table(tmp_path / "a.h5", columns, np.arange(4)[:, None] * 100.0 + np.arange(len(columns)))
    np.testing.assert_array_equal(read_tracking(table, skeleton=THREE, **RIG).keypoints, csv.keypoints)


def test_parts_of_one_animal_may_have_names_of_their_own(tmp_path):
    """As unique parts of DeepLabCut's individual "single"; the other animal's columns of these parts do not exist."""
    columns = [("net", "pup1", name, cell) for name in ("nose", "ear", "tail") for cell in ("x", "y")]
    adult = [("net", "single", f"adult_{name}", cell) for name in ("ear", "nose", "tail") for cell in ("x", "y")]
    path = write_csv(tmp_path / "a.csv", columns + adult, np.arange(3)[:, None] * 100.0 + np.arange(12) + 1)
    recording = read_tracking(path, individuals=["single", "pup1"], skeleton=THREE, **RIG)
    assert recording.keypoints[1, 0].tolist() == [[111, 112], [109, 110], [107, 108]]
    assert recording.keypoints[1, 1].tolist() == [[105, 106], [101, 102], [103, 104]]
    told = read_tracking(path, skeleton=THREE, parts={"intruder:nose": "adult_ear", "tail": "tail"}, **RIG)
    assert told.keypoints[1, 1].tolist() == [[111, 112], [107, 108], [107, 108]]
    with pytest.raises(InputError, match=r"missing parts of single: paw; .* adult_ear, adult_nose, adult_tail"):
        paws = Skeleton(("paw", "tail"), "paw", "tail")
        read_tracking(path, individuals=["single", "pup1"], parts={"intruder:paw": "nose"}, skeleton=paws, **RIG)
    with pytest.raises(InputError, match="'pup1:nose' is none of the 3 parts to map"):
        read_tracking(path, skeleton=THREE, parts={"pup1:nose": "nose"}, **RIG)


def test_mars_json_is_one_sequence_with_the_name_of_its_file(tmp_path):
    mine = sequence(5, annotations=None, metadata=None)
    path = tmp_path / "pair_pose.json"
    path.write_text(json.dumps(mine | {"bbox": []}))
    recording = read_tracking(path, **RIG)
    assert recording.name == "pair_pose" and recording.keypoints[3, 1, 5].tolist() == [355.0, 375.0]


POSE_CASES = {
    "08-dlc-single-animal-two-mice/poses.csv": 0, "09-dlc-resident-in-single/poses.csv": 0,
    "15-mars-json/pair_07_pose_top_v1_8.json": 0.006, "15-mars-json/grouped_no_scores.json": 0.006,
    "16-sleap-analysis/labels.v001.analysis.h5": 0.0006, "16-sleap-analysis/labels.analysis.csv": 0.006,
    "hostile/blank_end.csv": 0, "hostile/excel_de.csv": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", POSE_CASES)
def test_pose_cases_hold_the_ordinary_files_poses(cases, name):
    """Up to the decimals that each form keeps, px."""
    expected = read_tracking(cases / "base" / "base600.csv", **RIG)
    individuals = ["single", "pup1"] if "single/" in name else None
    recording = read_tracking(cases / name, individuals=individuals, **RIG)
    assert len(recording) == (20 if name.endswith("analysis.csv") else 600)
    np.testing.assert_allclose(recording.keypoints, expected.keypoints[: len(recording)], atol=POSE_CASES[name])
    if recording.scores is not None:
        np.testing.assert_allclose(recording.scores, expected.scores[: len(recording)], atol=0.0051)
    assert (recording.scores is None) == ("no_scores" in name) and recording.seen.all()


def test_the_page_on_own_recordings_names_every_form():
    page = (paths.SOURCE / "book" / "own_recording.md").read_text(encoding="utf-8")
    assert [form for form in READERS if form not in page] == []


@pytest.mark.parametrize("form", ["csv", "sleap", "fixed", "sleap h5", "npy", "npz", "packed npz", "json"])
def test_changed_pose_files_are_read_or_refused_in_one_sentence(form, tmp_path):
    """A byte of a file changed, a line twice, or its end cut off, 60 times."""
    columns, path, rng = columns_of(), tmp_path / "a.npz", np.random.default_rng(0)
    write = {
        "csv": lambda: write_csv(path, columns, values_of(columns)),
        "sleap": lambda: path.write_text(SLEAP),
        "fixed": lambda: write_fixed(path, columns, values_of(columns)),
        "sleap h5": lambda: write_sleap(path),
        "npy": lambda: np.save(path.open("wb"), np.zeros((4, 2, 7, 2))),
        "npz": lambda: np.savez(path, a=np.zeros((4, 2, 7, 2))),
        "packed npz": lambda: np.savez_compressed(path, a=np.arange(56.0).reshape(4, 2, 7, 1) * [0.1, 1]),
        "json": lambda: write_release(path, {"mine": sequence(6)}),
    }
    write[form]()
    refused = 0
    for changed in changed_bytes(path.read_bytes(), rng, 60):
        path.write_bytes(changed)
        try:
            read_tracking(path, **RIG)
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused
