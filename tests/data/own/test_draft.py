"""A drafted manifest: files matched by name in the ways laboratories name them, and looked into."""

from pathlib import Path

import pytest

from mbrepro.data.annotations.bout import Bout
from mbrepro.data.own import draft
from mbrepro.data.own.manifest import TABLE, read_manifest
from mbrepro.errors import InputError
from tests.fixtures.annotations import BENTO
from tests.fixtures.rat_files import write_rats


def test_a_file_of_point_events_is_matched_and_their_length_is_left_to_check(tmp_path):
    folder = write_rats(tmp_path, (1, 4)) / "rat_dyads"
    (folder / "labels" / "4_annot.txt").write_text("Time,Subject,Behavior,Status\n1,S1,bite,POINT\n2,S1,bite,POINT\n")
    assert draft.write_draft(folder, 30.0) == (2, {})
    manifest = read_manifest(folder)
    assert manifest.entries[1].labels.name == "4_annot.txt" and manifest.description.points == {}
    assert "bite: bite  # 2 bouts in 1 files" in (folder / "dataset.yml").read_text()


@pytest.mark.parametrize(
    ("poses", "labels", "pairs"),
    [
        (["a1DLC_net", "a2DLC_net", "a10DLC_net"], ["a1", "a10"], {"a1DLC_net": "a1", "a10DLC_net": "a10"}),
        (["tracks_1", "tracks_2"], ["coded 2", "coded 1"], {"tracks_1": "coded 1", "tracks_2": "coded 2"}),
        (["m1_day1DLC", "m1_day2DLC", "m2_day1DLC"], ["m1_day1", "m2_day1"], {"m1_day1DLC": "m1_day1",
                                                                             "m2_day1DLC": "m2_day1"}),
        (["one/poses", "two/poses"], ["one/events", "two/events"], {"one/poses": "one/events",
                                                                    "two/poses": "two/events"}),
        (["poses/10", "poses/20"], ["labels/20", "labels/30"], {"poses/20": "labels/20"}),
        (["whatever"], ["else"], {"whatever": "else"}),
        (["a", "b"], ["c", "d"], {}),
    ],
)  # fmt: skip
def test_files_that_say_the_same_are_matched(poses, labels, pairs):
    folder = Path("data")
    found = draft.matched(folder, [folder / f"{name}.csv" for name in poses], [folder / f"{n}.txt" for n in labels])
    assert found == {folder / f"{one}.csv": folder / f"{other}.txt" for one, other in pairs.items()}


def test_draft_of_rats_is_read_back_with_what_the_files_hold(tmp_path):
    folder = write_rats(tmp_path, (10, 4, 1)) / "rat_dyads"
    (folder / "labels" / "77_annot.txt").write_text((folder / "labels" / "4_annot.txt").read_text())
    (folder / "READ ME.txt").write_text("nothing")
    count, left = draft.write_draft(folder, 30.0)
    assert count == 3
    assert {Path(name).name for name in left} == {"77_annot.txt", "READ ME.txt"}
    manifest = read_manifest(folder)
    assert [(e.name, e.labels.name, e.fps, e.video) for e in manifest.entries] == [
        (str(n), f"{n}_annot.txt", 30.0, None) for n in (1, 4, 10)
    ]
    what = manifest.description
    assert (what.skeleton.parts, what.skeleton.front, what.skeleton.rear) == (
        ("top", "body", "tail", "tail-m", "tail-e"), "top", "tail",
    )  # fmt: skip
    assert what.meaning == {name: name for name in ("base", "social", "aggression", "nonsocial")}
    assert (what.channel, what.between) == ("S1", None) and what.reading["individuals"] == [
        "individual1",
        "individual2",
    ]
    width, height = what.reading["frame_size"]
    assert 800 < width < 820 and 890 < height < 925  # 800 and 900 px, give or take what 3 px of noise reach
    text = (folder / "dataset.yml").read_text()
    assert "social: social  # 4 bouts in 4 files" in text and "(of S1, S2)" in text
    with pytest.raises(InputError, match=r"recordings\.csv: it is there already"):
        draft.write_draft(folder)


def test_a_point_that_a_file_lacks_is_left_out_and_gaps_between_bouts_are_other(tmp_path):
    folder = write_rats(tmp_path, (1, 4)) / "rat_dyads"
    poses = folder / "poses" / "1DLC_dlcrnetms5_x_el_filtered.csv"
    rows = [line.split(",") for line in poses.read_text().splitlines()]
    rows = rows[:4] + [[*row[:13], "", "", "", *row[16:]] for row in rows[4:]]  # tail-e of the first rat
    poses.write_text("\n".join(map(",".join, rows)) + "\n")
    for path in (folder / "labels").iterdir():
        path.write_text(BENTO)
    draft.write_draft(folder)
    what = read_manifest(folder).description
    assert what.skeleton.parts == ("top", "body", "tail", "tail-m")
    assert (what.channel, what.between, what.meaning) == ("Ch1", "other", {"attack": "attack"})


def test_covered_share_counts_overlaps_once():
    """Frames 0 to 9 and 5 to 14 of 20, and all of 4."""
    bouts = [[Bout("a", 0, 10), Bout("b", 5, 15), Bout("c", 19, 20)], [Bout("a", 3, 7)], []]
    assert draft._covered(bouts) == 20 / 24


def test_a_folder_without_poses_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no pose file"):
        draft.write_draft(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_draft_leaves_links_out_and_file_names_are_no_formulas(tmp_path):
    folder = write_rats(tmp_path, (1, 4)) / "rat_dyads"
    first, second = sorted((folder / "poses").iterdir())
    first.rename(folder / "=1+2.csv")
    second.rename(folder / "=3+4.csv")
    (tmp_path / "5.csv").write_bytes((folder / "=1+2.csv").read_bytes())
    (folder / "5.csv").symlink_to(tmp_path / "5.csv")
    _, left = draft.write_draft(folder, 30)
    assert left[str(folder / "5.csv")].startswith(f"it leads by a link to {tmp_path}/5.csv")
    assert ",'=1+2.csv," in (folder / TABLE).read_text()
    assert {entry.poses.name for entry in read_manifest(folder).entries} == {"=1+2.csv", "=3+4.csv"}
