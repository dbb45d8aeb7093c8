"""Learning curves: who is learned from, what is counted, the scores, and power laws whose answer is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares
from sklearn.metrics import average_precision_score, f1_score

from mbrepro.data.recordings import UNLABELLED, Recording, Skeleton
from mbrepro.errors import InputError
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from mbrepro.method.decoding import smooth
from mbrepro.study import learning_curve
from mbrepro.study.learning_curve import curve, extrapolated, power_law

CLASSES = ("near", "other")
FEW = BoostingSettings(every=5, iterations=5)


def made(animals: int = 8, frames: int = 300) -> list[Recording]:
    """Two animals near each other in the second third of each recording; the last tenth is not labelled."""
    found = []
    for k in range(animals):
        points = np.random.default_rng(k).normal([[500, 500], [500, 540]], 3, (frames, 2, 2, 2))
        labels = np.where((np.arange(frames) // (frames // 3)) == 1, 0, 1)
        points[:, 1, :, 0] += np.where(labels == 0, 60, 300)[:, None]
        labels[-frames // 10 :] = UNLABELLED
        found.append(Recording(f"r{k}", points, CLASSES, labels, animal=f"a{k}", partly_labelled=True,
                               skeleton=Skeleton(("nose", "tail"), "nose", "tail")))  # fmt: skip
    return found


def test_every_draw_learns_from_ever_more_animals_and_never_from_those_held_out(monkeypatch):
    learned, amounts = [], learning_curve._amounts
    monkeypatch.setattr(learning_curve, "_amounts", lambda train: learned.append(train) or amounts(train))
    scored, scores = [], learning_curve._scores
    monkeypatch.setattr(learning_curve, "_scores", lambda test, found: scored.append(test) or scores(test, found))
    recordings = made()
    points = curve([*recordings, replace(recordings[0], name="no", labels=None)], draws=3, trees=FEW)
    assert points["animals"].tolist() == [1, 2, 4, 6] * 3 and points["draw"].tolist() == [
        d for d in range(3) for _ in range(4)
    ]
    names = [{r.animal for r in part} for part in learned]
    tests = [{r.animal for r in part} for part in scored]
    for k, (train, test) in enumerate(zip(names, tests, strict=True)):
        assert len(test) == 2 and not train & test and test == tests[k // 4 * 4]
        assert k % 4 == 0 or names[k - 1] < train
    assert len({frozenset(test) for test in tests}) > 1
    np.testing.assert_allclose(points["minutes"], points["animals"] * 270 / 30 / 60)
    assert points["bouts_near"].tolist() == points["bouts"].tolist() == points["animals"].tolist()


def test_scores_are_those_of_scikit_learn_on_labelled_frames(monkeypatch):
    learned, tests, amounts, inner = [], [], learning_curve._amounts, learning_curve._scores
    monkeypatch.setattr(learning_curve, "_amounts", lambda train: learned.append(train) or amounts(train))
    monkeypatch.setattr(learning_curve, "_scores", lambda *how: tests.append(how[0]) or inner(*how))
    points = curve(made(), draws=1, trees=FEW)
    for train, test, (_, row) in zip(learned, tests, points.iterrows(), strict=True):
        model = fit_boosting(train, [r.labels for r in train], 2, FEW, 0)
        scores = np.concatenate([smooth(model.scores(r), 30)[r.labels >= 0] for r in test])
        true = np.concatenate([r.labels[r.labels >= 0] for r in test])
        assert row["f1_near"] == row["f1"] == pytest.approx(f1_score(true == 0, scores.argmax(1) == 0))
        assert row["ap_near"] == row["map"] == pytest.approx(average_precision_score(true == 0, scores[:, 0]))
    assert points["f1"].iloc[-1] > 0.8


def test_too_few_animals_are_refused():
    with pytest.raises(InputError, match="labelled recordings of at least 3 animals, not of 2"):
        curve(made(2))


@pytest.mark.parametrize("law", [(0.9, 0.6, 0.5), (0.7, 0.3, 1.5), (1.0, 0.8, 0.2)])
def test_points_on_a_power_law_give_the_law(law):
    amounts = np.array([2.0, 4, 8, 16, 32, np.nan, 64])
    scores = law[0] - law[1] * amounts ** -law[2]
    scores[-1] = np.nan
    assert power_law(amounts, scores) == pytest.approx(law, rel=2e-2)
    assert power_law(amounts[:2], scores[:2]) is None


def off(law: np.ndarray, amounts: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return law[0] - law[1] * amounts ** -law[2] - scores


def test_no_law_is_nearer_to_noisy_points_than_the_one_found():
    """scipy's bounded least squares, from several starts."""
    rng, amounts = np.random.default_rng(1), np.array([1.0, 1, 2, 2, 4, 4, 8, 8, 12, 12])
    for level in (0.5, 0.8, 0.97):
        scores = np.clip(level - 0.4 * amounts**-0.6 + 0.05 * rng.normal(size=10), 0, 1)
        top, drop, rate = power_law(amounts, scores)
        assert 0 <= top <= 1 and drop >= 0
        ours = ((top - drop * amounts**-rate - scores) ** 2).sum()
        bounds = (0, 0, 0.05), (1, np.inf, 3)
        starts = [(0.9, 0.3, start) for start in (0.1, 0.5, 2)]
        theirs = min(2 * least_squares(off, start, bounds=bounds, args=(amounts, scores)).cost for start in starts)
        assert ours == pytest.approx(theirs, rel=1e-3)


def table(noise: float) -> pd.DataFrame:
    """Five draws on one law of minutes, of the bouts on another."""
    rng, rows = np.random.default_rng(0), []
    for draw in range(5):
        for animals in (1, 2, 4, 8, 12):
            score = 0.8 - 0.5 * animals**-0.7 + noise * rng.normal()
            row = dict.fromkeys(("f1", "map", "bout_f1_50", "f1_near", "ap_near", "bout_f1_50_near"), score)
            rows.append(row | {"draw": draw, "animals": animals, "minutes": 2.0 * animals, "bouts_near": 10 * animals})
    return pd.DataFrame(rows)


def test_what_more_labels_would_give_follows_the_law_and_is_as_sure_as_the_draws_agree():
    exact, noisy = (extrapolated(table(noise), CLASSES) for noise in (0, 0.03))
    expected = 0.8 - 0.5 * np.array([12, 12, 24, 48]) ** -0.7
    for score in ("f1", "bout_f1_50_near"):
        rows = exact[exact["score"] == score]
        assert rows["times"].tolist() == [0, 1, 2, 4]
        np.testing.assert_allclose(rows[["value", "low", "high"]], np.tile(expected, (3, 1)).T, atol=2e-3)
        np.testing.assert_allclose(rows["measured"].iloc[:2], expected[0], atol=1e-9)
        assert rows["measured"].iloc[2:].isna().all()
    of = exact.drop_duplicates("score").set_index("score")
    assert of.loc["f1", ["by", "amount"]].tolist() == ["minutes", 24]
    assert of.loc["ap_near", ["by", "amount"]].tolist() == ["bouts_near", 120]
    wide = (noisy["high"] - noisy["low"]).to_numpy()
    assert (wide > 0).all() and wide[noisy["times"] == 4].mean() > wide[noisy["times"] == 1].mean()


def test_scores_without_a_fit_have_no_rows():
    points = table(0).assign(f1=np.nan)
    assert "f1" not in set(extrapolated(points, CLASSES)["score"])
    assert len(extrapolated(points[points["animals"] <= 2], CLASSES)) == 0


def test_the_trial_is_of_half_as_much():
    points = table(0)
    most = points["animals"].max()
    told = extrapolated(points.assign(f1=points["f1"].where(points["animals"] <= most / 2, 0.1)), CLASSES)
    trial = told[(told["score"] == "f1") & (told["times"] == 0)].iloc[0]
    assert trial["value"] > 0.5 and trial["measured"] == pytest.approx(0.1)
