"""Figures of the study, in one style. Every function draws on matplotlib and returns the figure."""

from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython import get_ipython
from IPython.display import display
from matplotlib.ticker import FormatStrFormatter, PercentFormatter

from mbrepro.data.recordings import OTHER, Recording, runs
from mbrepro.data.tables import csv_text
from mbrepro.metrics.frames import confusion as count
from mbrepro.metrics.frames import row_normalised
from mbrepro.report.drawn import drawn
from mbrepro.study.results import Run

# Classes: by a search for colours that lie far apart in normal, protanope and deuteranope sight, and whose lightness
# tells Task 1's classes apart, and Task 3's with "other"; a test computes both.
COLOURS = {
    "attack": "#e90b00", "investigation": "#00b1e9", "mount": "#370ba6", "action": "#216443", OTHER: "#dedede",
    "approach": "#2c2100", "disengaged": "#59167a", "groom": "#594e6f", "intromission": "#3759ff",
    "mount_attempt": "#ff0bb1", "sniff_face": "#0bbc64", "whiterearing": "#ffb12c",
}  # fmt: skip
METHODS = ("#33627e", "#b06a14", "#8a8a86", "#8f2d56")  # whatever is no class: methods, splits, better and worse
GRID, DOTTED = "#ececea", {"color": "black", "linewidth": 0.8, "linestyle": ":"}


def set_style() -> None:
    """One look for all figures: readable at the book's text width, on white, whatever a user's matplotlibrc says."""
    matplotlib.rcdefaults()
    sns.set_theme(
        context="notebook", style="ticks",
        rc={
            "figure.dpi": 110, "savefig.dpi": 110, "savefig.bbox": "tight", "font.size": 10, "axes.spines.top": False,
            "axes.spines.right": False, "figure.facecolor": "white", "svg.hashsalt": "mbrepro",
            "axes.titlesize": 11, "axes.labelsize": 10, "legend.frameon": False,
        },
    )  # fmt: skip
    matplotlib.rcParams["figure.constrained_layout.use"] = True


def labelled(figure: plt.Figure, source: str) -> plt.Figure:
    """Write where the recordings come from into the figure itself, so that it says so wherever it is copied.

    In a notebook what it draws (`drawn`) becomes an output too, as CSV.
    """
    told = source if "recordings" in source else f"{source} recordings"
    figure.supxlabel(told, x=0.99, ha="right", fontsize=8, color="#8a5a1e", style="italic")
    data = drawn(figure)
    if get_ipython() and len(data):
        display({"text/csv": csv_text(data, None)}, raw=True)
    return figure


def colour_of(name: str) -> str:
    """The colour a class has in every figure."""
    return COLOURS.get(name, COLOURS["action"])


def colours_of(classes: Sequence[str]) -> dict[str, str]:
    """The colour of each of some classes, told apart where several of them are one's own."""
    own = [name for name in classes if name not in COLOURS]
    if len(own) < 2:
        return {name: colour_of(name) for name in classes}
    free = [colour for name, colour in COLOURS.items() if name not in (*classes, "action", OTHER)]
    return {name: COLOURS.get(name) or free[own.index(name) % len(free)] for name in classes}


def key_of(colours: Mapping[str, str]) -> tuple[list[plt.Rectangle], list[str]]:
    """A legend's patches and words."""
    return [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()], list(colours)


def evenly(things: Sequence, most: int) -> list:
    """At most so many of things in order, evenly chosen, the first and the last among them."""
    return [things[k] for k in np.linspace(0, len(things) - 1, min(most, len(things))).round().astype(int)]


def heat(matrix: pd.DataFrame, axis: plt.Axes, **how: object) -> None:
    """A labelled heat map up to 1, its numbers in its cells."""
    sns.heatmap(matrix, ax=axis, annot=True, vmax=1, cmap="Blues", cbar=False, linewidths=1, **how)
    axis.tick_params(axis="y", rotation=0)


def stacked(shares: pd.DataFrame, colours: Mapping[str, str], axis: plt.Axes, least: float, size: int) -> None:
    """A bar a row from above, its columns' shares side by side; those of `least` or more are written in, as percents.

    A word of the row's own name is bold.
    """
    shares.plot.barh(stacked=True, ax=axis, color=colours, edgecolor="white", width=0.8, legend=False)
    for name, bars in zip(shares, axis.containers, strict=True):
        texts = [f"{share:.0%}" if share >= least else "" for share in shares[name]]
        dark = sns.utils.relative_luminance(colours[name]) < 0.3
        said = axis.bar_label(bars, texts, label_type="center", fontsize=size, color="white" if dark else "black")
        for row, text in zip(shares.index, said, strict=True):
            text.set_weight("bold" if row == name else "normal")
    axis.set(xlim=(0, 1), xticks=[0, 0.5, 1], ylabel="")
    axis.invert_yaxis()
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)


def confusions(runs_by_protocol: Mapping[str, Sequence[Run]]) -> plt.Figure:
    """Confusion matrices side by side, all seeds and videos of each protocol together; classes that occur."""
    figure, axes = plt.subplots(1, len(runs_by_protocol), figsize=(4.4 * len(runs_by_protocol), 3.9), squeeze=False)
    for axis, (protocol, runs_) in zip(axes.flat, runs_by_protocol.items(), strict=True):
        classes = runs_[0].classes
        videos = [video.labelled() for run in runs_ for video in run.videos]
        counts = np.sum([count(v.true, v.labels, len(classes)) for v in videos], axis=0)
        kept = np.flatnonzero(counts.sum(0) + counts.sum(1))
        names = [classes[k] for k in kept]
        shares = pd.DataFrame(row_normalised(counts[np.ix_(kept, kept)]), names, names)
        heat(shares, axis, fmt=".2f", vmin=0, square=True)
        axis.set(title=protocol, xlabel="predicted", ylabel="true")
        plt.setp(axis.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    return figure


def clip_strips(strips: Mapping[str, np.ndarray], columns: int = 8) -> plt.Figure:
    """Clips (F, H, W, 3) as strips of at most `columns` of their frames, evenly chosen, each under its title.

    A title also says of how many frames they are.
    """
    figure, axes = plt.subplots(len(strips), 1, figsize=(8.2, 1.5 * len(strips)))
    for axis, (title, clip) in zip(np.atleast_1d(axes), strips.items(), strict=True):
        shown = evenly(clip, columns)
        axis.imshow(np.concatenate(shown, axis=1))
        axis.set_title(f"{title} ({len(shown)} of {len(clip)} frames)", fontsize=9, loc="left")
        axis.axis("off")
    return figure


def frames_shown(frames: Sequence[np.ndarray], titles: Sequence[str], columns: int = 3) -> plt.Figure:
    """Pictures (H, W, 3) uint8 in a grid, each with its title."""
    rows = -(-len(frames) // columns)
    height, width = frames[0].shape[:2]
    size = (8.2, rows * (8.2 / columns * height / width + 0.3))
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, frame, title in zip(axes.flat, frames, titles, strict=False):
        axis.imshow(frame)
        axis.set_title(title, fontsize=9)
    return figure


def bout_durations(recordings: Sequence[Recording], clip: bool = True) -> plt.Figure:
    """Share of bouts longer than a duration, one curve a behaviour, on a logarithmic time axis.

    clip: mark the length of the poster's.
    """
    figure, axis = plt.subplots(figsize=(6.4, 3.4))
    colours = colours_of(recordings[0].classes)
    for value, name in enumerate(recordings[0].classes):
        seconds = [(b - a) / r.fps for r in recordings for a, b, label in runs(r.labels) if label == value]
        if name != OTHER and seconds:
            shown = f"{name} ({len(seconds)})"
            sns.ecdfplot(x=seconds, complementary=True, ax=axis, color=colours[name], label=shown)
    if clip:
        axis.axvline(5, **DOTTED)
        axis.text(5, 1.0, " the poster's 5 s clip", va="top", fontsize=9)
    axis.set(xscale="log", xlabel="bout duration (s)", ylabel="share of bouts longer")
    axis.legend(title="behaviour (bouts)")
    return figure


def clips_seen(clips: Mapping[str, Mapping], titles: Mapping[str, str]) -> plt.Figure:
    """What clips of each label mostly show, one panel for each way of cutting (`titles`), shares as stacked bars.

    clips: figures as of `audit.clips`.
    """
    figure, axes = plt.subplots(1, len(titles), figsize=(8.2, 2.7), sharey=True)
    for axis, (cut, title) in zip(axes, titles.items(), strict=True):
        seen = pd.DataFrame(clips[cut]["seen"]).T  # label of the clip, what it shows
        colours, total = {name: COLOURS.get(name, COLOURS[OTHER]) for name in seen}, seen.sum(axis=1)
        stacked(seen.div(total.clip(lower=1), axis=0), colours, axis, least=0.08, size=9)
        axis.set(title=title, xlabel="share of clips")
        axis.set_yticks(range(len(seen)), [f"{label} ({count_} clips)" for label, count_ in total.items()])
    figure.legend(*key_of(colours), title="the clip mostly shows", loc="outside upper center", ncols=len(colours))
    axes[0].set_ylabel("label of the clip")
    return figure


def marks(rows: Mapping[str, Mapping[str, float] | float], xlabel: str) -> plt.Figure:
    """Values as dots, each with its interval if it is a figure with one; plain numbers, as published, are hollow."""
    figure, axis = plt.subplots(figsize=(7.4, 0.42 * len(rows) + 0.9))
    for line, value in enumerate(rows.values()):
        middle, face, digits = value, "white", 2
        if isinstance(value, Mapping):
            middle, face, digits = value["value"], METHODS[0], 3
            axis.plot([value["low"], value["high"]], [line, line], color=METHODS[0], linewidth=2.5, alpha=0.45)
        axis.plot(middle, line, "o", color=METHODS[0], markersize=7, markerfacecolor=face)
        axis.annotate(
            f"{middle:.{digits}f}", (middle, line), (0, 6), textcoords="offset points",
            ha="center", fontsize=9,
        )  # fmt: skip
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set(xlabel=xlabel, xlim=(0, 1), ylim=(len(rows) - 0.5, -0.7))
    axis.grid(axis="x", color=GRID)
    axis.tick_params(axis="y", length=0)
    return figure


def frames_by_video(concentration: Mapping[str, Mapping], names: Sequence[str]) -> plt.Figure:
    """Share of each behaviour's frames that lies in every video, one row of bars a behaviour.

    concentration: figures as of `audit.concentration`.
    """
    figure, axes = plt.subplots(len(names), 1, figsize=(8.2, 1.15 * len(names) + 0.5), sharex=True)
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        frames = np.array(concentration[name]["frames"])
        axis.bar(range(1, len(frames) + 1), frames / frames.sum(), color=colour_of(name), width=0.8)
        told = f"{name}: in {concentration[name]['videos']} of {len(frames)} videos"
        axis.set_title(told, loc="left", fontsize=10)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set(xlabel="test video", xticks=range(1, len(frames) + 1), xlim=(0.3, len(frames) + 0.7))
    axes[len(names) // 2].set_ylabel("share of the behaviour's frames")
    return figure


def labelled_strips(strips: Mapping[str, tuple[np.ndarray, Sequence[str]]]) -> plt.Figure:
    """Clips (F, H, W, 3) as strips of frames, a bar under each frame in the colour of the class it is labelled."""
    frames = max(len(clip) for clip, _ in strips.values())
    figure, axes = plt.subplots(len(strips), 1, figsize=(8.2, 1.75 * len(strips) + 0.3))
    for axis, (title, (clip, names)) in zip(np.atleast_1d(axes), strips.items(), strict=True):
        height, width = clip.shape[1:3]
        axis.imshow(np.concatenate(list(clip), axis=1))
        for place, name in enumerate(names):
            bar = (place * width, height), width, 0.12 * height
            axis.add_patch(plt.Rectangle(*bar, facecolor=colour_of(name), edgecolor="white"))
        axis.set(xlim=(0, frames * width), ylim=(1.13 * height, 0))
        axis.set_title(title, fontsize=9, loc="left")
        axis.axis("off")
    colours = {name: colour_of(name) for _, names in strips.values() for name in names}
    figure.legend(*key_of(colours), loc="outside upper right", ncols=len(colours), fontsize=9)
    return figure


POLICIES = {  # colour, and where a point's length is written: offset in points, alignment
    "clips": (METHODS[0], (5, 5), "left"),
    "glance": (METHODS[3], (0, 6), "right"),
    "windows": (METHODS[1], (3, -14), "right"),
    "longest": (METHODS[2], (6, -14), "left"),
}


def touch_curve(
    curve: Mapping[str, Sequence[Mapping]], titles: Mapping[str, str], points: Mapping[str, Mapping] | None = None,
    lines: Mapping[str, float] | None = None, reached_by: str = "best reachable F1 of the behaviours",
) -> plt.Figure:  # fmt: skip
    """Share of the video looked at against the F1 reached, a line a policy; its bands are intervals by video.

    curve, points: figures as of `sparsity.curve` and `sparsity.point`. lines: other F1 to compare with, by their names.
    """
    figure, axis = plt.subplots(figsize=(8.2, 5.0))
    for policy, title in titles.items():
        touched = [p["touched"]["value"] for p in curve[policy]]
        reached, low, high = ([p["f1"][key] for p in curve[policy]] for key in ("value", "low", "high"))
        colour, offset, side = POLICIES[policy]
        axis.fill_between(touched, low, high, color=colour, alpha=0.1, linewidth=0)
        axis.plot(touched, reached, "o-", color=colour, label=title, markersize=4.5)
        told = (-1.0, -1.0)  # the last point whose length is written: others too near it would be written over it
        for x, y, p in zip(touched, reached, curve[policy], strict=True):
            if max(abs(x - told[0]), abs(y - told[1])) > 0.06:
                said, told = _seconds(policy, p["seconds"]), (x, y)
                at = side if x > 0.1 else "left"  # beside the axis is no room
                axis.annotate(said, told, offset, textcoords="offset points", fontsize=9, color=colour, ha=at)
    for marker, (name, p) in zip("D*s", (points or {}).items(), strict=False):
        axis.plot(p["touched"]["value"], p["f1"]["value"], marker, color="black", markersize=8, label=name)
    for name, value in (lines or {}).items():
        axis.axhline(value, **DOTTED)
        axis.text(0.995, value, f"{name}: {value:.2f}", va="bottom", ha="right", fontsize=8)
    axis.set(xlabel="share of the video looked at", ylabel=reached_by, xlim=(0, 1))
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.grid(color=GRID)
    axis.legend(loc="best", fontsize=9)
    return figure


def _seconds(policy: str, seconds: float) -> str:
    if policy == "longest":
        return f"≥ {seconds:g} s" if seconds else "all"
    return "1 frame" if seconds < 0.05 else f"{seconds:g} s"


def ceiling_grids(ceilings_by_split: Mapping[str, Mapping]) -> plt.Figure:
    """Best reachable F1 for each merge gap (rows) and longest proposal (columns), as of `sparsity.ceilings`."""
    figure, axes = plt.subplots(1, len(ceilings_by_split), figsize=(4.1 * len(ceilings_by_split), 3.0), squeeze=False)
    for axis, (split, ceilings) in zip(axes.flat, ceilings_by_split.items(), strict=True):
        values = pd.DataFrame(ceilings).T.map(lambda cell: cell["value"])
        values.columns = ["no limit" if name == "whole" else f"{name[:-1]} s" for name in values]
        values.index = [f"≤ {name.removeprefix('gap_')[:-1]} s" for name in values.index]
        heat(values, axis, fmt=".3f", vmin=0.6)
        axis.set(title=split, xlabel="longest proposal", ylabel="gaps closed")
    return figure


def bouts_longer(bouts_by_split: Mapping[str, Mapping], durations: Sequence[float], marked: float) -> plt.Figure:
    """Share of bouts longer than a duration, a panel a split, from figures as of `sparsity.bout_statistics`."""
    figure, axes = plt.subplots(1, len(bouts_by_split), figsize=(8.2, 3.0), sharey=True, squeeze=False)
    for axis, (split, bouts) in zip(axes.flat, bouts_by_split.items(), strict=True):
        for name, told in bouts.items():
            if name != "all":
                axis.plot(durations, told["longer"], color=colour_of(name), label=f"{name} ({told['n']:,})")
        axis.axvline(marked, **DOTTED)
        axis.text(marked, 0.98, f" {marked:g} s clip", fontsize=9, va="top")
        axis.set(xscale="log", xlabel="duration (s)", title=split, ylim=(0, 1))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.legend(title="behaviour (bouts)", fontsize=8, title_fontsize=8, loc="lower left")
    axes[0, 0].set_ylabel("share of bouts longer")
    return figure


def likeness_ratios(medians: pd.DataFrame, tolerance: float) -> plt.Figure:
    """Simulated / real median of each pose statistic (`likeness.pose_medians`), with the band that is near enough."""
    figure, axis = plt.subplots(figsize=(8.2, 0.21 * len(medians) + 1))
    near = (medians["ratio"] - 1).abs() <= tolerance
    axis.axvspan(1 - tolerance, 1 + tolerance, color=METHODS[0], alpha=0.12, linewidth=0)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.scatter(medians["ratio"], medians["what"], color=np.where(near, *METHODS[:2]), s=22, zorder=3)
    axis.set_xscale("log")
    axis.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axis.minorticks_off()
    axis.set(xlabel="simulated median / real median", ylim=(len(medians) - 0.5, -0.5))
    axis.tick_params(axis="y", labelsize=8)
    return figure
