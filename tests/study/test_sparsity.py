import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data.labels import LabelTrack
from mbrepro.data.recordings import TASK1_CLASSES, runs
from mbrepro.method.proposals import Proposal, propose
from mbrepro.metrics.frames import evaluate
from mbrepro.metrics.resampling import f1
from mbrepro.study import sparsity
from tests.fixtures.tracks import track

TRACKS = st.lists(st.sampled_from([0, 1, 1, 2, 3, 3, 3]), min_size=3, max_size=120).map(
    lambda values: LabelTrack("v", np.repeat(np.array(values), 3), fps=10.0)
)


def text(labels: np.ndarray) -> str:
    return "".join("aim."[k] for k in labels)


def test_watching_by_hand():
    video = track("..aaaii...m.", fps=1.0)
    proposals = [Proposal(2, 7, 1.0), Proposal(9, 12, 1.0)]
    labels, seen = sparsity.watch(video, proposals)
    assert text(labels) == "..aaaaa..mmm"
    assert seen.tolist() == [False] * 2 + [True] * 5 + [False] * 2 + [True] * 3
    labels, seen = sparsity.watch(video, proposals, 1.0)  # frames 4 and 10
    assert text(labels) == "..aaaaa..mmm"
    assert np.flatnonzero(seen).tolist() == [4, 10]
    labels, seen = sparsity.watch(video, proposals, 2.0, "start")  # the second sees no behaviour
    assert text(labels) == "..aaaaa..mmm"
    labels, seen = sparsity.watch(video, [Proposal(4, 7, 1.0), Proposal(8, 11, 1.0)], 1.0, "start")
    assert text(labels) == "....aaa....."
    assert np.flatnonzero(seen).tolist() == [4, 8]
    _, seen = sparsity.watch(video, [Proposal(0, 1, 1.0), Proposal(11, 12, 1.0)], 4.0)  # moved inside the video
    assert np.flatnonzero(seen).tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    _, seen = sparsity.watch(video, [Proposal(11, 12, 1.0)], 4.0, "start")  # cut short by its end
    assert np.flatnonzero(seen).tolist() == [11]


def test_windows_by_hand():
    video = track("aa..i.....im", fps=1.0)  # a behaviour goes before other of equals, the first before the second
    labels, seen = sparsity.watch_windows(video, 4.0, video.action)
    assert text(labels) == "aaaa........"
    assert seen.tolist() == [True] * 12
    labels, seen = sparsity.watch_windows(video, 2.0, video.action)
    assert text(labels) == "aa..ii....ii"
    assert np.flatnonzero(seen).tolist() == [0, 1, 4, 5, 10, 11]


@given(TRACKS, st.integers(1, 12))
def test_short_stretches_of_action_are_dropped_whole(video, frames):
    kept = sparsity.without_short(video.action, frames)
    expected = np.zeros(len(video), bool)
    for start, stop, action in runs(video.action):
        expected[start:stop] = bool(action) and stop - start >= frames
    np.testing.assert_array_equal(kept, expected)


@settings(max_examples=60, deadline=None)
@given(TRACKS, st.sampled_from([0.3, 0.5, 1.0, 3.0]))
def test_what_policies_look_at(video, seconds):
    action = video.action
    labels, seen = sparsity.watched("clips", seconds, video.action, video)
    assert (seen >= action).all()  # a clip covers its whole piece
    assert ((labels != 3) == action).all()
    labels, glanced = sparsity.watched("glance", seconds, video.action, video)
    assert (glanced <= action).all()
    assert ((labels != 3) == action).all()
    labels, windows = sparsity.watched("windows", seconds, video.action, video)
    assert (windows >= action).all()
    labels, longest = sparsity.watched("longest", seconds, video.action, video)
    np.testing.assert_array_equal(longest, sparsity.without_short(action, round(10 * seconds)))
    np.testing.assert_array_equal(labels != 3, longest)


@settings(max_examples=60, deadline=None)
@given(TRACKS)
def test_a_label_for_every_frame_loses_nothing(video):
    labels, seen = sparsity.watch(video, propose(video.action, sparsity.anchor_rule(0.0, 0.1), video.fps), 0.1)
    np.testing.assert_array_equal(labels, video.labels)
    np.testing.assert_array_equal(seen, video.action)
    np.testing.assert_array_equal(sparsity.watch_windows(video, 0.1, video.action)[0], video.labels)


@settings(max_examples=40, deadline=None)
@given(TRACKS)
def test_ceiling_of_whole_stretches_is_the_majority_of_each(video):
    """A second way: one behaviour for each stretch of action, by counting."""
    said = np.full(len(video), 3)
    for start, stop, action in runs(video.action):
        if action:
            said[start:stop] = np.bincount(video.labels[start:stop], minlength=3).argmax()
    grid = sparsity.ceilings([video], [0.0], [None])
    assert grid["gap_0s"]["whole"]["value"] == pytest.approx(
        evaluate([video.labels], [said], None, TASK1_CLASSES)["f1"]
    )
    assert grid["gap_0s"]["whole"]["proposals"] == sum(action for *_, action in runs(video.action))


def test_tiles_and_skippable_by_hand():
    video = track("." * 5 + "a" * 7 + "." * 8, fps=1.0)
    assert sparsity.tiles_touched([video], 0.0)["value"] == 10 / 20  # two clips of 5 s
    assert sparsity.skippable([video])["value"] == 13 / 20
    late = track("." * 17 + "a" * 3, fps=1.0)
    assert sparsity.tiles_touched([late], 0.0)["value"] == 3 / 20  # the clip ends with the video


def test_posters_rule_gives_ten_seconds_one_label_and_sees_the_first_five():
    video = LabelTrack("v", np.repeat([3, 0, 1, 3], [30, 100, 300, 70]))
    found = sparsity.posters_rule([video])
    assert found["touched"]["value"] == 150 / 500
    said = np.repeat([3, 0, 3], [30, 300, 170])  # attack is most of the first five seconds
    assert found["f1"]["value"] == pytest.approx(f1([video.labels], [said], TASK1_CLASSES)["value"])


def test_statistics_of_a_behaviour_that_never_occurs_are_not_numbers():
    told = sparsity.bout_statistics([track("..aa.a")])
    assert told["bouts"]["all"]["n"] == 2
    assert told["bouts"]["mount"]["n"] == 0
    assert np.isnan(told["bouts"]["mount"]["p50"])
    assert told["transitions"]["attack"] == {"attack": 0, "investigation": 0, "mount": 0, "other": 1}
    assert told["next"]["other"]["attack"] == 1.0
