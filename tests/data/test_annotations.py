"""Label files of other tools."""

import io
import json
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from mbrepro import paths
from mbrepro.data.annotations import READERS, read_behaviour, read_bouts, read_extent, read_frame_labels
from mbrepro.data.annotations.boris import COLUMNS
from mbrepro.data.annotations.boris import write_boris as boris_csv
from mbrepro.data.annotations.bout import NOT_SCORABLE, Bout
from mbrepro.data.annotations.caltech import write_bento
from mbrepro.data.annotations.plain import frame_scores
from mbrepro.data.recordings import UNLABELLED, frame_at
from mbrepro.errors import InputError
from tests.fixtures.annotations import BENTO, CALTECH
from tests.fixtures.changed import changed_bytes


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
        (1.3, "juvenile", "interact", "STOP"), (2.9, "adult", "interact", "STOP"),
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
        ([(1, "a", "interact", "POINT")], "interact at 1 s is a point event, which has no length"),
        ([("soon", "a", "interact", "START"), (2, "a", "interact", "STOP")], "'soon' is not a time"),
        ([("inf", "a", "interact", "START"), (2, "a", "interact", "STOP")], "'inf' is not a time"),
        ([(1, "a", "interact", "START"), (9, "a", "interact", "STOP")], "goes on to frame 270 of a recording of 100"),
    ],
)
def test_unusable_events_are_refused(tmp_path, events, words):
    with pytest.raises(InputError, match=words):
        read_behaviour(write_boris(tmp_path / "a.csv", events), "interact", 30, 100)


def test_file_of_no_known_form_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none of the label files that can be read, which are Caltech.*, BORIS"):
        read_behaviour(write_boris(tmp_path / "a.csv", [], header="a,b"), "interact", 30, 100)
    with pytest.raises(InputError, match="no BORIS export of events, which has the columns Behavior with Time"):
        read_behaviour(write_boris(tmp_path / "a.csv", [], header="Behavior,Status"), "interact", 30, 100)
    with pytest.raises(InputError, match="cannot be read as text"):
        read_behaviour(tmp_path / "none.csv", "interact", 30, 100)


TABULAR = """Observation id,pair,,,,
Description,"Behavior of
two",,,,
Time offset (s),OFFSET,,,,
variable,value,,,,
,,,,,
Time,Media file path,Subject,Behavior,Modifier #1,Status
0.5,a.mp4,adult,groom,,START
0.60,a.mp4,adult,sniff,face,START
0.7,a.mp4,adult,sniff,tail,START
0:0:01.0,a.mp4,adult,groom,,STOP
1.1,a.mp4,adult,sniff,tail,STOP
1.2,a.mp4,adult,sniff,face,STOP
2.0,a.mp4,,jump,,POINT
,,,,,
"""
VERSION_8 = """\
Observation id,Time offset (s),Subject,Behavior,Modifier #1,Behavior type,Time,Media file name,Image index
pair,4.0,adult,groom,,START,4.5,a.mp4,5
pair,4.0,adult,sniff,face,START,4.6,a.mp4,6
pair,4.0,adult,sniff,tail,START,4.7,a.mp4,7
pair,4.0,adult,groom,,STOP,5.0,NA,10
pair,4.0,adult,sniff,tail,STOP,5.1,Not found,11
pair,4.0,adult,sniff,face,STOP,5.2,a.mp4,12
"""
AGGREGATED = """Observation id,Subject,Behavior,Modifiers,Behavior type,Start (s),Stop (s),Duration (s)
pair,adult,groom,,STATE,0.5,1.0,0.5
pair,adult,sniff,face,STATE,0.6,1.2,0.6
pair,adult,sniff,tail,STATE,0.7,1.1,0.4
"""
BOUTS = {Bout("groom", 5, 10, "adult"), Bout("sniff", 6, 12, "adult"), Bout("sniff", 7, 11, "adult")}


@pytest.mark.parametrize("text", [TABULAR.replace("OFFSET", "0.0"), VERSION_8, AGGREGATED])
@pytest.mark.parametrize("change", ["", "\t", ";"])
def test_every_form_of_boris_and_every_separator_gives_the_same_bouts(tmp_path, text, change):
    if change:
        text = text.replace(",", change)
    if change == ";":
        text = text.replace(".", ",").replace("a,mp4", "a.mp4")
    path = write(tmp_path / "a", text)
    assert {b for name in ("groom", "sniff") for b in read_bouts(path, 10, name)} == BOUTS


def test_boris_times_count_from_the_offset_of_the_observation(tmp_path):
    early = write(tmp_path / "early.csv", TABULAR.replace("OFFSET", "-1"))
    assert read_bouts(early, 10, "groom") == [Bout("groom", 15, 20, "adult")]
    late = write(tmp_path / "late.csv", TABULAR.replace("OFFSET", "4"))
    with pytest.raises(InputError, match=r"late\.csv: groom at 0\.5 s is before the time offset 4; export again"):
        read_bouts(late, 10, "groom")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("pair,4.0,adult,sniff,face,STOP", "b,4.0,adult,sniff,face,STOP"),
            r"Observation id has 2 values \(b, pair\)",
        ),
        (("Not found", "b.mp4"), r"Media file name has 2 values \(a\.mp4, b\.mp4\); export each to a file of its own"),
        (("sniff,tail,STOP", "sniff,nose,STOP"), "sniff at 5.1 s is STOP out of turn; mend it in BORIS"),
        (("START,4.5", "START,1.234.5"), "'1.234.5' is not a time"),
    ],
)
def test_boris_file_that_could_mean_several_things_is_refused(tmp_path, change, words):
    assert change[0] in VERSION_8
    with pytest.raises(InputError, match=words):
        read_bouts(write(tmp_path / "a.csv", VERSION_8.replace(*change)), 10)


def test_times_of_labels_fall_on_the_frames_of_an_uneven_clock(tmp_path):
    """Frames at 0, .1, .2, .4, .8, 1.6 s; beyond them the mean rate of 5 frames in 1.6 s goes on."""
    clock = np.array([0, 0.1, 0.2, 0.4, 0.8, 1.6])
    frames = [frame_at(seconds, clock) for seconds in (-0.32, 0, 0.14, 0.29, 0.31, 0.65, 1.6, 2.25)]
    assert frames == [-1, 0, 1, 2, 3, 4, 5, 7]
    assert read_bouts(write(tmp_path / "a", AGGREGATED), clock, "groom") == [Bout("groom", 3, 4, "adult")]
    assert frame_at(1.6, np.zeros(1)) == 2  # a single frame has no rate


BORIS_CASES = [
    "01-boris-v8-tabular/events.csv", "01-boris-v8-tabular/same_v7.csv", "02-boris-aggregated/events.csv",
    "03-boris-time-offset/offset_4s.csv", "03-boris-time-offset/offset_epoch.csv", "05-boris-tsv-semicolon/events.tsv",
]  # fmt: skip


@pytest.mark.parametrize("name", BORIS_CASES)
def test_boris_cases_hold_the_events_of_the_plain_file(cases, name):
    expected = read_bouts(cases / "03-boris-time-offset" / "no_offset.csv", 30)
    assert sorted(map(str, read_bouts(cases / name, 30))) == sorted(map(str, expected))
    assert Counter(bout.behaviour for bout in expected) == {"investigation": 3, "mount": 1}
    assert read_behaviour(cases / name, "investigation", 30, 600).mean() == pytest.approx(0.463, abs=5e-4)


def test_boris_case_of_points_is_refused_truly_or_read_with_their_length(cases):
    path = cases / "07-boris-point-and-close" / "point.csv"
    with pytest.raises(InputError, match=r"point\.csv: attack at 3\.000 s is a point event, which has no length"):
        read_bouts(path, 30)
    assert read_bouts(path, 30, points={"attack": 0.2}) == [Bout("attack", at, at + 6, "resident") for at in (90, 270)]


def test_point_events_have_the_length_that_they_are_given(tmp_path):
    """At 10 frames a second: half a second each, cut at the media's end at 9 s, and one frame for a hundredth."""
    points = [(1.0, "a", "bite", "POINT"), (1.2, "b", "bite", "POINT"), (8.8, "a", "bite", "POINT")]
    groom = [(2, "a", "groom", "START"), (9, "a", "groom", "STOP")]
    path = write_boris(tmp_path / "a.csv", [*points, *groom])
    bites = [Bout("bite", 10, 15, "a"), Bout("bite", 12, 17, "b"), Bout("bite", 88, 90, "a")]
    assert read_bouts(path, 30, "bite", {"bite": 0.5})[2].stop == 9 * 30  # as the file has it, 9 s at 30 a second
    wider = path.read_text().replace(",9,30,", ",9,10,")
    assert read_bouts(write(path, wider), 10, points={"bite": 0.5}) == [*bites, Bout("groom", 20, 90, "a")]
    assert np.flatnonzero(read_behaviour(path, "bite", 10, 90, 0.5)).tolist() == [*range(10, 17), 88, 89]
    for length in ({"bite": 0.01}, None):
        assert [bout.stop - bout.start for bout in read_bouts(path, 10, "bite", length)] == [1, 1, 1]
    aggregated = write(tmp_path / "b.csv", AGGREGATED + "pair,adult,bite,,POINT,1.5,1.5,NA\n")
    assert read_bouts(aggregated, 10, "bite", {"bite": 1}) == [Bout("bite", 15, 25, "adult")]
    with pytest.raises(
        InputError, match=r"bite at 1\.0 s is a point event, .* one, point_seconds in dataset\.yml or --p"
    ):
        read_bouts(path, 10, points={"groom": 1})
    with pytest.raises(InputError, match=r"a\.csv: 'groom' has no point events; leave its seconds out"):
        read_behaviour(path, "groom", 10, 90, 0.5)


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
    assert read_bouts(path, 30, "attack") == [Bout("attack", 3, 4, first)]
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
    how = {"clock": 5, "frames": 8, "classes": ("fight", "other")}  # poses end a frame earlier than labels
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


UNEVEN = np.cumsum(np.random.default_rng(3).choice([1 / 30, 1 / 15, 0.041], 501))


def drawn_bouts(frames: int) -> list[Bout]:
    """Bouts of two behaviours by each of two animals, some of them touching, the last one at the very end."""
    rng, bouts = np.random.default_rng(frames), []
    for channel in ("resident", "intruder"):
        for behaviour in ("attack", "close, quiet"):
            edges = sorted({*rng.integers(0, frames, 40).tolist()})
            bouts += [Bout(behaviour, a, b, channel) for a, b in pairwise(edges) if a % 3]
    return [*bouts, Bout("attack", frames - 1, frames, "third")]


@pytest.mark.parametrize("clock", [30, 25, 29.97, 200, 1000, 7.5, UNEVEN[:-1]], ids=lambda clock: str(np.mean(clock)))
def test_boris_csv_is_read_back_to_the_frame_by_pandas_and_by_the_reader(tmp_path, clock):
    edges = np.arange(501) / clock if np.ndim(clock) == 0 else UNEVEN
    bouts, path = drawn_bouts(500), tmp_path / "pair.boris.csv"
    boris_csv(path, bouts, edges, "pair.mp4")
    table = pd.read_csv(path)
    assert tuple(table.columns) == COLUMNS and table["Time"].is_monotonic_increasing
    assert set(table["Media file name"]) == {"pair.mp4"} and table["FPS"][0] == pytest.approx(500 / np.ptp(edges), 1e-5)
    assert (np.abs(edges[table["Image index"]] - table["Time"]) < 1e-6).all()
    found = []
    for (channel, behaviour), rows in table.groupby(["Subject", "Behavior"]):
        starts, stops = (rows.loc[rows["Behavior type"] == kind, "Time"].to_numpy() for kind in ("START", "STOP"))
        assert len(starts) == len(stops) == len(rows) / 2
        spans = (np.abs(edges[:, None] - times).argmin(0) for times in (starts, stops))
        found += [Bout(behaviour, int(a), int(b), channel) for a, b in zip(*spans, strict=True)]
    assert sorted(map(str, found)) == sorted(map(str, bouts)) == sorted(map(str, read_bouts(path, clock)))
    assert read_extent(path).frames == 500 and read_extent(path).clock == pytest.approx(500 / np.ptp(edges), 1e-5)


def test_boris_csv_has_the_columns_of_the_real_programs_export(cases):
    with (cases / "01-boris-v8-tabular" / "events.csv").open() as file:
        assert tuple(file.readline().strip().split(",")) == COLUMNS


def test_bento_annot_is_read_back_to_the_frame_by_another_parser_and_by_the_reader(tmp_path):
    bouts, path = drawn_bouts(500), tmp_path / "pair.annot"
    write_bento(path, bouts, 500, 29.97, "pair.mp4")
    head, *channels = re.split(r"^(.+)-{10}\n", path.read_text(), flags=re.MULTILINE)
    lists = re.search(r"List of channels:\n(.*?)\n\nList of annotations:\n(.*?)\n\n", head, re.DOTALL)
    assert lists[1].split("\n") == channels[::2] == ["intruder", "resident", "third"]
    assert lists[2].split("\n") == ["attack", "close, quiet"]
    found = []
    for channel, body in zip(channels[::2], channels[1::2], strict=True):
        for section in body.split(">")[1:]:
            behaviour, rows = section.split("\n", 1)
            table = pd.read_csv(io.StringIO(rows), sep="\t")
            assert (table["Stop"] - table["Start"] + 1 == table["Duration"]).all()
            spans = zip(table["Start"] - 1, table["Stop"], strict=True)
            found += [Bout(behaviour, int(a), int(b), channel) for a, b in spans]
    assert sorted(map(str, found)) == sorted(map(str, bouts)) == sorted(map(str, read_bouts(path, 30)))
    assert read_extent(path) == (29.97, 500)


def test_files_without_bouts_are_written_and_bouts_beyond_the_end_are_not(tmp_path):
    boris_csv(tmp_path / "a.csv", [], np.arange(11) / 5)
    write_bento(tmp_path / "a.annot", [], 10, 5)
    assert read_bouts(tmp_path / "a.csv", 5) == read_bouts(tmp_path / "a.annot", 5) == []
    with pytest.raises(InputError, match=r"b\.csv: groom ends at frame 11, and the recording at 10"):
        boris_csv(tmp_path / "b.csv", [Bout("groom", 3, 11)], np.arange(11) / 5)
    with pytest.raises(InputError, match=r"b\.annot: groom ends at frame 11, and the recording at 10"):
        write_bento(tmp_path / "b.annot", [Bout("groom", 3, 11)], 10, 5)
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "a.annot"}


BY_FRAME = (
    "frame,time_s,p_action,label,score_groom\n0,0,.1,other,.2\n1,.1,,not scorable,\n2,.2,.9,groom,.7\n3,.3,.9,,.6\n"
)
TWO = [("groom", 5, 10), ("sniff", 6, 12)]
PLAIN = {
    "bouts by frame": ("label,start_s,stop_s,start_frame,stop_frame\ngroom,9,9,5,10\nsniff,9,9,6,12\n", TWO),
    "bouts by time": ("Behavior;start_s;stop_s\ngroom;0,5;1,0\nsniff;0,6;1,2\n", TWO),
    "frames": (BY_FRAME, [("other", 0, 1), (NOT_SCORABLE, 1, 2), ("groom", 2, 3), (NOT_SCORABLE, 3, 4)]),
    "classes": (",groom,sniff\n0,1,0\n1,1,1\n2,0,1\n3,0,0\n", [("groom", 0, 2), ("sniff", 1, 3)]),
}  # fmt: skip


@pytest.mark.parametrize("form", PLAIN)
def test_plain_tables_give_their_bouts(tmp_path, form):
    text, expected = PLAIN[form]
    path = write(tmp_path / "a.csv", text)
    assert read_bouts(path, 10) == [Bout(*each) for each in expected]
    with pytest.raises(InputError, match=r"a\.csv: no 'bite' in it, only"):
        read_bouts(path, 10, "bite")


def test_plain_tables_tell_the_extent_of_their_recording(tmp_path):
    frames = write(tmp_path / "a.csv", BY_FRAME)
    assert read_extent(frames).frames == 4 and read_extent(frames).clock == pytest.approx(10)
    assert frame_scores(frames)["groom"].tolist() == pytest.approx([0.2, np.nan, 0.7, 0.6], nan_ok=True)
    uneven = read_extent(write(tmp_path / "b.csv", BY_FRAME.replace("3,.3", "3,.9")))
    assert uneven.clock.tolist() == [0, 0.1, 0.2, 0.9]
    # six digits are all that a long recording's times have: 4 hours at 30 frames a second
    times = "".join(f"{frame / 30:.6g},other\n" for frame in range(432_000))
    long = read_extent(write(tmp_path / "c.csv", "time_s,label\n" + times))
    assert long.frames == 432_000 and long.clock == pytest.approx(30, rel=1e-5)
    bouts = write(tmp_path / "d.csv", "label,start_s,stop_s,start_frame,stop_frame\ngroom,0.2,0.4,5,10\n")
    assert read_extent(bouts) == (pytest.approx(25), None)
    assert read_extent(write(tmp_path / "e.txt", CALTECH)) == (None, None)
    boris_csv(tmp_path / "f.csv", [Bout("groom", 5, 10)], np.arange(101) / 25)
    newest = write(tmp_path / "g.csv", (tmp_path / "f.csv").read_text().replace(",FPS,", ",FPS (frame/s),"))
    assert read_extent(newest) == (25, 100)


def test_calms21_labels_are_told_apart_by_sequence(tmp_path):
    vocab = {"attack": 0, "other": 1}
    sequences = {
        name: {"annotations": labels, "metadata": {"vocab": vocab}} for name, labels in [("a", [1, 0, 0]), ("b", [0])]
    }
    path = write(tmp_path / "a.json", json.dumps({"annotator-id_0": sequences}))
    assert read_bouts(path, 30) == [Bout("other", 0, 1, "a"), Bout("attack", 1, 3, "a"), Bout("attack", 0, 1, "b")]
    with pytest.raises(InputError, match="name the channel to read, one of a, b"):
        read_frame_labels(path, 30, 3, {}, ("attack", "other"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label,start,stop\ngroom,1,2\n", "call its columns of times start_frame and stop_frame .* tell no unit"),
        ("label,start_s,stop_s\ngroom,2,1\n", "line 2 is no bout, which starts before it stops"),
        ("label,start_frame,stop_frame\ngroom,2,3.5\n", "line 2 is no bout"),
        ("label,start_s,stop_s\ngroom,soon,1\n", "line 2 is no bout"),
        ("frame,label\n0,groom\n2,groom\n", "the frame numbers do not run 0, 1, 2"),
        ("groom,sniff\n0,1\n1,7\n", "line 3: sniff is '7', where 0 or 1 is needed"),
        ("label,time_s\ngroom,1\ngroom\n", "line 3 has not the 2 cells of the head"),
        ('{"a": {"b": {"annotations": [0, 7], "metadata": {"vocab": {"attack": 0}}}}}', "b has no annotations by"),
        ('{"a": {"b": {"keypoints": []}}}', "sequence b has no annotations by"),
    ],
)  # fmt: skip
def test_plain_labels_that_cannot_be_read_get_one_sentence(tmp_path, text, words):
    with pytest.raises(InputError, match=words) as caught:
        read_bouts(write(tmp_path / "a", text), 10)
    assert str(caught.value).startswith(str(tmp_path / "a"))


@pytest.mark.parametrize("cell", ["abc", "", "0", "-1", "inf", "nan"])
def test_a_rate_is_not_taken_from_a_cell_that_is_no_end_of_a_bout(tmp_path, cell):
    text = "label,start_frame,stop_frame,start_s,stop_s\na,0,30,0,1\na,30,60,1,{}\n"
    assert read_extent(write(tmp_path / "a.csv", text.format(2))) == (30.0, None)
    with pytest.raises(InputError, match=r"a\.csv: line 3 is no bout"):
        read_extent(write(tmp_path / "b_a.csv", text.format(cell)))


EVENTS = [(1, "a", "interact", "START"), (2, "a", "interact", "STOP")]
FORMS = {
    "caltech": CALTECH,
    "bento": BENTO,
    "json": json.dumps({"annotations": [0, 1, 1], "metadata": {"vocab": {"groom": 0, "other": 1}}}),
    "bouts": "start,stop,behaviour\n0.5,1.5,groom\n2,3,interact\n",
    "frames": "frame,behaviour\n0,groom\n1,groom\n2,\n",
}


@pytest.mark.parametrize("form", [*FORMS, "boris"])
def test_changed_label_files_are_read_or_refused_in_one_sentence(form, tmp_path):
    """A byte of a file changed, a line twice, or its end cut off, 150 times."""
    path, rng = tmp_path / "a", np.random.default_rng(0)
    whole = write_boris(path, EVENTS).read_bytes() if form == "boris" else FORMS[form].encode()
    refused = 0
    for changed in changed_bytes(whole, rng, 150):
        path.write_bytes(changed)
        try:
            bouts = read_bouts(path, 30.0)
        except InputError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error), changed
        else:
            assert all(0 <= bout.start <= bout.stop for bout in bouts), changed
    assert refused
