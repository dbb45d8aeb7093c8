"""How much labelling pays: scores on held-out animals against how much was labelled, and what more of it would give.

In each draw a quarter of the animals is held out, and boosted trees on pose features learn from 1, 2, 4 … of the others
in a random order, the last time from all. They are fewer than those of a model to be used, as many are grown: it is the
curve's course that counts. A curve is taken on as a power law, score = top - drop x amount^-rate (Viering & Loog 2023,
IEEE TPAMI 45:7799), which is no more than a guess: what it would have said of the last point from half as much is told.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from mbrepro.data.labels import bout_seconds
from mbrepro.data.recordings import UNLABELLED, Recording, behaviours
from mbrepro.errors import InputError
from mbrepro.method.boosting import BoostingSettings, class_scores, examples, grow
from mbrepro.method.decoding import smooth
from mbrepro.method.features import dyad_features
from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.frames import evaluate

TREES = BoostingSettings(every=12, iterations=40, leaves=15, bins=31)
HELD_OUT, LEAST_ANIMALS, LEAST_AMOUNTS = 0.25, 3, 3
NEAR = 0.01  # of a score: as good as what all that is labelled gives
SMOOTHED_S = 1.0  # scores are means over so long before a frame's most probable class is taken
MEASURES = {"f1": "f1", "ap": "map", "bout_f1_50": "bout_f1_50"}  # of a behaviour, and as the mean of all is called
TIMES = (1, 2, 4)  # of what is labelled now
RESAMPLES, BETWEEN = 200, (0.025, 0.975)
RATES = np.geomspace(0.05, 3, 400)  # tried, of the power law


def curve(
    recordings: Sequence[Recording], draws: int = 5, seed: int = 0, trees: BoostingSettings | None = None
) -> pd.DataFrame:
    """A row a draw and number of animals: what was labelled of them (minutes, bouts), and scores on those held out.

    Columns: draw, animals, minutes, bouts, bouts_<behaviour>, and f1, map, bout_f1_50 with f1_<behaviour>,
    ap_<behaviour> and bout_f1_50_<behaviour>; NaN where the animals held out never show a behaviour.
    trees: `TREES` unless given. Raises InputError if labelled recordings are of fewer than `LEAST_ANIMALS` animals.
    """
    labelled = [r for r in recordings if r.labels is not None and (r.labels != UNLABELLED).any()]
    animals = sorted({r.animal for r in labelled})
    if len(animals) < LEAST_ANIMALS:
        raise InputError(
            f"a learning curve needs labelled recordings of at least {LEAST_ANIMALS} animals, not of {len(animals)}"
        )
    trees, rows, parts = trees or TREES, [], list(_parts(animals, draws, seed))
    learned = {r.name: examples(r, r.labels, trees) for r in labelled}  # features of one recording at a time
    for draw, learned_from, held_out in tqdm(parts, desc="learning curve", unit="model", disable=None):
        train, test = ([r for r in labelled if r.animal in part] for part in (learned_from, held_out))
        if len(learned_from) == 1:  # a draw begins
            features = {r.name: dyad_features(r, trees.windows_s) for r in test}
        model = grow((learned[r.name] for r in train), trees, seed)
        scores = [class_scores(model, features[r.name], len(r.classes)) for r in test]
        rows.append({"draw": draw, "animals": len(learned_from)} | _amounts(train) | _scores(test, scores))
    return pd.DataFrame(rows)


def _parts(animals: Sequence[str], draws: int, seed: int) -> Iterator[tuple[int, set[str], set[str]]]:
    """Draw, animals learned from, and animals held out, which are the same in all of a draw's steps."""
    rng, held = np.random.default_rng(seed), max(1, round(HELD_OUT * len(animals)))
    most = len(animals) - held
    for draw in range(draws):
        order = rng.permutation(animals).tolist()
        for number in [*(2**k for k in range(most.bit_length()) if 2**k < most), most]:
            yield draw, {*order[held : held + number]}, {*order[:held]}


def _amounts(recordings: Sequence[Recording]) -> dict[str, float]:
    minutes = sum((r.true != UNLABELLED).sum() / r.fps for r in recordings) / 60
    names = behaviours(recordings[0].classes)
    bouts = {f"bouts_{name}": sum(map(len, bout_seconds(recordings, name))) for name in names}
    return {"minutes": minutes, "bouts": sum(bouts.values())} | bouts


def _scores(recordings: Sequence[Recording], scores: Sequence[np.ndarray]) -> dict[str, float]:
    """Metrics of labelled frames by scores (T, C), smoothed."""
    classes, kept = recordings[0].classes, [r.labels != UNLABELLED for r in recordings]
    true = [r.true[k] for r, k in zip(recordings, kept, strict=True)]
    windows = [max(1, round(SMOOTHED_S * r.fps)) for r in recordings]
    scores = [smooth(s, window)[k] for s, window, k in zip(scores, windows, kept, strict=True)]
    labels = [found.argmax(1) for found in scores]
    found = evaluate(true, labels, scores, classes)
    found |= {name: float(values[0]) for name, values in found_bouts(true, labels, classes).items()}
    return {name: found[name] for name in _metrics(classes)}


def _metrics(classes: Sequence[str]) -> list[str]:
    return [*MEASURES.values(), *(f"{measure}_{name}" for measure in MEASURES for name in behaviours(classes))]


def power_law(amounts: np.ndarray, scores: np.ndarray) -> tuple[float, float, float] | None:
    """Top (0 to 1), drop and rate of the power law through points by least squares; None under three amounts.

    amounts, scores: (N,), points with a NaN or an amount of 0 left out. For each of many rates the best top and drop
    are those of a straight line.
    """
    there = np.isfinite(scores) & (amounts > 0)
    x, y = amounts[there], scores[there]
    if len(np.unique(x)) < LEAST_AMOUNTS:
        return None
    powers = (x / x.min()) ** -RATES[:, None]  # (rates, points)
    middle = powers.mean(1)
    away = powers - middle[:, None]
    drop = np.maximum(-(away @ (y - y.mean())) / (away**2).sum(1), 0)
    top = y.mean() + drop * middle
    drop = np.where(top > 1, powers @ (1 - y) / (powers**2).sum(1), drop)
    top = np.minimum(top, 1)
    best = int(((top[:, None] - drop[:, None] * powers - y) ** 2).sum(1).argmin())
    return float(top[best]), float(drop[best] * x.min() ** RATES[best]), float(RATES[best])


def _law(amount: np.ndarray, top: float, drop: float, rate: float) -> np.ndarray:
    return top - drop * amount**-rate


def enough(points: pd.DataFrame, name: str) -> tuple[float, float]:
    """Labelled minutes from which on a score's mean over draws is within `NEAR` of the last one, and those of the last.

    points: as of `curve`.
    """
    means = points.groupby("animals")[["minutes", name]].mean()
    stays = (means[name] >= means[name].iloc[-1] - NEAR)[::-1].cummin()
    return float(means["minutes"][stays].min()), float(means["minutes"].iloc[-1])


def extrapolated(points: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """A row a score and multiple of what is labelled: what its power law says there, with a 95 % interval over draws.

    points: as of `curve`. Means go by labelled minutes, a behaviour's scores by its bouts. Columns: score, by, times,
    amount, value, low, high, measured; a row with times 0 is the trial, the last point as points of up to half the
    animals would have it, or all others if these have under three amounts. measured: the mean of the draws where there
    is one, else NaN. What has no fit has no rows.
    """
    rows, most = [], points["animals"] == points["animals"].max()
    half = points[points["animals"] <= points["animals"].max() / 2]
    tried = half if half["animals"].nunique() >= LEAST_AMOUNTS else points[~most]
    for name in _metrics(classes):
        behaviour = next((b for b in behaviours(classes) if name.endswith(f"_{b}")), None)
        by = f"bouts_{behaviour}" if behaviour else "minutes"
        now, measured = points.loc[most, by].mean(), points.loc[most, name].mean()
        trial = _between(tried, by, name, now)
        for times, told in [(0, trial), *((k, _between(points, by, name, k * now)) for k in TIMES)]:
            if told is not None:
                row = {"score": name, "by": by, "times": times, "amount": now * max(times, 1)}
                rows.append(row | told | {"measured": measured if times < 2 else np.nan})
    return pd.DataFrame(rows, columns=["score", "by", "times", "amount", "value", "low", "high", "measured"])


def _between(points: pd.DataFrame, by: str, name: str, at: float) -> dict[str, float] | None:
    """What the power law says at an amount, and how far laws of resampled draws lie apart there."""
    rng, drawn = np.random.default_rng(0), points["draw"].unique()
    samples = [drawn, *(rng.choice(drawn, len(drawn)) for _ in range(RESAMPLES))]
    of_draw = {draw: points.loc[points["draw"] == draw, [by, name]].to_numpy(float) for draw in drawn}
    laws = [power_law(*np.concatenate([of_draw[draw] for draw in sample]).T) for sample in samples]
    if laws[0] is None:
        return None
    low, high = np.quantile([_law(at, *law) for law in laws[1:] if law], BETWEEN)
    return {"value": float(_law(at, *laws[0])), "low": float(low), "high": float(high)}
