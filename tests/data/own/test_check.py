"""What a check finds: a line a recording, counted by hand, and all that is wrong at once."""

import pytest

from mbrepro import cli
from mbrepro.data.own.check import check
from mbrepro.data.own.manifest import read_manifest
from tests.fixtures.rat_files import FRAMES, write_manifest, write_rats


@pytest.fixture
def folder(tmp_path):
    return write_manifest(write_rats(tmp_path, (1, 4, 7, 10)) / "rat_dyads")


def test_table_counts_frames_and_bouts(folder):
    found = check(read_manifest(folder))
    assert found.errors == () and found.notes == ()
    assert found.table["name"].tolist() == ["rats01", "rats04", "rats07", "rats10"]
    for column, value in {
        "frames": FRAMES,
        "fps": 30,
        "labelled": 210,
        "bouts_social": 1,
        "bouts_aggression": 1,
    }.items():
        assert (found.table[column] == value).all(), column
    assert found.table["missing"].mean() == pytest.approx(1 / 3, abs=0.02)


def test_every_problem_is_told_at_once_and_forbids_going_on(folder, capsys):
    poses = {path.name.split("DLC")[0]: path for path in (folder / "poses").iterdir()}
    poses["1"].write_text(poses["1"].read_text()[:-40])  # cut short, and its labels are damaged too
    (folder / "labels" / "1_annot.txt").write_text("Caltech Behavior Annotator - Annotation File\n")
    (folder / "labels" / "4_annot.txt").unlink()
    text = (folder / "labels" / "7_annot.txt").read_text()
    (folder / "labels" / "7_annot.txt").write_text(text.replace("social", "huddle"))
    assert cli.main(["check", str(folder)]) == 2
    out = capsys.readouterr().out
    errors = [line for line in out.splitlines() if line.startswith("error: ")]
    assert len(errors) == 4
    for name, sentence in {
        poses["1"].name: "has",
        "1_annot.txt": "its streams end at different frames (nowhere)",
        "4_annot.txt": "cannot be read",
        "7_annot.txt": "say which class 'huddle' is",
    }.items():
        assert any(name in line and sentence in line for line in errors), name
    assert "rats10" in out and "nothing forbids" not in out


def test_point_events_need_a_length_in_the_manifest(folder):
    """A file of events in place of one of frames: social for 2 s, and two bites of .1 s each."""
    events = "Time,Subject,Behavior,Status\n1,S1,social,START\n3,S1,social,STOP\n4,S1,bite,POINT\n5,S1,bite,POINT\n"
    (folder / "labels" / "1_annot.txt").write_text(events)
    meaning = "{aggression: aggression, bite: aggression, social: social, nonsocial: other}"
    write_manifest(folder, behaviours=meaning)
    (error,) = check(read_manifest(folder)).errors
    assert "1_annot.txt: bite at 4 s is a point event, which has no length; give it one, point_seconds in" in error
    found = check(read_manifest(write_manifest(folder, behaviours=meaning, point_seconds="{bite: 0.1}")))
    assert found.errors == () and found.table["bouts_aggression"].tolist() == [2, 1, 1, 1]


def test_a_class_of_one_recording_cannot_be_learned_and_one_without_labels_is_noted(folder):
    for number in (1, 4, 7):
        path = folder / "labels" / f"{number}_annot.txt"
        path.write_text(path.read_text().replace("121\t180\taggression", "121\t180\tsocial"))
    table = folder / "recordings.csv"
    table.write_text(table.read_text().replace("labels\\1_annot.txt", ""))
    found = check(read_manifest(folder))
    assert len(found.errors) == 1 and "aggression is in 1 recordings, and at least 2" in found.errors[0]
    assert found.notes == ("rats01: it has no labels, so nothing is learned from it",)


def test_absence_and_points_outside_the_picture_are_noted(folder):
    path = next(path for path in (folder / "poses").iterdir() if path.name.startswith("4DLC"))
    rows = [line.split(",") for line in path.read_text().splitlines()]
    rows[4:] = [row[:16] + [""] * 15 if 30 <= k < 220 else row for k, row in enumerate(rows[4:])]
    path.write_text("\n".join(map(",".join, rows)) + "\n")
    found = check(read_manifest(write_manifest(folder, frame_size="[800, 1000]")))
    assert found.table["absent_s"].tolist() == pytest.approx([0, 190 / 30, 0, 0])
    # frames 40 to 179 of those are labelled as a behaviour of two, 180 to 219 as other, the rest not at all
    assert any("an animal is absent in 4.7 s" in note and path.name in note for note in found.notes)
    assert sum("of the points lie outside the picture" in note for note in found.notes) == 4
