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


@settings(max_examples=60, deadline=None)
@given(two())
def test_of_all_matchings_of_most_bouts_it_is_that_of_most_overlap(made):
    true, predicted = (bouts(track, 0)[:4] for track in made)
    overlap = tiou(true, predicted)
    rows, columns = match_bouts(true, predicted, 1.0, Criteria())["overlap"]
    few = min(overlap.shape)
    every = [
        (sum(overlap[i, j] > 0 for i, j in zip(ours, theirs, strict=True)), overlap[list(ours), list(theirs)].sum())
        for ours in combinations(range(len(true)), few)
        for theirs in permutations(range(len(predicted)), few)
    ]
    best = max(every, key=lambda pair: (pair[0], round(pair[1], 9)))
    assert (len(rows), overlap[rows, columns].sum()) == (best[0], pytest.approx(best[1]))


def test_criteria_by_hand():
    """10 frames a second: the second predicted bout lies beside the second true one, .4 s off at both ends."""
    true, predicted = np.array([[0, 20], [40, 43]]), np.array([[0, 9], [44, 47]])
    found = {name: [r.tolist() for r in pair] for name, pair in match_bouts(true, predicted, 10, Criteria()).items()}
    assert list(found) == list(CRITERIA)
    assert found == {"overlap": [[0], [0]], "tiou": [[], []], "edges": [[1], [1]]}
    assert match_bouts(true, predicted, 10, Criteria(0.45))["tiou"][0].tolist() == [0]  # 9 of 20 frames
    assert match_bouts(true, predicted, 10, Criteria(edges_s=0.39))["edges"][0].tolist() == []


@pytest.mark.parametrize("wrong", [{"tiou": 0}, {"tiou": 1.1}, {"edges_s": 0}, {"edges_s": np.inf}, {"tiou": np.nan}])
def test_criteria_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"match criterion {next(iter(wrong))} must be above 0 and finite"):
        Criteria(**wrong)
