"""Figures of stored runs: F1 against the parameters that a sweep changed."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mbrepro.report.plots import DOTTED, GRID, METHODS, heat
from mbrepro.study import poster
from mbrepro.study.stored import Sweep


def sweeps_drawn(found: Sequence[Sweep]) -> plt.Figure:
    """A panel a sweep: one factor as a line with intervals by video, two as a grid, more as parallel axes.

    The dotted line is the study's own row.
    """
    figure, axes = plt.subplots(len(found), 1, figsize=(7.2, 3.4 * len(found)), squeeze=False)
    for axis, sweep in zip(axes.flat, found, strict=True):
        draw = {1: _line, 2: _grid}.get(len(sweep.factors), _parallel)
        draw(sweep, axis)
        given = ", ".join(f"{name} {value}" for name, value in sweep.fixed.items())
        title = f"{poster.TITLES[sweep.row]}, {sweep.protocol}"
        axis.set_title(f"{title} ({given})" if given else title, loc="left")
    return figure


def _line(sweep: Sweep, axis: plt.Axes) -> None:
    (factor,), table = sweep.factors, sweep.table
    ordered = pd.api.types.is_numeric_dtype(table[factor]) and not pd.api.types.is_bool_dtype(table[factor])
    values = table[factor] if ordered else np.arange(len(table))
    reach = [(table["f1"] - table["f1_low"]).clip(lower=0), (table["f1_high"] - table["f1"]).clip(lower=0)]
    axis.errorbar(values, table["f1"], reach, fmt="o-" if ordered else "o", color=METHODS[0], capsize=3)
    if not ordered:
        axis.set_xticks(values, [str(value) for value in table[factor]])
        axis.margins(x=0.1)
    axis.axhline(sweep.study, **DOTTED)
    axis.set(xlabel=factor, ylabel="F1")
    axis.grid(axis="y", color=GRID)


def _grid(sweep: Sweep, axis: plt.Axes) -> None:
    one, other = sweep.factors
    heat(sweep.table.pivot(index=one, columns=other, values="f1"), axis, fmt=".2f", vmin=0)


def _parallel(sweep: Sweep, axis: plt.Axes) -> None:
    """A line a run through its values, each factor's evenly spaced, to its F1, whose place is its value."""
    table, places = sweep.table, []
    for k, factor in enumerate(sweep.factors):
        values = sorted(table[factor].unique())
        heights = np.linspace(0, 1, len(values))
        places.append(table[factor].map(dict(zip(values, heights, strict=True))))
        for value, height in zip(values, heights, strict=True):
            axis.annotate(str(value), (k, height), xytext=(4, 2), textcoords="offset points", fontsize=8)
    lines = np.array([*places, table["f1"]], float)  # (factors + 1, runs)
    order = table["f1"].rank(pct=True)
    for line, share in zip(lines.T, order, strict=True):
        axis.plot(line, color=plt.get_cmap("viridis_r")(share), alpha=0.8)
    axis.set_xticks(range(len(lines)), [*sweep.factors, "F1"])
    axis.set(ylim=(-0.05, 1.1), ylabel="F1 (last axis)")
