"""The figure of a learning curve, in the style of `plots`."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd

from mbrepro.data.recordings import behaviours
from mbrepro.report.plots import DOTTED, colours_of, evenly
from mbrepro.study.learning_curve import MEASURES

TITLES = {"f1": "F1", "ap": "average precision", "bout_f1_50": "bout F1 at tIoU .5"}


def learning(points: pd.DataFrame, laws: pd.DataFrame, classes: Sequence[str]) -> plt.Figure:
    """Scores against labelled minutes, a panel each: draws as dots, behaviours' means as lines, the mean in black.

    points, laws: of `learning_curve.curve` and `extrapolated`. Bars, where nothing was measured, are the power law's
    95 % intervals over draws.
    """
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(9.2, 4.2), sharey=True)
    steps, colours = points.groupby("animals").mean(), colours_of(classes)
    for axis, (measure, mean) in zip(axes, MEASURES.items(), strict=True):
        for name in behaviours(classes):
            axis.plot(steps["minutes"], steps[f"{measure}_{name}"], color=colours[name], linewidth=1, label=name)
        axis.plot(points["minutes"], points[mean], ".", color="#8a8a86", markersize=4)
        axis.plot(steps["minutes"], steps[mean], color="black", label="mean")
        ahead = laws[(laws["score"] == mean) & (laws["times"] > 1)]
        errors = [ahead["value"] - ahead["low"], ahead["high"] - ahead["value"]]
        axis.errorbar(
            ahead["amount"], ahead["value"], errors, fmt="o", color="black", markersize=4, capsize=6, mfc="white"
        )
        axis.axvline(steps["minutes"].max(), **DOTTED)
        axis.set(xscale="log", xlabel="labelled minutes", title=TITLES[measure], ylim=(-0.03, 1.02))
        marked = [*evenly(steps["minutes"].tolist(), 3), *ahead["amount"].iloc[-1:]]
        axis.set_xticks(marked, labels=[f"{minutes:.3g}" for minutes in marked])
        axis.minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(classes), fontsize=11)
    return figure
