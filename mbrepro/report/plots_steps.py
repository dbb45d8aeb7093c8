"""Figures of steps: what each correction of a protocol is worth, and each pass over the train recordings."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mbrepro.report.plots import BEHAVIOUR, COLOURS


def waterfall(table: pd.DataFrame) -> plt.Figure:
    """What each step of `corrections.correction_scores` adds to F1 and to MAP: a bar from the line before to its own.

    A hollow dot is the level reached, with the sd over seeds; the number is what the step added.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 0.42 * len(table) + 1), sharey=True)
    lines = np.arange(len(table))
    for axis, metric in zip(axes, ("F1", "MAP"), strict=True):
        level, gain = table[metric].to_numpy(), table[f"{metric} gain"].to_numpy()
        colours = np.where(gain[1:] < 0, COLOURS["attack"], BEHAVIOUR)
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


def epoch_curve(curves: np.ndarray, chosen: int, metric: str) -> plt.Figure:
    """How good each number of passes is for train animals held out: a line a division (rows of `curves`), and the mean.

    chosen: the number of passes taken, from 1. metric: what the curves are.
    """
    epochs = np.arange(1, curves.shape[1] + 1)
    figure, axis = plt.subplots(figsize=(5.6, 2.9))
    if len(curves) > 1:
        axis.plot(epochs, curves.T, color="#b9b9b4", linewidth=1)
    mean = curves.mean(0)
    axis.plot(epochs, mean, "o-", color=BEHAVIOUR, markersize=4)
    axis.plot(chosen, mean[chosen - 1], "o", color=COLOURS["attack"], markersize=9, markerfacecolor="none")
    axis.set(xlabel="passes over the train recordings", ylabel=metric, ylim=(0, 1))
    axis.set_xticks(epochs if len(epochs) <= 15 else epochs[:: len(epochs) // 10])
    return figure
