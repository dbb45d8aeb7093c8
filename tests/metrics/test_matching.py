"""Matchings by three criteria, beside mir_eval's notes, BANOS' detection, bout F1, and every matching there is."""

from itertools import combinations, permutations

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.errors import InputError
from mbrepro.metrics.banos import banos_metrics
from mbrepro.metrics.bouts import bout_metrics, bouts, tiou
from mbrepro.metrics.matching import CRITERIA, Criteria, match_bouts
from tests.fixtures.labellings import CLASSES, labelling


@st.composite
def two(draw):
    frames = draw(st.integers(1, 60))
    return draw(labelling(frames)), draw(labelling(frames))


@settings(max_examples=150, deadline=None)
@given(two(), st.sampled_from([0.1, 0.25, 0.5]))
def test_matches_are_as_many_as_bout_f1_banos_and_mir_eval_count(made, threshold):
    f1, banos = (measure([made[0]], [made[1]], CLASSES, 2.0) for measure in (bout_metrics, banos_metrics))
    for label, name in enumerate(CLASSES[:3]):
        true, predicted = (bouts(track, label) for track in made)
        found = match_bouts(true, predicted, 2.0, Criteria(threshold, 1.5))
        if not len(true) or not len(predicted):
            assert all(not len(rows) for rows, _ in found.values())
            continue
        hits = {criterion: len(rows) for criterion, (rows, _) in found.items()}
        score = {criterion: 2 * count / (len(true) + len(predicted)) for criterion, count in hits.items()}
        assert score["tiou"] == pytest.approx(f1[f"bout_f1_{threshold * 100:.0f}_{name}"][0])
        assert hits["overlap"] == 0 or score["overlap"] == pytest.approx(banos[f"da_{name}"][0])
        pitch = [np.full(len(part), 440.0) for part in (true, predicted)]
        notes = mir_eval.transcription.match_notes(
            true / 2, pitch[0], predicted / 2, pitch[1], onset_tolerance=1.5, offset_ratio=0, offset_min_tolerance=1.5
        )  # fmt: skip
        assert hits["edges"] == len(notes)


@settings(max_examples=150, deadline=None)
@given(two(), st.sampled_from(CRITERIA))
def test_of_all_matchings_of_most_bouts_it_is_that_of_most_overlap_or_of_least_shift(made, criterion):
    true, predicted = (bouts(track, 3)[:4] for track in made)
    overlap, shift = tiou(true, predicted), np.abs(true[:, None] - predicted).max(-1)
    allowed = {"overlap": overlap > 0, "tiou": overlap >= 0.2, "edges": shift <= 4}[criterion]
    gain = np.where(allowed, -shift if criterion == "edges" else overlap, 0)
    few = min(overlap.shape)
    every = [
        (allowed[list(ours), list(theirs)].sum(), gain[list(ours), list(theirs)].sum())
        for ours in combinations(range(len(true)), few)
        for theirs in permutations(range(len(predicted)), few)
    ]
    best = max(every, key=lambda pair: (pair[0], round(pair[1], 9)))
    rows, columns = match_bouts(true, predicted, 2.0, Criteria(0.2, 2.0))[criterion]
    assert allowed[rows, columns].all()
    assert (len(rows), gain[rows, columns].sum()) == (best[0], pytest.approx(best[1]))


def test_two_small_overlaps_are_more_than_a_large_one():
    true, predicted = np.array([[0, 10], [10, 20]]), np.array([[0, 1], [1, 11]])
    assert [places.tolist() for places in match_bouts(true, predicted, 1.0, Criteria())["overlap"]] == [[0, 1], [0, 1]]


def test_of_two_bouts_near_enough_the_nearer_one_matches():
    true, predicted = np.array([[10, 14]]), np.array([[6, 10], [12, 16], [17, 18]])
    assert match_bouts(true, predicted, 10.0, Criteria(edges_s=0.4))["edges"][1].tolist() == [1]


def test_criteria_by_hand():
    """10 frames a second: the second predicted bout lies beside the second true one, .4 s off at both ends."""
    true, predicted = np.array([[0, 20], [40, 43]]), np.array([[0, 9], [44, 47]])
    found = {name: [r.tolist() for r in pair] for name, pair in match_bouts(true, predicted, 10, Criteria()).items()}
    assert list(found) == list(CRITERIA)
    assert found == {"overlap": [[0], [0]], "tiou": [[], []], "edges": [[1], [1]]}
    assert match_bouts(true, predicted, 10, Criteria(0.45))["tiou"][0].tolist() == [0]  # 9 of 20 frames
    assert match_bouts(true, predicted, 10, Criteria(edges_s=0.39))["edges"][0].tolist() == []


def test_half_of_the_frames_and_half_a_second_are_enough_and_less_is_not():
    """Each of two bouts a frame apart from what would match: by default, and where all must be alike."""
    true, predicted = np.array([[0, 20], [100, 120]]), np.array([[5, 15], [106, 115]])
    for found in (match_bouts(true, predicted, 10, each) for each in (Criteria(), Criteria(0.5, 0.5))):
        assert {name: found[name][0].tolist() for name in ("tiou", "edges")} == {"tiou": [0], "edges": [0]}
    assert match_bouts(true, true, 10, Criteria(tiou=1))["tiou"][0].tolist() == [0, 1]


@pytest.mark.parametrize("wrong", [{"tiou": 0}, {"tiou": 1.1}, {"edges_s": 0}, {"edges_s": np.inf}, {"tiou": np.nan}])
def test_criteria_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"match criterion {next(iter(wrong))} must be above 0 and finite"):
        Criteria(**wrong)
