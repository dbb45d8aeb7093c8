"""Label files of other tools."""

from collections import Counter

import numpy as np
import pytest

from mbrepro import paths
from mbrepro.data.annotations import READERS, read_behaviour, read_bouts, read_frame_labels
from mbrepro.data.annotations.bout import Bout
from mbrepro.data.recordings import UNLABELLED
from mbrepro.errors import InputError
from tests.fixtures.annotations import BENTO, CALTECH


def write_boris(
    path, events, header="Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Status"
):
    top = "Observation id,x,,\n,,,\nTime offset (s),0.0,,\n"
    rows = [f"{time},/a b.avi,9,30,{subject},{behaviour},,{status}" for time, subject, behaviour, status in events]
    path.write_text(top + "\n".join([header, *rows]) + "\n")
    return path


def test_boris_events_become_frames(tmp_path):
    events = [
        (0.5, "adult", "interact", "START"), (0.6, "adult", "groom", "START"), (1.0, "adult", "interact", "STOP"),
        (1.1, "juvenile", "interact", "START"), (1.2, "adult", "interact", "START"), (1.2, "adult", "groom", "STOP"),
        (1.3, "juvenile", "interact", "STOP"), (9.0, "adult", "interact", "STOP"),
    ]  # fmt: skip
    happening = read_behaviour(write_boris(tmp_path / "a.csv", events), "interact", 10, 20)
    assert np.flatnonzero(happening).tolist() == [5, 6, 7, 8, 9, *range(11, 20)]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([(1, "a", "groom", "START"), (2, "a", "groom", "STOP")], "no 'interact' in it, only groom"),
        ([(1, "a", "interact", "START")], "the last interact of 'a' has a START but no STOP"),
        ([(1, "a", "interact", "STOP")], "interact at 1 s is STOP out of turn"),
        ([(1, "a", "interact", "START"), (2, "a", "interact", "START")], "interact at 2 s is START out of turn"),
        ([(1, "a", "interact", "POINT")], "interact at 1 s is POINT out of turn"),
        ([("soon", "a", "interact", "START")], "'soon' is not a time"),
    ],
)
def test_unusable_events_are_refused(tmp_path, events, words):
    with pytest.raises(InputError, match=words):
        read_behaviour(write_boris(tmp_path / "a.csv", events), "interact", 30, 100)


def test_file_of_no_known_form_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none of the label files that can be read, which are Caltech.*, BORIS csv"):
        read_behaviour(write_boris(tmp_path / "a.csv", [], header="a,b"), "interact", 30, 100)
    with pytest.raises(InputError, match="not a BORIS csv export, which has the columns Time"):
        read_behaviour(write_boris(tmp_path / "a.csv", [], header="Behavior,Status"), "interact", 30, 100)
    with pytest.raises(InputError, match="cannot be read as text"):
        read_behaviour(tmp_path / "none.csv", "interact", 30, 100)


def write(path, text, newline="\n"):
    path.write_text(text, newline=newline)
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_caltech_bouts_count_frames_from_one_and_include_the_last(tmp_path, newline):
    path = write(tmp_path / "a.txt", CALTECH, newline)
    first, second = ("S1", "S2")
    assert read_bouts(path, 30) == [
        Bout("base", 0, 3, first), Bout("attack", 3, 4, first), Bout("close-up", 4, 1_000_000, first),
        Bout("base", 0, 1_000_000, second),
    ]  # fmt: skip
    assert read_bouts(path, 30, ["attack"]) == [Bout("attack", 3, 4, first)]
    assert np.flatnonzero(read_behaviour(path, "attack", 30, 9)).tolist() == [3]
    with pytest.raises(InputError, match="no 'bite' in it, only attack, base, close-up"):
        read_behaviour(path, "bite", 30, 9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("4\t4\tattack", "4\t4"), "line 11 is no bout of a known behaviour"),
        (("4\t4\tattack", "4\t4\tatt"), "line 11 is no bout of a known behaviour .*att"),
        (("4\t4\tattack", "4\t3\tattack"), "line 11 is no bout"),
        (("4\t4\tattack", "0\t3\tattack"), "line 11 is no bout"),
        (("4\t4\tattack", "four\t4\tattack"), "line 11 is no bout"),
        (("4\t4\tattack", "3.5\t4\tattack"), "line 11 is no bout"),
        (("1\t1000000\tbase", "1\t100000\tbase"), "S1 at frame 1000000, S2 at frame 100000"),
        (("   \t1\t1000000\tbase\n", ""), "S2 at frame 0.; the file is not whole"),
        ((CALTECH[CALTECH.index("S1:") :], ""), r"\(nowhere\); the file is not whole"),
    ],
)
def test_damaged_caltech_file_is_refused_by_line(tmp_path, change, words):
    assert change[0] in CALTECH
    with pytest.raises(InputError, match=words) as caught:
        read_bouts(write(tmp_path / "a.txt", CALTECH.replace(*change)), 30)
    assert str(caught.value).startswith(f"{tmp_path / 'a.txt'}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_bento_bouts_of_frames_and_of_seconds_are_the_same(tmp_path, newline):
    expected = [Bout("attack", 3, 4, "Ch1"), Bout("attack", 30, 61, "Ch1"), Bout("sniff", 9, 12, "top view")]
    assert read_bouts(write(tmp_path / "a.annot", BENTO, newline), 30) == expected
    seconds = BENTO.replace("4\t4\t1", "0.1\t0.1\t0").replace("31\t61\t31", "1\t2\t1")
    seconds = seconds.replace("10\t12\t3", "0.3\t0.36\t0.06")
    assert read_bouts(write(tmp_path / "b.annot", seconds, newline), 30) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("4\t4\t1", "4\t4"), "line 16 is no bout"),
        (("31\t61\t31", "61\t31\t31"), "line 17 is no bout"),
        ((">attack\n", ""), "line 15 is no bout"),
        (("31\t61\t31", "inf\t61.0\t31"), "line 17 is no bout"),
    ],
)
def test_damaged_bento_file_is_refused_by_line(tmp_path, change, words):
    assert change[0] in BENTO
    with pytest.raises(InputError, match=words):
        read_bouts(write(tmp_path / "a.annot", BENTO.replace(*change)), 30)


def test_labels_of_frames_say_what_every_behaviour_means(tmp_path):
    meaning = {"attack": "fight", "close-up": "other", "base": None}
    path = write(tmp_path / "a.txt", CALTECH.replace("1000000", "9"))
    how = {"fps": 5, "frames": 8, "classes": ("fight", "other")}  # poses end a frame earlier than labels
    labels = read_frame_labels(path, meaning=meaning, channel="S1", **how)
    assert labels.tolist() == [UNLABELLED] * 3 + [0, 1, 1, 1, 1]
    bento = write(tmp_path / "a.annot", BENTO)
    meaning = {"attack": "fight", "sniff": "other"}
    for between, rest in (("other", 1), (None, UNLABELLED)):
        labels = read_frame_labels(bento, channel="Ch1", meaning=meaning, between=between, **how | {"frames": 60})
        assert labels.tolist() == [rest] * 3 + [0] + [rest] * 26 + [0] * 30
    with pytest.raises(InputError, match="attack goes on to frame 61 of a recording of 55"):
        read_frame_labels(bento, channel="Ch1", meaning=meaning, **how | {"frames": 55})
    with pytest.raises(InputError, match="name the channel to read, one of Ch1, top view"):
        read_frame_labels(bento, meaning=meaning, **how)
    with pytest.raises(InputError, match="name the channel to read, one of S1, S2"):
        read_frame_labels(path, meaning={}, channel="S3", **how)
    with pytest.raises(InputError, match="say which class 'base' is, or that its frames do not count"):
        read_frame_labels(path, meaning={}, channel="S2", **how)
    overlapping = write(
        tmp_path / "b.annot", BENTO.replace(">attack\n", ">attack\nStart\tStop\tDuration\n2\t9\t8\n\n>sniff\n")
    )
    with pytest.raises(InputError, match="frame 3 is in bouts of two classes, one of them sniff"):
        read_frame_labels(overlapping, channel="Ch1", meaning=meaning, **how | {"frames": 60})


def test_the_page_on_own_recordings_names_every_form():
    page = (paths.SOURCE / "book" / "own_recording.md").read_text(encoding="utf-8")
    assert [form for form in READERS if form not in page] == []


def test_real_labels_of_two_rats(real_data):
    """FACTS of all 58 recordings are sums; of the 20 here, frames and bouts were counted by a regular expression."""
    bouts = read_bouts(real_data / "rat_dyads" / "labels" / "1_annot.txt", 30)
    by_channel = Counter(bout.channel for bout in bouts)
    assert by_channel == {"S1": 70, "S2": 107} and bouts[0] == Bout("base", 0, 535, "S1")
    frames = Counter()
    for bout in bouts:
        frames[bout.channel, bout.behaviour] += bout.stop - bout.start
    first = {name: count for (channel, name), count in frames.items() if channel == "S1"}
    assert first == {"aggression": 3767, "base": 2734, "nonsocial": 4151, "social": 4082}
