"""Label files of other tools."""

import numpy as np
import pytest

from mbrepro.data.annotations import read_boris_events
from mbrepro.errors import InputError


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
    happening = read_boris_events(write_boris(tmp_path / "a.csv", events), "interact", 10, 20)
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
        read_boris_events(write_boris(tmp_path / "a.csv", events), "interact", 30, 100)


def test_file_that_is_no_event_export_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a BORIS csv export"):
        read_boris_events(write_boris(tmp_path / "a.csv", [], header="a,b"), "interact", 30, 100)
    with pytest.raises(InputError, match="cannot be read as a BORIS csv"):
        read_boris_events(tmp_path / "none.csv", "interact", 30, 100)
