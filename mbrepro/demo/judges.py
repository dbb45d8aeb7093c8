"""Judges of the demo: methods whose scores on real mice are known, on simulated recordings held in memory.

Recordings to choose the simulator's settings on are train ones, some of them learned from and some held out; the test
recordings are judged once, when nothing is chosen any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mbrepro.artifacts import fingerprint
from mbrepro.data.recordings import FPS, OTHER, TASK1_CLASSES, Recording, runs
from mbrepro.demo.simulated import ACTS, ERRORS, DemoSettings, demo_names, plan_of, schedule, simulate_recording
from mbrepro.demo.simulated.tracker import Tracker
from mbrepro.demo.simulated.wandering import Acts
from mbrepro.demo.windows import pose_statistics, pose_windows
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from mbrepro.method.localizer import LOCALIZER_CLASSES, PoseCNN, action_labels, localize
from mbrepro.method.proposals import moving_average
from mbrepro.metrics.agreement import agreement_metrics
from mbrepro.metrics.bouts import bout_metrics
from mbrepro.metrics.frames import evaluate

Simulated = tuple[Recording, np.ndarray]  # as the tracker reports it, and where the points truly are
RAW, SMOOTHED, TRUE = "boosting, raw", "boosting, smoothed", "boosting, true poses"
OFFICIAL, PEOPLE = "official network, real weights", "second annotator"
ACTION = "f1_action"  # any behaviour against other, as of the localizer
_METRICS = ("f1", "map", *(f"f1_{name}" for name in TASK1_CLASSES), ACTION)
Fits = dict[str, list[np.ndarray]]  # scores of held-out recordings by what boosting learned from and was asked


def judged(
    learned: Sequence[Simulated], held_out: Sequence[Simulated], network: PoseCNN | None = None,
    settings: BoostingSettings | None = None, fits: Fits | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Scores of every judge on `held_out`: a row a judge, columns f1, map, f1_<class> and `ACTION`.

    learned: Task 1 recordings that boosting learns from. network: the official one, left out where this machine has
    none. settings: of boosting; None is the defaults. fits: made before with them, of which none is made again; new
    ones are added.
    """
    settings, fits = settings or BoostingSettings(), {} if fits is None else fits
    tracked = _boosted([r for r, _ in learned], [r for r, _ in held_out], settings, fits)
    lengths = median_lengths([r.true for r, _ in learned])
    scores = {
        RAW: tracked,
        SMOOTHED: [smoothed(each, lengths) for each in tracked],
        TRUE: _boosted(_truly(learned), _truly(held_out), settings, fits),
    }
    if network is not None:
        scores[OFFICIAL] = [localize(network, r) for r, _ in held_out]
    labels = [r.labels for r, _ in held_out]
    return _table({judge: _scored(labels, None, each) for judge, each in scores.items()})


def _scored(
    true: list[np.ndarray], predicted: list[np.ndarray] | None, scores: list[np.ndarray] | None
) -> dict[str, float]:
    acting = None if predicted is None else [action_labels(each, TASK1_CLASSES) for each in predicted]
    if scores is not None:
        p_action = [1 - each[:, TASK1_CLASSES.index(OTHER)] for each in scores]
        acting = [np.stack([p, 1 - p], 1).argmax(1) for p in p_action]
    against_other = evaluate([action_labels(each, TASK1_CLASSES) for each in true], acting, None, LOCALIZER_CLASSES)
    return evaluate(true, predicted, scores, TASK1_CLASSES) | {ACTION: against_other["f1"]}


def _table(rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows).T.reindex(columns=_METRICS).rename_axis("judge")


def second_annotator(names: Sequence[str], settings: DemoSettings) -> pd.DataFrame:
    """How well a second annotator of simulated Task 1 recordings agrees with their labels: a row as of `judged`."""
    return _table({PEOPLE: _scored(*_written(names, settings), None)})


def agreement(settings: DemoSettings) -> dict[str, float]:
    """Metrics of frames, bouts and agreement of the two annotators of every simulated Task 1 recording."""
    written = _written(demo_names("task1", settings), settings)
    parts = bout_metrics(*written, TASK1_CLASSES, FPS) | agreement_metrics(*written, TASK1_CLASSES, FPS)
    return {name: float(value[0]) for name, value in parts.items()} | evaluate(*written, None, TASK1_CLASSES)


def _written(names: Sequence[str], settings: DemoSettings) -> tuple[list[np.ndarray], list[np.ndarray]]:
    plans = [plan_of("task1", name, settings) for name in names]
    return [plan.labels for plan in plans], [plan.second for plan in plans if plan.second is not None]


def _boosted(
    learned: Sequence[Recording], held_out: Sequence[Recording], settings: BoostingSettings, fits: Fits
) -> list[np.ndarray]:
    key = fingerprint(*([r.keypoints, r.labels] for r in learned), *(r.keypoints for r in held_out))
    if key not in fits:
        model = fit_boosting(learned, [r.true for r in learned], len(TASK1_CLASSES), settings, 0)
        fits[key] = [model.scores(recording) for recording in held_out]
    return fits[key]


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


@dataclass(frozen=True)
class Change:
    """One change of the simulator: what the mice do, how a tracker errs, the draw; or labels that are the acts."""

    acts: Acts = ACTS
    errors: Tracker = ERRORS
    seed: int = DemoSettings.seed
    exact: bool = False


_SIZES, _APART = ("drift", "together", "jitter"), ("astray",)
_TOUCHING = ("astray_touching", "held", "held_speed", "exchanged")


def _times(factor: float, names: Sequence[str] = (*_SIZES, *_APART, *_TOUCHING)) -> Change:
    """The tracker's errors of these names so many times as large or as frequent."""
    values = {name: getattr(ERRORS, name) for name in names}
    more = {k: tuple(factor * part for part in v) if isinstance(v, tuple) else factor * v for k, v in values.items()}
    return Change(errors=replace(ERRORS, **more))


AS_IS = "as it is"
REDRAWN = {"drawn anew": DemoSettings.seed + 1, "drawn anew again": DemoSettings.seed + 2}  # seeds
CHANGES = {
    AS_IS: Change(),
    "no tracking errors": _times(0.0),
    "half the tracking errors": _times(0.5),
    "1.5 times the tracking errors": _times(1.5),
    "sniffs from farther off": Change(replace(ACTS, apart=140.0, moments=0.4)),
    "attacks without holding on": Change(replace(ACTS, attack=(0.6, 0.4, 0.0))),
    "labels without error": Change(exact=True),
    "errors in contact twice as often": _times(2.0, _TOUCHING),
    "lingers more": Change(replace(ACTS, linger_s=3.0)),
    **{name: Change(seed=seed) for name, seed in REDRAWN.items()},
}
LEARNED = HELD_OUT = 28  # train recordings: two rounds of their kinds each
EIGHTH = BoostingSettings(every=8)  # of the frames: ten changes then take half an hour
NOSE = "resident's nose to the intruder, investigation"


def tried(change: Change, network: PoseCNN, settings: DemoSettings, fits: Fits) -> dict[str, float]:
    """What judges find on held-out train recordings after a change: F1, and `likened`. fits: as of `judged`."""
    settings = replace(settings, seed=change.seed)
    names = demo_names("task1", settings)[: settings.train_recordings][-LEARNED - HELD_OUT :]
    made = [_changed(name, settings, change) for name in names]
    table = judged(made[:-HELD_OUT], made[-HELD_OUT:], network, EIGHTH, fits)
    official = {f"official {what}": table.loc[OFFICIAL, f"f1_{what}"] for what in TASK1_CLASSES[:2]}
    found = {"raw": table.loc[RAW, "f1"], "smoothed": table.loc[SMOOTHED, "f1"], "true poses": table.loc[TRUE, "f1"]}
    found |= {"action": table.loc[RAW, ACTION], "official": table.loc[OFFICIAL, "f1"], **official}
    return {name: float(value) for name, value in found.items()} | likened([recording for recording, _ in made])


def likened(recordings: Sequence[Recording]) -> dict[str, float]:
    """nose: px of the median of `NOSE`. lengths: how much lengths that a body keeps change as tracked, over how much
    they do on mice; the mean of the medians' ratios."""
    found, real = pose_statistics(*pose_windows(recordings, 2000)), schedule.real_statistics()["poses"]["percentiles"]
    medians = {what: float(np.median(values)) for what, (values, _) in found.items() if values.size}
    kept = [medians[what] / real[what]["p50"] for what in medians if what.startswith("unsteadiness")]
    return {"nose": medians.get(NOSE, np.nan), "lengths": float(np.mean(kept))}


def _changed(name: str, settings: DemoSettings, change: Change) -> Simulated:
    recording, true = simulate_recording("task1", name, settings, change.acts, change.errors)
    labels = plan_of("task1", name, settings).acts if change.exact else recording.labels
    return replace(recording, labels=labels), true
