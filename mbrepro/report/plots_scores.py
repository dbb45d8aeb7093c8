"""Figures behind the scores: precision and recall, how far they can be believed, where bouts begin and end."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from mbrepro.data.recordings import UNLABELLED, Dataset, behaviours
from mbrepro.metrics.bouts import boundary_errors
from mbrepro.metrics.frames import evaluate
from mbrepro.report.plots import DOTTED, GRID, METHODS
from mbrepro.study import recorded
from mbrepro.study.beyond import Scores
from mbrepro.study.results import Run

SHADES = METHODS[2::-1]  # of titles in order, what is beyond being the last and the clearest
FARTHEST, WIDTH = 2.0, 0.2  # s: errors drawn, those beyond in the last bin, and a bin


def precision_recall(by_title: Mapping[str, Sequence[Run]]) -> plt.Figure:
    """A panel a behaviour, a line a seed, a colour a title; frames of all test videos pooled.

    The key has each title's MAP and a panel its behaviour's average precision, means over seeds.
    """
    names = behaviours(next(iter(by_title.values()))[0].classes)
    figure, axes = plt.subplots(1, len(names), figsize=(2.6 * len(names) + 0.6, 3.6), sharey=True, squeeze=False)
    lines = {}
    for (title, runs), colour in zip(by_title.items(), SHADES, strict=False):
        scores = {name: np.mean([part[name] for part in map(_ranked, runs)]) for name in _ranked(runs[0])}
        lines[f"{title}: {'MAP' if len(names) > 1 else 'AP'} {scores['map']:.3f}"] = Line2D([], [], color=colour)
        for axis, name in zip(axes.flat, names, strict=True):
            for run in runs:
                axis.step(*_curve(run, run.classes.index(name)), where="pre", color=colour, linewidth=1, alpha=0.8)
            axis.plot([], [], color=colour, label=f"AP {scores[f'ap_{name}']:.3f}")
    for axis, name in zip(axes.flat, names, strict=True):
        axis.set(title=name, xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        axis.grid(color=GRID)
        axis.legend(loc="lower left", fontsize=8, frameon=True, edgecolor="none")
    axes[0, 0].set_ylabel("precision")
    figure.legend(lines.values(), lines, loc="outside upper center", ncols=len(lines), fontsize=9)
    return figure


def _ranked(run: Run) -> dict[str, float]:
    fields = ([getattr(v, name) for v in run.videos] for name in ("true", "labels", "scores"))
    return {name: value for name, value in evaluate(*fields, run.classes).items() if name.startswith(("map", "ap_"))}


def _curve(run: Run, value: int) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision of a class at every threshold, recall falling."""
    true = np.concatenate([v.true == value for v in run.videos])
    precision, recall, _ = precision_recall_curve(true, np.concatenate([v.scores[:, value] for v in run.videos]))
    return recall, precision


def reliability(data: Dataset, scores: Mapping[str, Scores]) -> plt.Figure:
    """Of test frames given a score for a class, the share that has it: a panel a localizer, its first seed.

    Labelled frames alone, scores of all classes together, in ten equal bins; on the dotted line scores are shares.
    """
    true = np.concatenate([r.labels for r in data.test])
    kept = true != UNLABELLED
    right = np.eye(len(data.classes))[true[kept]].ravel()
    figure, axes = plt.subplots(1, len(scores), figsize=(8.2, 3.2), sharey=True, squeeze=False)
    for axis, (name, found) in zip(axes.flat, scores.items(), strict=True):
        axis.plot([0, 1], [0, 1], **DOTTED)
        parts = {"as they are": found.raw, "calibrated": found.test[0]}
        for (title, part), colour in zip(parts.items(), METHODS[1::-1], strict=True):
            share, told = calibration_curve(right, np.concatenate(part)[kept].ravel(), n_bins=10)
            axis.plot(told, share, "o-", color=colour, markersize=4, label=title)
        axis.set(title=name, xlabel="score", xlim=(0, 1), ylim=(0, 1))
        axis.grid(color=GRID)
    axes[0, 0].set_ylabel("share of frames that have the class")
    axes[0, 0].legend(loc="upper left", fontsize=8)
    return figure


def ends_off(by_title: Mapping[str, Sequence[Run]]) -> plt.Figure:
    """How early or late matched bouts begin and end, as shares of them, all seeds of a title together.

    Between the dotted lines lies half of what two people differ by on other, real recordings: their median.
    """
    people = recorded.read("human")["figures"]["first"]["metrics"]
    figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.4), sharey=True)
    edges = np.linspace(-FARTHEST, FARTHEST, round(2 * FARTHEST / WIDTH) + 1)
    for (title, runs), colour in zip(by_title.items(), SHADES, strict=False):
        errors = np.concatenate([_errors(run) for run in runs])
        for axis, late in zip(axes, errors.T, strict=True):
            shares = np.histogram(late.clip(-FARTHEST, FARTHEST), edges)[0] / max(len(late), 1)
            label = f"{title}: median {np.median(np.abs(late)):.2f} s" if len(late) else f"{title}: no bout matched"
            axis.stairs(shares, edges, color=colour, linewidth=1.5, label=label)
    for axis, end, name in zip(axes, ("onset", "offset"), ("begins", "ends"), strict=True):
        median = people[f"{end}_abs"]["value"]
        for x in (-median, median):
            axis.axvline(x, **DOTTED)
        axis.plot([], [], label=f"two people, real mice: median {median:.2f} s", **DOTTED)
        axis.set(xlabel=f"{name} late by (s), beyond ±{FARTHEST:g} s in the last bars", xlim=(-FARTHEST, FARTHEST))
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8)
    axes[0].set_ylabel("share of matched bouts")
    return figure


def _errors(run: Run) -> np.ndarray:
    true, labels = ([getattr(v, name) for v in run.videos] for name in ("true", "labels"))
    return boundary_errors(true, labels, run.classes, [v.fps for v in run.videos])
