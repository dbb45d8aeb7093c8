"""The gate on made proposals whose best choice is known, and the guarantee against what it promises."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.ensemble import RandomForestRegressor

from mbrepro.data.recordings import UNLABELLED, Recording
from mbrepro.errors import InputError
from mbrepro.method import gate
from mbrepro.method.gate import GATES, fit_gate, hoeffding_bentkus, learn_then_test, spend, worth
from mbrepro.method.proposals import Proposal


def test_a_proposal_is_described_by_what_stage_1_says_of_it_and_where_the_animals_are():
    points = np.zeros((6, 2, 7, 2))
    points[:, :, 0] = [100, 0]  # noses, so that a body is 100 px long
    points[:, 1] += np.array([50, 40, 30, 20, 20, 20])[:, None, None] * [1, 0]
    recording = Recording("mouse001", points, fps=2.0)
    scores = np.array([[1, 0, 0, 0], [0.5, 0.3, 0.2, 0], [0.1, 0.9, 0, 0], *3 * [[0, 0, 0, 1.0]]])
    (row,) = gate.describe(scores, [Proposal(1, 3, 1.0)], recording)
    mean = [0.3, 0.6, 0.1, 0]
    uncertain = -sum(p * np.log(p) for p in mean if p)
    distances = [1.0, 0.35, 0.3, -0.1]
    np.testing.assert_allclose(row, [*mean, 0.6, 0.3, uncertain, 0.7, 0.2, 0.5, *distances], atol=1e-6)
    assert gate.describe(scores, [], recording).shape == (0, 14)


def test_right_shares_are_of_labelled_frames():
    true, labels = np.array([0, 1, UNLABELLED, 2, 3]), np.array([0, 2, 1, 2, 3])
    proposals = [Proposal(0, 3, 1.0), Proposal(2, 3, 1.0), Proposal(2, 5, 1.0)]
    assert gate.right_share(labels, true, proposals).tolist() == [0.5, 0, 1]


def specialists(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Descriptions of 4 classes and gains: stage 2 is worse just where stage 1 is least sure, as on hidden acts."""
    rng = np.random.default_rng(seed)
    described = rng.random((count, 4 + gate.BESIDE))
    sure, near = described[:, 4], described[:, -3]
    expected = np.where(near < 0.5, 0.6, -0.6) * np.where(sure < 0.5, 1.0, 0.3)
    return described, np.clip(expected + rng.normal(0, 0.3, count), -1, 1)


def test_the_difference_finds_where_stage_2_helps_and_confidence_does_not():
    (train, gain), (test, true) = specialists(800, 0), specialists(800, 1)
    fitted, costs, bought = fit_gate(train, gain), np.ones(800), {}
    for name in GATES:
        values = worth(name, test, 4, fitted, true, 0)
        bought[name] = true[spend(values, costs, 240)].sum()
    assert bought["oracle"] >= bought["difference"] > 0.7 * bought["oracle"]
    assert bought["difference"] > 2 * max(bought["confidence"], bought["margin"], bought["random"])


def test_a_forest_of_arrays_says_to_the_bit_what_scikit_learn_has_it_say():
    (train, gain), (test, _) = specialists(300, 2), specialists(200, 3)
    theirs = RandomForestRegressor(gate.TREES, min_samples_leaf=gate.LEAST, random_state=0).fit(train, gain)
    theirs.n_jobs = 1  # which adds the trees up in their order
    fitted = fit_gate(train, gain)
    np.testing.assert_array_equal(fitted.predict(test), theirs.predict(test))
    assert fitted.predict(test[:0]).shape == (0,)


@pytest.mark.parametrize("change", ["back", "out", "before", "root", "short"])
def test_a_forest_whose_ways_do_not_end_is_refused(change):
    parts = {name: values.copy() for name, values in vars(fit_gate(*specialists(60, 4))).items()}
    inner = np.flatnonzero(parts["feature"] >= 0)[1]
    to = {"back": inner, "out": len(parts["value"]), "before": -1}
    if change in to:
        parts["children"][inner, 1] = to[change]
    elif change == "root":
        parts["roots"][-1] = len(parts["value"])
    else:
        parts["threshold"] = parts["threshold"][:-1]
    with pytest.raises(InputError, match="trees that lead nowhere"):
        gate.Forest(**parts)


def test_gates_that_are_none_and_nothing_to_fit_on_are_refused():
    with pytest.raises(InputError, match="no gate 'hope'; take difference"):
        worth("hope", np.zeros((1, 14)), 4, None, np.zeros(1), 0)
    with pytest.raises(InputError, match="proposes nothing in the train recordings"):
        fit_gate(np.zeros((0, 14)), np.zeros(0))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 8), share=st.floats(0, 1))
def test_a_budget_is_kept_and_a_larger_one_buys_more_of_the_same(seed, count, share):
    rng = np.random.default_rng(seed)
    values, costs = rng.normal(size=count), rng.uniform(0.5, 3, count)
    bought = spend(values, costs, share * costs.sum())
    assert costs[bought].sum() <= share * costs.sum() * (1 + 1e-6)
    more = spend(values, costs, min(1, share + 0.2) * costs.sum())
    assert more[bought].all() and spend(values, costs, costs.sum()).all()
    if bought.any() and not bought.all():
        assert (values / costs)[bought].min() >= (values / costs)[~bought].max()


def test_with_equal_costs_no_other_choice_of_as_many_is_worth_more():
    values = np.random.default_rng(0).normal(size=7)
    bought = spend(values, np.ones(7), 3)
    assert values[bought].sum() == max(sum(part) for part in itertools.combinations(values, 3))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(0, 6))
def test_overlapping_clips_are_averaged_frame_by_frame(seed, count):
    rng = np.random.default_rng(seed)
    spans = np.sort(rng.integers(0, 21, (count, 2)), 1)
    scores = rng.random((count, 3))
    found = gate.average_over_time(spans, scores, 20)
    for frame in range(20):
        over = scores[[a <= frame < b for a, b in spans]]
        np.testing.assert_allclose(found[frame], over.mean(0) if len(over) else np.full(3, np.nan), atol=1e-6)


def test_area_and_risk_against_coverage_by_hand():
    assert gate.area(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0])) == pytest.approx(0.75)
    coverage, risk = gate.risk_coverage(np.array([3.0, 1, 2]), np.array([1.0, 0, 0.5]), np.array([1.0, 2, 1]))
    np.testing.assert_allclose(coverage, [0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0.5 / 3, 1.5 / 4])


@pytest.mark.parametrize(("videos", "loss"), [(10, 0.2), (40, 0.05), (100, 0.1), (300, 0.01)])
def test_a_p_value_is_no_more_often_small_than_it_says(videos, loss):
    """Losses of 0 and 1 with just the mean that is tested: the chance of each p or less, exactly."""
    lost = np.arange(videos + 1)
    p = np.array([hoeffding_bentkus(k / videos, videos, loss) for k in lost])
    chance = binom.pmf(lost, videos, loss)
    for level in (0.01, 0.05, 0.1, 0.3):
        assert chance[p <= level].sum() <= level
    assert (np.diff(p) >= -1e-12).all()


def test_settings_are_certified_in_order_up_to_the_first_that_fails():
    rng = np.random.default_rng(0)
    losses = rng.random((1000, 5)) < np.array([0, 0.001, 0.05, 0, 0.002])
    assert learn_then_test(losses.astype(float)).place == 1
    assert learn_then_test(np.full((300, 2), 0.5)).place is None


def test_few_videos_certify_nothing_however_little_they_lose():
    few = learn_then_test(np.zeros((19, 4)))
    assert (few.place, few.videos, few.needed) == (None, 19, 230)
    assert learn_then_test(np.zeros((229, 1))).place is None and learn_then_test(np.zeros((230, 1))).place == 0
