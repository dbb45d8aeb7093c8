"""Figures of embedding spaces and of captions, in the style of `plots`."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from mbrepro.data.recordings import OTHER
from mbrepro.report.plots import DOTTED, GRID, METHODS, colour_of, key_of, stacked
from mbrepro.study.language import CATEGORIES, shares

HEAD_COLOURS = dict(zip(("1-NN", "10-NN", "prototype", "ridge"), METHODS, strict=True))
CATEGORY_COLOURS = dict(zip(CATEGORIES, METHODS, strict=False))
SPLIT_COLOURS = {"train": METHODS[2], "test": METHODS[1]}


def maps(coordinates: Mapping[str, np.ndarray], frame: pd.DataFrame) -> plt.Figure:
    """Maps (N, 2) of the same clips side by side, a column a space, coloured by class, recording, split and time.

    frame: as of `clip_index.clip_frame`. Recordings have no legend: what matters is whether colours keep together.
    """
    rows = ("class", "recording", "split", "minute")
    figure, axes = plt.subplots(len(rows), len(coordinates), figsize=(8.2, 9.2), squeeze=False)
    present = [name for name in (OTHER, *dict.fromkeys(sorted(frame["class"]))) if (frame["class"] == name).any()]
    names = {"class": list(dict.fromkeys(present)), "split": ["train", "test"]}
    palettes = {
        "class": {name: colour_of(name) for name in names["class"]}, "split": SPLIT_COLOURS,
        "recording": sns.color_palette("husl", frame["recording"].nunique()), "minute": "viridis",
    }  # fmt: skip
    for line, by in zip(axes, rows, strict=True):
        for axis, (space, points) in zip(line, coordinates.items(), strict=True):
            last = axis is line[-1] and by != "recording"
            sns.scatterplot(
                x=points[:, 0], y=points[:, 1], hue=frame[by].to_numpy(), hue_order=names.get(by), s=12, linewidth=0,
                alpha=0.8, palette=palettes[by], legend="auto" if last else False, ax=axis,
            )  # fmt: skip
            axis.set(xticks=[], yticks=[], xlabel="", ylabel="")
            axis.margins(0.05)
            sns.despine(ax=axis, left=True, bottom=True)  # a map has no axes
            if by == rows[0]:
                axis.set_title(space)
            if last:
                axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, markerscale=1.6, handletextpad=0.1)
        told = f"recording ({frame['recording'].nunique()})" if by == "recording" else by
        line[0].set_ylabel(told)
    return figure


def component_curves(sweeps: Mapping[str, pd.DataFrame], chance: float) -> plt.Figure:
    """Balanced accuracy against the number of principal components, a panel a space; at the right without PCA.

    sweeps: as of `space.sweep_components`. Bands are 95 % intervals by recording, of the first and the last head.
    """
    columns = 2
    lines = -(-len(sweeps) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(8.2, 2.9 * lines), sharey=True, squeeze=False)
    for axis in axes.flat[len(sweeps) :]:
        axis.axis("off")
    for axis, (title, sweep) in zip(axes.flat, sweeps.items(), strict=False):
        steps = [
            *sorted(d for d in sweep["components"].unique() if d),
            *([0] if (sweep["components"] == 0).any() else []),
        ]
        for head, part in sweep.groupby("head", sort=False):
            part = part.set_index("components").loc[steps]
            axis.plot(range(len(steps)), part["accuracy"], "o-", markersize=4, color=HEAD_COLOURS[head], label=head)
            if head in ("1-NN", "ridge"):
                axis.fill_between(
                    range(len(steps)), part["low"], part["high"], color=HEAD_COLOURS[head], alpha=0.12, lw=0
                )
        axis.axhline(chance, **DOTTED)
        axis.set_xticks(range(len(steps)), [str(d) if d else "no\nPCA" for d in steps])
        axis.set_title(title, fontsize=10)
        axis.grid(axis="y", color=GRID)
    for axis in axes[:, 0]:
        axis.set_ylabel("balanced accuracy")
    for axis in axes[-1]:
        axis.set_xlabel("principal components")
    axes[0, 0].text(0, chance, " chance", va="bottom", fontsize=8)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names))
    return figure


def width_curves(sweep: pd.DataFrame, own_width: int, chance: float) -> plt.Figure:
    """Accuracy and relative contrast against width, for a space made wider by turning it or by adding noise.

    sweep: as of `space.sweep_width`. own_width: of the space itself; narrower ones are some of its dimensions.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.4))
    styles = {"rotated": ("o-", "turned into a wider space"), "noise": ("s--", "widened by noise")}
    for widened, (style, told) in styles.items():
        part = sweep[sweep["widened"] == widened].sort_values("width")
        for head, mine in part.groupby("head", sort=False):
            left.plot(
                mine["width"], mine["accuracy"], style, color=HEAD_COLOURS[head], markersize=4, label=f"{head}, {told}"
            )
            left.fill_between(mine["width"], mine["low"], mine["high"], color=HEAD_COLOURS[head], alpha=0.08, lw=0)
        once = part.drop_duplicates("width")
        right.plot(once["width"], once["contrast"], style, color="black", markersize=4, label=told)
    for axis in (left, right):
        axis.set(xscale="log", xlabel="width")
        axis.set_xticks(sorted(sweep["width"].unique()), [str(w) for w in sorted(sweep["width"].unique())], fontsize=8)
        axis.minorticks_off()
        axis.axvline(own_width, color="#8a5a1e", linewidth=0.8, linestyle=":")
    left.axhline(chance, **DOTTED)
    left.text(sweep["width"].min(), chance, "chance", va="bottom", fontsize=8)
    left.set_ylabel("balanced accuracy")
    right.set(ylabel="relative contrast of distances", yscale="log")
    right.text(own_width, right.get_ylim()[0], " its own width", fontsize=8, color="#8a5a1e", va="bottom")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=8)
    return figure


def category_bars(frames: Mapping[str, pd.DataFrame], by: str, order: Sequence) -> plt.Figure:
    """Shares of the caption categories as stacked bars, a panel a frame of captions, a bar a value of `by`."""
    figure, axes = plt.subplots(1, len(frames), figsize=(8.2, 0.42 * len(order) + 1.5), sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, frames.items(), strict=True):
        table, small = shares(frame, by).reindex(list(order)), {"va": "center", "fontsize": 8, "color": "#5a5a56"}
        stacked(table[list(CATEGORIES)], CATEGORY_COLOURS, axis, least=0.2, size=8)
        for line, clips in enumerate(table["clips"].fillna(0)):
            axis.text(*((1.02, line, f"{clips:.0f}") if clips else (0.02, line, "no clip")), **small)
        axis.text(1.02, -0.75, "clips", **small)
        axis.set(ylim=(len(order) - 0.5, -0.9))
        axis.set_title(title, fontsize=9, loc="left")
    figure.legend(*key_of(CATEGORY_COLOURS), loc="outside upper center", ncols=3)
    axes[0, len(frames) // 2].set_xlabel("share of captions")
    return figure
