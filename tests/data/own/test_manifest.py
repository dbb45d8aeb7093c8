"""A data set of one's own: both files read to the letter, and each fault told in one sentence that names it."""

import numpy as np
import pytest

from mbrepro.data.own import read_recording
from mbrepro.data.own.manifest import DESCRIPTION, TABLE, read_manifest
from mbrepro.data.recordings import UNLABELLED, Skeleton
from mbrepro.errors import InputError
from mbrepro.study import rats
from tests.fixtures.rat_files import write_manifest, write_rats

HEADER = "name,animal,split,poses,labels,video,fps,start,stop\n"


@pytest.fixture
def folder(tmp_path):
    return write_manifest(write_rats(tmp_path, (1, 4)) / "rat_dyads")


def test_recordings_are_those_that_the_rats_page_reads(folder, tmp_path, monkeypatch):
    """A second reader, made for these files alone; semicolons, a comment and a backslash are no hindrance."""
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(tmp_path))
    monkeypatch.setattr(rats, "RECORDINGS", 2)
    manifest = read_manifest(folder)
    assert [(e.name, e.animal, e.split, e.video) for e in manifest.entries] == [
        ("rats01", "pair 1", "", None), ("rats04", "pair 4", "", None),
    ]  # fmt: skip
    for entry, expected in zip(manifest.entries, rats.read(), strict=True):
        found, notes = read_recording(manifest, entry)
        assert (found.name, found.fps, found.classes) == (expected.name, expected.fps, expected.classes)
        assert found.skeleton == Skeleton(rats.RAT.parts, "top", "tail") and found.animal == entry.animal
        for field in ("keypoints", "labels", "seen", "scores"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
        assert notes["points_filled"] == pytest.approx(1 - expected.seen.mean())


def test_labels_count_from_start_to_stop_and_between_bouts_as_the_description_says(folder):
    (folder / TABLE).write_text(HEADER + "a,,,poses/1DLC_dlcrnetms5_x_el_filtered.csv,labels/1_annot.txt,,25,2,6.5\n")
    manifest = read_manifest(folder)
    (entry,) = manifest.entries
    recording, _ = read_recording(manifest, entry)
    assert (entry.animal, recording.fps) == ("a", 25)
    expected = np.repeat([UNLABELLED, 1, 0, UNLABELLED], [50, 70, 43, 137])  # 2 s and 6.5 s at 25 fps: frames 50, 162.5
    np.testing.assert_array_equal(recording.labels, expected)

    gap = (folder / "labels" / "1_annot.txt").read_text().replace("   \t41\t120\tsocial\n", "   \t41\t100\tsocial\n")
    (folder / "labels" / "1_annot.txt").write_text(gap)
    (folder / TABLE).write_text((folder / TABLE).read_text().replace(",2,6.5", ",,"))
    for unlabelled, label in (("other", 2), ("nowhere", UNLABELLED)):
        manifest = read_manifest(write_manifest(folder, unlabelled=unlabelled))
        labels = read_recording(manifest, manifest.entries[0])[0].labels
        assert set(labels[100:120]) == {label} and labels[99] == 1


def test_words_of_yaml_are_labels_like_any(folder):
    manifest = read_manifest(write_manifest(folder, behaviours="{no: off, 1: on}", ignored="[null, yes]"))
    assert manifest.description.meaning == {"no": "off", "1": "on", "null": None, "yes": None}
    assert manifest.description.classes == ("off", "on", "other")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("", "names no recording"),
        ("a,,,p.csv,,,30,,\na,,,q.csv,,,30,,\n", "name a is in two lines"),
        ("a,,,p.csv,,,30,,\nb,,,p.csv,,,30,,\n", "p.csv is in two lines"),
        ("a,,train,p.csv,,,30,,\nb,,,q.csv,,,30,,\n", "train or test in every line"),
        ("a,m,train,p.csv,,,30,,\nb,m,test,q.csv,,,30,,\n", "animal m is in both"),
        ("a,,,p.csv,,,30,,\n../b,,,q.csv,,,30,,\n", r"line 3: a name is letters.*'\.\./b'"),
        ("a,,,,,,30,,\n", "line 2: it names no pose file"),
        ("a,,,p.csv,,,fast,,\n", "line 2: fps must be a number of at least 0, not 'fast'"),
        ("a,,,p.csv,,,nan,,\n", "line 2: fps must be a number"),
        ("a,,,p.csv,,,30,-1,\n", "line 2: start must be a number"),
        ("a,,,p.csv,,,0,,\n", "line 2: fps must be above 0"),
        ("a,,,p.csv\n", "line 2 has 4 cells, not 9"),
    ],
)
def test_a_wrong_line_is_named(folder, rows, sentence):
    (folder / TABLE).write_text(HEADER + rows)
    with pytest.raises(InputError, match=sentence):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"colour": "red"}, "its keys must be"),
        ({"unlabelled": "none"}, "unlabelled must be other or nowhere, not 'none'"),
        ({"roles": "equal"}, "roles must be alike or different"),
        ({"front": "beak"}, "front and rear must be two of the parts"),
        ({"parts": "top"}, "parts must be a list"),
        ({"parts": "[[top], body]"}, "parts must be a list"),
        ({"behaviours": "[a, b]"}, "behaviours must be lines"),
        ({"behaviours": "{a: two words}"}, "a class is one word.*'two words'"),
        ({"individuals": "[one]"}, "individuals must be two"),
        ({"frame_size": "[0, 10]"}, "frame_size must be a number of at least 1, not '0'"),
        ({"offset": "[a, b]"}, "offset must be a number, not 'a'"),
        ({"point_seconds": "{social: 0}"}, "point_seconds must be above 0, .*: social"),
        (
            {"point_seconds": "{bite: 1}"},
            "point_seconds must be above 0, and of a label of .*: bite",
        ),
        ({"min_score": "high"}, "min_score must be a number"),
        ({"channel": "{"}, "not YAML"),
    ],
)
def test_a_wrong_key_is_named(folder, changes, sentence):
    with pytest.raises(InputError, match=sentence) as raised:
        read_manifest(write_manifest(folder, **changes))
    assert str(folder / DESCRIPTION) in str(raised.value)


def test_what_lacks_is_named_before_anything_is_read(folder):
    (folder / TABLE).write_text(HEADER + "a,,,p.csv,,,,,\n")
    manifest = read_manifest(folder)
    with pytest.raises(InputError, match=r"p\.csv: without a video, give fps in recordings\.csv"):
        read_recording(manifest, manifest.entries[0])
    (folder / DESCRIPTION).unlink()
    with pytest.raises(InputError, match=r"dataset\.yml: there is no such file; mbrepro init .* writes one"):
        read_manifest(folder)


def test_links_that_lead_out_of_the_folder_are_not_followed(folder, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.csv").write_text("password")
    (folder / "file.csv").symlink_to(tmp_path / "secret" / "a.csv")
    (folder / "up").symlink_to("..")
    (folder / "animals").mkdir()
    (folder / "animals" / "one.csv").symlink_to(tmp_path / "secret" / "a.csv")
    (folder / "loop").symlink_to("loop")
    for cell in ("file.csv", "up/secret/a.csv", "animals"):
        for row in (f"a,,,{cell},,,30,,", f"a,,,p.csv,{cell},,30,,", f"a,,,p.csv,,{cell},,,"):
            (folder / TABLE).write_text(HEADER + row)
            with pytest.raises(InputError, match=f"line 2: .* leads by a link to {tmp_path}/secret/a.csv"):
                read_manifest(folder)
    (folder / "inside.csv").symlink_to("poses")
    for cell in (
        "inside.csv",
        str(tmp_path / "secret" / "a.csv"),
        "../secret/a.csv",
        "loop",
    ):  # said openly, or no way out
        (folder / TABLE).write_text(HEADER + f"a,,,{cell},,,30,,")
        assert read_manifest(folder).entries[0].poses == folder / cell
    (tmp_path / "link").symlink_to(folder)
    assert read_manifest(tmp_path / "link").entries


def test_a_cell_that_a_spreadsheet_would_compute_is_read_as_it_was(folder):
    (folder / TABLE).write_text(HEADER + "a,'=x,,'=p.csv,'+l.csv,,30,,")
    (entry,) = read_manifest(folder).entries
    assert (entry.animal, entry.poses.name, entry.labels.name) == ("=x", "=p.csv", "+l.csv")
