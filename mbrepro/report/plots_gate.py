"""Figures of the gate: how good labels are against what stage 2 was shown, and what stage 1 keeps."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from mbrepro.report.plots import DOTTED, GRID
from mbrepro.study.gate_curves import DENSE, NONE
from mbrepro.study.learned import LEARNED

COLOURS = {
    "difference": "#22705f", "confidence": "#c8442d", "margin": "#d98f2b", "random": "#9a9a94", "oracle": "#2a7ab0",
    "learned extent": "#7a4fa3",
}  # fmt: skip
MARKS = dict(zip(COLOURS, "oD^xsv", strict=True))  # lines that lie on each other are told by them
SPAN = 0.1  # that an axis shows at least, so that thousandths do not look like much
SHOWN = {"f1": "F1", "map": "MAP", "bout_f1": "bout F1 at tIoU .5"}


def curves_drawn(table: pd.DataFrame, kinds: pd.DataFrame) -> plt.Figure:
    """F1, MAP and bout F1 of `gate_curves.curves` against the share of video shown, a line a gate.

    The dotted line is the dense variant; around F1 stands the difference gate's interval by video.
    kinds: of `learned.beside`, whose clips of learned extent have a line of their own.
    """
    figure, axes = plt.subplots(1, len(SHOWN), figsize=(9.6, 4.4))
    ends = table[table["gate"] == NONE]
    by = {gate: table[table["gate"] == gate] for gate in COLOURS}
    by["learned extent"] = kinds[kinds["variant"] == LEARNED]
    for axis, (metric, name) in zip(axes, SHOWN.items(), strict=True):
        for gate in [g for g in COLOURS if len(by[g])]:
            dense = ends[ends["variant"] != DENSE] if gate == "learned extent" else ends
            line = pd.concat([dense, by[gate]]).sort_values("share_of_video")
            axis.plot(
                line["share_of_video"], line[metric], marker=MARKS[gate], color=COLOURS[gate], label=gate,
                ms=6, lw=1, mfc="none",
            )  # fmt: skip
            if metric == "f1" and gate == "difference":
                axis.fill_between(line["share_of_video"], line["low"], line["high"], color=COLOURS[gate], alpha=0.12)
        axis.axhline(float(ends.loc[ends["variant"] == DENSE, metric].iloc[0]), **DOTTED)
        axis.set(xlabel="share of video shown", title=name)
        axis.xaxis.set_major_formatter(PercentFormatter(1, 0))
        axis.grid(axis="y", color=GRID)
        (low, high), middle = axis.get_ylim(), np.mean(axis.get_ylim())
        axis.set_ylim(min(low, middle - SPAN / 2), max(high, middle + SPAN / 2))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(COLOURS), fontsize=11)
    return figure


def risk_drawn(found: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> plt.Figure:
    """Risk against coverage of `gate_curves.risk_coverage`, a line a gate."""
    figure, axis = plt.subplots(figsize=(5.6, 3.4))
    for gate, (coverage, risk) in found.items():
        axis.plot(coverage, risk, color=COLOURS[gate], label=gate)
    axis.set(xlabel="share of proposed time that stage 1 keeps", ylabel="share of it labelled wrongly")
    axis.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axis.grid(axis="y", color=GRID)
    axis.legend(fontsize=9)
    return figure
