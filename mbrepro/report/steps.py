"""What is shown of steps: the worth of each correction of a protocol, and of each pass over the train recordings."""

import html

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML

from mbrepro.method.networks import best_epochs
from mbrepro.report.plots import METHODS
from mbrepro.study import ladder
from mbrepro.study.profiles import training_epochs


def waterfall(table: pd.DataFrame) -> plt.Figure:
    """What each step of `corrections.correction_scores` adds to F1 and to MAP: a bar from the line before to its own.

    A hollow dot is the level reached, with the sd over seeds; the number is what the step added.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 0.42 * len(table) + 1), sharey=True)
    lines = np.arange(len(table))
    for axis, metric in zip(axes, ("F1", "MAP"), strict=True):
        level, gain = table[metric].to_numpy(), table[f"{metric} gain"].to_numpy()
        colours = np.where(gain[1:] < 0, METHODS[1], METHODS[0])
        axis.barh(lines[1:], gain[1:], left=level[:-1], height=0.62, color=colours, alpha=0.75)
        axis.vlines(level[:-1], lines[:-1], lines[1:], color="black", linewidth=0.7, linestyle=":")
        axis.errorbar(
            level, lines, xerr=table[f"{metric} sd"], fmt="o", color="black", markerfacecolor="white", markersize=5,
            linewidth=1,
        )  # fmt: skip
        reach = np.maximum(level, level - np.nan_to_num(gain)) + table[f"{metric} sd"]
        for line, x in zip(lines, reach, strict=True):
            text = f"{level[line]:.3f}" if line == 0 else f"{gain[line]:+.3f}"
            axis.annotate(text, (x, line), (6, 0), textcoords="offset points", va="center", fontsize=9)
        axis.set(xlabel=f"end to end, {metric}", xlim=(0, 1), ylim=(len(table) - 0.5, -0.5))
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(lines, table["step"])
    return figure


def in_words(table: pd.DataFrame) -> HTML:
    """From which F1 to which the steps of `corrections.correction_scores` lead, and which adds and takes most."""
    gains, level = table.set_index("step")["F1 gain"].dropna(), table["F1"]
    losing = int((gains < 0).sum())
    steps = f"{losing} of the {len(gains)} steps {'takes' if losing == 1 else 'take'} from it"
    told = f"From the first line to the last F1 goes from {level.iloc[0]:.3f} to {level.iloc[-1]:.3f}; {steps}."
    if len(gains) and gains.max() > 0:
        told += f" The largest gain, {gains.max():+.3f}, is that of: {html.escape(str(gains.idxmax()))}."
    if losing:
        told += f" The largest loss, {gains.min():+.3f}, is that of: {html.escape(str(gains.idxmin()))}."
    return HTML(f"<p>{told}</p>")


def epochs_chosen(curves: np.ndarray) -> HTML:
    """How many passes were best for train animals held out, in words; says so where the best was the last one tried.

    curves: as of `pipeline.validation_curves`.
    """
    if not len(curves):
        return HTML(f"<p>No train animals were held out: the networks have made all {curves.shape[1]} passes.</p>")
    tried, best = curves.shape[1], best_epochs(curves)
    text = f"Of 1 to {tried} passes, {best} are best for the train animals held out: F1 {curves.mean(0)[best - 1]:.3f}"
    if len(curves) > 1:
        alone = ", ".join(str(k) for k in 1 + curves.argmax(1))
        text += f", the mean of {len(curves)} divisions of the animals, each of which alone would have chosen {alone}"
    if best == tried:
        text += (
            ". <strong>That is the last number tried</strong>: more may be better, and the networks are those of the "
            "published protocol"
        )
    return HTML(f"<p>{text}.</p>")


def stops_short(source: str) -> HTML:
    """What the baseline's network reaches if it is trained for longer than the demo has time for; else nothing."""
    if source != "simulated":
        return HTML("")
    curve = ladder.recorded_curves()["±200 frames"].mean(0)
    line = ladder.recorded_ladder()[0].set_index(["network", "metric"]).loc["±200 frames", "f1"]
    few, best = training_epochs("demo", "baseline"), best_epochs(curve[None])
    return HTML(
        f"<p>For time the demo's baseline makes at most {few} passes: F1 on held-out train animals is then "
        f"{curve[few - 1]:.3f}, and {curve[best - 1]:.3f} after {best}, the best of up to {len(curve)} (the last five "
        f"differ by {np.ptp(curve[-5:]):.3f}). With these it has an F1 of {line['mean']:.3f} ± {line['sd']:.3f} on the "
        "demo's test recordings, as recorded for page 00.</p>"
    )


def epoch_curve(curves: np.ndarray, metric: str) -> plt.Figure:
    """The `curves` of `pipeline.validation_curves`, a line a division, their mean, and a ring at the passes chosen.

    metric: what the curves are, for the axis.
    """
    epochs = np.arange(1, curves.shape[1] + 1)
    figure, axis = plt.subplots(figsize=(5.6, 2.9))
    if len(curves) > 1:
        axis.plot(epochs, curves.T, color="#b9b9b4", linewidth=1)
    if len(curves):
        mean, best = curves.mean(0), best_epochs(curves)
        axis.plot(epochs, mean, "o-", color=METHODS[0], markersize=4)
        axis.plot(best, mean[best - 1], "o", color=METHODS[1], markersize=10, markerfacecolor="none")
    axis.set(xlabel="passes over the train recordings", ylabel=metric, ylim=(0, 1))
    axis.xaxis.get_major_locator().set_params(integer=True)
    return figure
