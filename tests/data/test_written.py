"""Labels out: read back by the project's readers and by pandas with the same bouts to the frame."""

import io

import numpy as np
import pandas as pd
import pytest

from mbrepro.data.annotations import read_bouts
from mbrepro.data.annotations.bout import Bout
from mbrepro.data.annotations.written import boris_events, caltech_annotations
from mbrepro.data.recordings import Recording

BOUTS = [Bout("other", 0, 7), Bout("attack", 7, 9), Bout("sniff", 9, 19), Bout("attack", 19, 20)]


@pytest.fixture
def recording():
    """Twenty frames, whose rate halves after ten."""
    times = np.append(np.arange(10) / 30, 10 / 30 + np.arange(10) / 15)
    points = np.random.default_rng(0).normal(100, 9, (20, 2, 7, 2))
    return Recording("day 1", points, fps=19 / times[-1], times=times)


def test_boris_events_are_read_back_to_the_frame_on_an_uneven_clock(recording, tmp_path):
    text = boris_events(recording, BOUTS[1:])
    (tmp_path / "events.csv").write_text(text)
    found = read_bouts(tmp_path / "events.csv", recording.times)
    assert [(b.behaviour, b.start, b.stop) for b in found] == [("attack", 7, 9), ("sniff", 9, 19), ("attack", 19, 20)]
    table = pd.read_csv(io.StringIO(text))
    assert table["Behavior type"].tolist() == ["START", "STOP"] * 3
    assert table["Behavior"].tolist() == [name for name in ("attack", "sniff", "attack") for _ in range(2)]
    assert table["Time"].tolist() == pytest.approx([recording.edges[k] for k in (7, 9, 9, 19, 19, 20)], abs=1e-6)
    assert table["Image index"].tolist() == [7, 9, 9, 19, 19, 20] and set(table["Observation id"]) == {"day 1"}


def test_caltech_annotations_count_from_one_and_include_the_last(tmp_path):
    text = caltech_annotations(BOUTS, ("attack", "sniff", "other"))
    (tmp_path / "annot.txt").write_text(text)
    assert read_bouts(tmp_path / "annot.txt", 30.0) == [Bout(b.behaviour, b.start, b.stop, "S1") for b in BOUTS]
    assert "   \t1\t7\tother\n   \t8\t9\tattack\n" in text and "attack\t0\nsniff\t1\nother\t2\n" in text
