"""Figures of the study, in one style. Every function draws on matplotlib and returns the figure."""

from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from mbrepro.metrics import confusion as count
from mbrepro.metrics import row_normalised
from mbrepro.recordings import OTHER, Recording, runs
from mbrepro.results import Run

COLOURS = {
    "attack": "#c8442d", "investigation": "#2a7ab0", "mount": "#7b4fa3", OTHER: "#d9d9d4",
    "action": "#22705f",
}  # fmt: skip
BEHAVIOUR = "#22705f"  # the behaviour of a binary task


def set_style() -> None:
    """One look for all figures: readable at the book's text width, on white."""
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
    """Write where the recordings come from into the figure itself, so that it says so wherever it is copied."""
    figure.supxlabel(f"{source} recordings", x=0.99, ha="right", fontsize=8, color="#8a5a1e", style="italic")
    return figure


def colour_of(name: str) -> str:
    """The colour a class has in every figure."""
    return COLOURS.get(name, BEHAVIOUR)


def confusion(matrix: np.ndarray, classes: Sequence[str], title: str, axis: plt.Axes | None = None) -> plt.Figure:
    """Confusion matrix (C, C), rows true and normalised, as a labelled heat map."""
    if axis is None:
        _, axis = plt.subplots(figsize=(4.4, 3.8))
    sns.heatmap(
        matrix, annot=True, fmt=".2f", vmin=0, vmax=1, cmap="Blues", cbar=False, square=True, linewidths=1,
        xticklabels=classes, yticklabels=classes, ax=axis,
    )  # fmt: skip
    axis.set(title=title, xlabel="predicted", ylabel="true")
    axis.tick_params(axis="x", rotation=30)
    axis.tick_params(axis="y", rotation=0)
    return axis.figure


def confusions(runs_by_protocol: Mapping[str, Sequence[Run]]) -> plt.Figure:
    """Confusion matrices side by side, all seeds and videos of each protocol together; classes that occur."""
    figure, axes = plt.subplots(1, len(runs_by_protocol), figsize=(4.4 * len(runs_by_protocol), 3.9), squeeze=False)
    for axis, (protocol, runs_) in zip(axes.flat, runs_by_protocol.items(), strict=True):
        classes = runs_[0].classes
        counts = sum(count(v.true, v.labels, len(classes)) for run in runs_ for v in run.videos)
        kept = np.flatnonzero(counts.sum(0) + counts.sum(1))
        confusion(row_normalised(counts[np.ix_(kept, kept)]), [classes[k] for k in kept], protocol, axis)
    return figure


def video_tracks(runs_: Sequence[Run], recordings: Sequence[Recording], title: str) -> plt.Figure:
    """True labels above the first seed's, over time, for the test video with most frames of its first class."""
    run = runs_[0]
    videos = {video.name: video for video in run.videos}
    chosen = max(recordings, key=lambda r: (videos[r.name].true == 0).sum())
    video = videos[chosen.name]
    tracks = {"labelled": video.true, "predicted": video.labels}
    return ethogram(tracks, run.classes, chosen.fps, f"{title}: {chosen.name}")


def clip_strips(strips: Mapping[str, np.ndarray], columns: int = 8) -> plt.Figure:
    """Clips (F, H, W, 3) as strips of at most `columns` of their frames, evenly chosen, each under its title."""
    figure, axes = plt.subplots(len(strips), 1, figsize=(8.2, 1.5 * len(strips)))
    for axis, (title, clip) in zip(np.atleast_1d(axes), strips.items(), strict=True):
        shown = np.linspace(0, len(clip) - 1, min(columns, len(clip))).round().astype(int)
        axis.imshow(np.concatenate(list(clip[shown]), axis=1))
        axis.set_title(title, fontsize=9, loc="left")
        axis.axis("off")
    return figure


def ethogram(tracks: Mapping[str, np.ndarray], classes: Sequence[str], fps: float, title: str) -> plt.Figure:
    """Label tracks (T,) of one recording over time, one line each, a colour a class."""
    figure, axis = plt.subplots(figsize=(8.2, 0.55 * len(tracks) + 1.3))
    for line, track in enumerate(tracks.values()):
        for start, stop, value in runs(np.asarray(track)):
            bar = [(start / fps, (stop - start) / fps)]
            axis.broken_barh(bar, (line - 0.4, 0.8), facecolors=colour_of(classes[value]), linewidth=0)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour_of(name)) for name in classes]
    axis.legend(handles, classes, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(classes), handlelength=1)
    axis.set(yticks=range(len(tracks)), yticklabels=list(tracks), xlabel="time (s)")
    axis.set_xlim(0, len(next(iter(tracks.values()))) / fps)
    axis.invert_yaxis()
    axis.set_title(title, loc="left", pad=30)  # above the legend
    return figure


def frames_shown(frames: Sequence[np.ndarray], titles: Sequence[str], columns: int = 3) -> plt.Figure:
    """Pictures (H, W, 3) uint8 in a grid, each with its title."""
    rows = -(-len(frames) // columns)
    height, width = frames[0].shape[:2]
    figure, axes = plt.subplots(
        rows, columns, figsize=(8.2, 8.2 / columns * rows * height / width + 0.3 * rows), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, frame, title in zip(axes.flat, frames, titles, strict=False):
        axis.imshow(frame)
        axis.set_title(title, fontsize=9)
    return figure


def bout_durations(recordings: Sequence[Recording]) -> plt.Figure:
    """Share of bouts longer than a duration, one curve a behaviour, on a logarithmic time axis."""
    figure, axis = plt.subplots(figsize=(6.4, 3.4))
    classes = recordings[0].classes
    for value, name in enumerate(classes):
        seconds = [(b - a) / r.fps for r in recordings for a, b, label in runs(r.labels) if label == value]
        if name != OTHER and seconds:
            sns.ecdfplot(
                x=seconds, complementary=True, ax=axis, color=colour_of(name), label=f"{name} ({len(seconds)})"
            )
    axis.axvline(5, color="black", linewidth=0.8, linestyle=":")
    axis.text(5, 1.0, " the poster's 5 s clip", va="top", fontsize=9)
    axis.set(xscale="log", xlabel="bout duration (s)", ylabel="share of bouts longer")
    axis.legend(title="behaviour (bouts)")
    return figure
