"""Label files of two hands: which go together, what they leave open, and the labels that come of it."""

import numpy as np
import pandas as pd
import pytest

from mbrepro.data.annotations.boris import write_boris
from mbrepro.data.annotations.bout import Bout
from mbrepro.data.annotations.caltech import write_bento
from mbrepro.data.annotations.paired import paired_files, read_labelled
from mbrepro.errors import InputError
from tests.fixtures.annotations import CALTECH

FIRST = [Bout("groom", 3, 6), Bout("sniff", 6, 9)]
SECOND = [Bout("groom", 4, 6), Bout("rear", 8, 9)]


def frames_csv(path, labels: str, times=None, scores=None):
    """A csv of frames; labels by letter: g, s, r, . for other and x for not scorable."""
    names = {"g": "groom", "s": "sniff", "r": "rear", ".": "other", "x": "not scorable"}
    table = pd.DataFrame({"frame": range(len(labels)), "label": [names[letter] for letter in labels]})
    table = table if times is None else table.assign(time_s=times)
    table = table if scores is None else table.assign(score_groom=scores)
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def two(tmp_path):
    """The same ten frames at 5 a second by two hands, BORIS and Bento."""
    write_boris(tmp_path / "a.csv", FIRST, np.arange(11) / 5)
    write_bento(tmp_path / "b.annot", SECOND, 10, 5)
    return {"v": (tmp_path / "a.csv", tmp_path / "b.annot")}


def letters(labels, classes):
    return "".join("x" if value < 0 else "." if classes[value] == "other" else classes[value][0] for value in labels)


def shown(pairs, **how):
    (only,), classes = read_labelled(pairs, **how)
    return letters(only.predicted, classes), letters(only.true, classes)


def test_two_files_of_different_forms_give_labels_on_one_clock(two):
    (labelled,), classes = read_labelled(two)
    assert classes == ("groom", "rear", "sniff", "other") and labelled.fps == 5
    assert shown(two) == ("...gggsss.", "....gg..r.")


def test_what_behaviours_mean_can_be_said(two):
    assert shown(two, only=["groom"]) == ("...ggg....", "....gg....")
    assert shown(two, renamed={"sniff": "rear"}) == ("...gggrrr.", "....gg..r.")
    assert shown(two, renamed={"sniff": "other", "rear": ""}) == ("...ggg....", "....gg..x.")
    for how in ({"only": ["bite"]}, {"renamed": {"bite": "groom"}}):
        with pytest.raises(InputError, match=r"no file has the behaviour 'bite'.*; they have groom, rear, sniff"):
            read_labelled(two, **how)
    with pytest.raises(InputError, match="none of the files has a behaviour to compare"):
        read_labelled(two, renamed=dict.fromkeys(("groom", "sniff", "rear"), "other"))


def test_files_go_together_by_name_and_those_alone_are_told(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for name in ("ours/m1.frames.csv", "ours/m1.pred.csv", "ours/m1.pred.json", "ours/m2.boris.csv", "ours/m3.annot",
                 "theirs/m1_annot.txt", "theirs/m2.csv", "theirs/m4.tsv", "theirs/notes.md"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pairs, alone = paired_files(ours, theirs)
    assert pairs == {
        "m1": (ours / "m1.frames.csv", theirs / "m1_annot.txt"),
        "m2": (ours / "m2.boris.csv", theirs / "m2.csv"),
    }
    assert alone == [str(ours / "m3.annot"), str(theirs / "m4.tsv")]
    assert paired_files(ours / "m3.annot", theirs / "m4.tsv") == ({"m3": (ours / "m3.annot", theirs / "m4.tsv")}, [])
    (theirs / "m2.annot").touch()
    with pytest.raises(InputError, match=r"theirs: m2 has several label files, m2\.annot, m2\.csv; keep one"):
        paired_files(ours, theirs)
    with pytest.raises(InputError, match="give two label files, or two folders of them"):
        paired_files(ours, theirs / "m2.csv")
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        paired_files(tmp_path / "nowhere", theirs)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"ours has m1, m2, m3 and .*empty has none; name them alike"):
        paired_files(ours, tmp_path / "empty")


def test_the_rate_is_asked_for_where_it_is_open_and_refused_where_it_is_not(tmp_path, two):
    (boris, bento), caltech = two["v"], tmp_path / "c.txt"
    with pytest.raises(InputError, match=r"a\.csv: it tells 5 frames per second, so --fps is not used; leave it out"):
        read_labelled(two, fps=5)
    caltech.write_text(CALTECH.replace("1000000", "10"))
    with pytest.raises(InputError, match=r"c\.txt tell no rate; give --fps"):
        read_labelled({"v": (caltech, caltech)}, channels=("S1", "S1"))
    assert shown({"v": (caltech, caltech)}, channels=("S1", "S1"), fps=7)[0] == "bbbacccccc"
    with pytest.raises(InputError, match="name the channel to read, one of S1, S2"):
        read_labelled({"v": (caltech, caltech)}, fps=7)
    write_bento(bento, SECOND, 10, 5.01)
    with pytest.raises(InputError, match=r"a\.csv and .*b\.annot tell 5 and 5\.01 frames per second; give --fps"):
        read_labelled(two)
    assert shown(two, fps=5) == ("...gggsss.", "....gg..r.")
    assert shown({"v": (boris, caltech)}, channels=("", "S1"))[0] == "...gggsss."  # BORIS has no channel


def test_files_of_unlike_length_are_of_different_recordings(tmp_path, two):
    short = frames_csv(tmp_path / "d.csv", "...ggg.")
    assert shown({"v": (two["v"][0], short)}) == ("...gggs", "...ggg.")
    with pytest.raises(InputError, match=r"a\.csv is of 10 frames and .*e\.csv of 3: they are not of one recording"):
        read_labelled({"v": (two["v"][0], frames_csv(tmp_path / "e.csv", "..g"))})
    empty = tmp_path / "f.csv"
    empty.write_text("label,start_frame,stop_frame\n")
    with pytest.raises(InputError, match="neither has a bout or tells how long the recording is"):
        read_labelled({"v": (empty, empty)}, fps=5)


def test_scores_and_frames_that_are_not_scorable_are_kept_apart(tmp_path):
    scores = [0.1, 0.9, np.nan, 0.4, 0.2]
    pair = frames_csv(tmp_path / "p.csv", ".gx.r", scores=scores), frames_csv(tmp_path / "t.csv", "xg.r.")
    (labelled,), _ = read_labelled({"v": pair}, fps=5)
    assert labelled.scorable.tolist() == [False, True, False, True, True]
    np.testing.assert_array_equal(labelled.scores["groom"], scores)


def test_an_uneven_recording_is_compared_second_by_second(tmp_path):
    """Ten frames in the first second, then ten in two: what happens in the last second is a third of the time."""
    times = np.r_[np.arange(10) / 10, 1 + np.arange(10) / 5]
    labels = "." * 15 + "g" * 5
    csv = frames_csv(tmp_path / "p.csv", labels, times, np.linspace(0, 1, 20))
    write_boris(tmp_path / "t.csv", [Bout("groom", 15, 20)], np.append(times, 3))
    (labelled,), _ = read_labelled({"v": (csv, tmp_path / "t.csv")})
    assert labelled.fps == pytest.approx(19 / 2.8) and np.array_equal(labelled.true, labelled.predicted)
    assert (labelled.true == 0).mean() == pytest.approx(1 / 3, abs=0.5 / 20)
    assert labelled.scores["groom"].shape == labelled.true.shape


def test_a_channel_without_bouts_in_one_recording_is_one_in_which_nothing_happened(tmp_path):
    write_bento(tmp_path / "a.annot", [Bout("groom", 1, 4, "resident"), Bout("rear", 2, 5, "intruder")], 6, 5)
    write_bento(tmp_path / "b.annot", [Bout("groom", 1, 4, "intruder")], 6, 5)
    pairs = {name: (tmp_path / f"{name}.annot",) * 2 for name in "ab"}
    labelled, classes = read_labelled(pairs, channels=("resident", "intruder"))
    assert classes == ("groom", "rear", "other")
    both = [(letters(each.predicted, classes), letters(each.true, classes)) for each in labelled]
    assert both == [(".ggg..", "..rrr."), ("......", ".ggg..")]
    with pytest.raises(
        InputError, match=r"no label file has the channel 'third'; they have \['intruder', 'resident'\]"
    ):
        read_labelled(pairs, channels=("resident", "third"))
