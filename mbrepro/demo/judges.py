"""Judges of the demo: methods whose scores on real mice are known, on simulated recordings held in memory.

Recordings to choose the simulator's settings on are train ones, some of them learned from and some held out; the test
recordings are judged once, when nothing is chosen any more.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mbrepro.data.recordings import FPS, TASK1_CLASSES, Recording, runs
from mbrepro.demo.simulated import DemoSettings, demo_names, plan_of, simulate_recording
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from mbrepro.method.localizer import PoseCNN, localize
from mbrepro.method.proposals import moving_average
from mbrepro.metrics.agreement import agreement_metrics
from mbrepro.metrics.bouts import bout_metrics
from mbrepro.metrics.frames import evaluate

Simulated = tuple[Recording, np.ndarray]  # as the tracker reports it, and where the points truly are
RAW, SMOOTHED, TRUE = "boosting, raw", "boosting, smoothed", "boosting, true poses"
OFFICIAL, PEOPLE = "official network, real weights", "second annotator"
_METRICS = ("f1", "map", *(f"f1_{name}" for name in TASK1_CLASSES))


def judged(
    learned: Sequence[Simulated], held_out: Sequence[Simulated], network: PoseCNN | None = None,
    settings: BoostingSettings | None = None, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Scores of every judge on `held_out`: a row a judge, columns f1, map and f1_<class>.

    learned: Task 1 recordings that boosting learns from. network: the official one, left out where this machine has
    none. settings: of boosting; None is the defaults.
    """
    settings = settings or BoostingSettings()
    tracked = _boosted([r for r, _ in learned], [r for r, _ in held_out], settings, seed)
    lengths = median_lengths([r.true for r, _ in learned])
    scores = {
        RAW: tracked,
        SMOOTHED: [smoothed(each, lengths) for each in tracked],
        TRUE: _boosted(_truly(learned), _truly(held_out), settings, seed),
    }
    if network is not None:
        scores[OFFICIAL] = [localize(network, r) for r, _ in held_out]
    labels = [r.labels for r, _ in held_out]
    rows = {judge: evaluate(labels, None, each, TASK1_CLASSES) for judge, each in scores.items()}
    return _table(rows)


def _table(rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows).T.reindex(columns=_METRICS).rename_axis("judge")


def second_annotator(names: Sequence[str], settings: DemoSettings) -> pd.DataFrame:
    """How well a second annotator of simulated Task 1 recordings agrees with their labels: a row as of `judged`."""
    return _table({PEOPLE: evaluate(*_written(names, settings), None, TASK1_CLASSES)})


def agreement(settings: DemoSettings) -> dict[str, float]:
    """Metrics of frames, bouts and agreement of the two annotators of every simulated Task 1 recording."""
    written = _written(demo_names("task1", settings), settings)
    parts = bout_metrics(*written, TASK1_CLASSES, FPS) | agreement_metrics(*written, TASK1_CLASSES, FPS)
    return {name: float(value[0]) for name, value in parts.items()} | evaluate(*written, None, TASK1_CLASSES)


def _written(names: Sequence[str], settings: DemoSettings) -> tuple[list[np.ndarray], list[np.ndarray]]:
    plans = [plan_of("task1", name, settings) for name in names]
    return [plan.labels for plan in plans], [plan.second for plan in plans if plan.second is not None]


def _boosted(
    learned: Sequence[Recording], held_out: Sequence[Recording], settings: BoostingSettings, seed: int
) -> list[np.ndarray]:
    model = fit_boosting(learned, [r.true for r in learned], len(TASK1_CLASSES), settings, seed)
    return [model.scores(recording) for recording in held_out]


def _truly(simulated: Sequence[Simulated]) -> list[Recording]:
    return [replace(recording, keypoints=true) for recording, true in simulated]


def median_lengths(labels: Sequence[np.ndarray]) -> list[int]:
    """Median frames of each class's runs, 1 for a class without any."""
    found = [(stop - start, value) for values in labels for start, stop, value in runs(values)]
    return [max(1, round(np.median([n for n, v in found if v == k] or [1]))) for k in range(len(TASK1_CLASSES))]


def smoothed(scores: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Scores (T, C), each class's averaged over as many frames as its bouts' median length."""
    return np.stack([moving_average(scores[:, k], length) for k, length in enumerate(lengths)], axis=1)


def judged_on_train(settings: DemoSettings, network: PoseCNN | None, held_out: int = 28) -> pd.DataFrame:
    """`judged` and `second_annotator` on simulated train recordings, those to choose settings on.

    held_out: so many of them, the last, boosting does not learn from; 28 are two rounds of the kinds of recording, with
    attack, mount, both and neither.
    """
    names = demo_names("task1", settings)[: settings.train_recordings]
    return _on(names[:-held_out], names[-held_out:], network, settings)


def judged_on_test(settings: DemoSettings, network: PoseCNN | None) -> pd.DataFrame:
    """`judged` and `second_annotator` on the simulated test recordings: to report, when nothing is chosen any more."""
    names = demo_names("task1", settings)
    return _on(names[: settings.train_recordings], names[settings.train_recordings :], network, settings)


def _on(
    learned: Sequence[str], held_out: Sequence[str], network: PoseCNN | None, settings: DemoSettings
) -> pd.DataFrame:
    made = [[simulate_recording("task1", name, settings) for name in names] for names in (learned, held_out)]
    return pd.concat([judged(made[0], made[1], network), second_annotator(held_out, settings)])
