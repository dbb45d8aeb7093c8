"""Ethograms in the page's own HTML, as wide as their place; `book/_static/ethograms.js` moves them where it runs."""

import html
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML

from mbrepro.data.recordings import OTHER, UNLABELLED, runs
from mbrepro.metrics.mistakes import HIT, KINDS, NEITHER, mistakes, shares_of_kinds
from mbrepro.report.plots import METHODS, colours_of
from mbrepro.report.prose import compared
from mbrepro.study.results import Run

WITHOUT = "<noscript>The controls need JavaScript; shown is the state that the page was made with.</noscript>"

# Told apart, and from Task 1's classes, in every sight; a test computes it.
MISTAKES = {
    "miss": "#000000", "false alarm": "#f7e600", "split": METHODS[0], "merge": METHODS[3], "shifted edge": METHODS[2],
    "another behaviour": "#ffb27a",
}  # fmt: skip
_BY_KIND = {KINDS.index(name): colour for name, colour in MISTAKES.items()}


def track(values: np.ndarray, colours: Mapping[int, str], told: str) -> str:
    """A track (T,) as SVG, each value in its colour; one that has none is left out. told: what it is, for who hears."""
    paths = {}
    for start, stop, value in runs(values):
        paths.setdefault(value, []).append(f"M{start} 0h{stop - start}v1h-{stop - start}z")
    drawn = "".join(f'<path fill="{colours[v]}" d="{"".join(d)}"/>' for v, d in paths.items() if v in colours)
    box = f'viewBox="0 0 {len(values)} 1" preserveAspectRatio="none" role="img"'
    return f'<svg class="mb-line" {box} aria-label="{html.escape(told)}">{drawn}</svg>'


def key(colours: Mapping[str, str]) -> str:
    """What the colours mean, as HTML."""
    names = (f'<span><i style="background:{c}"></i>{html.escape(name)}</span>' for name, c in colours.items())
    return f'<p class="mb-key">{"".join(names)}</p>'


def gate_explorer(held: Mapping, told: pd.DataFrame, budget: float, source: str) -> HTML:
    """A figure that a reader sets budget, tolerance and recording of, from what `gate_curves.stops` gives.

    budget: of the state it is made with, one of the stops. source: of the recordings.
    """
    at, first = held["stops"].index(budget), held["recordings"][0]
    colours = {k: colour for k, (name, colour) in enumerate(colours_of(held["classes"]).items()) if name != OTHER}
    lines = {
        "labelled": first["true"], "poses alone": first["labels"][0][0], "gated": first["labels"][0][at],
    }  # fmt: skip
    rows = [(name, track(_expanded(flat), colours, f"{name}, over time")) for name, flat in lines.items()]
    shown = np.where(_expanded(first["first"][0]) <= at, 0, 1)
    rows.append(("shown", track(shown, {0: METHODS[0]}, "shown to stage 2, over time")))
    drawn = "".join(_row(name, svg) for name, svg in rows) + _row("", _time(len(shown) / first["fps"]))
    data = json.dumps({**held, "colours": colours, "shown": METHODS[0]}, separators=(",", ":")).replace("<", "\\u003c")
    line, alone = told.iloc[at], told.iloc[0]
    sentence = compared(
        f"With {budget:.0%} of the clips' time shown the F1 is", line["f1"], alone["f1"], "of poses alone", form=".3f"
    )
    names = colours_of(held["classes"]) | {"shown to stage 2": METHODS[0]}
    caption = (
        f"{source.capitalize()} recordings, one of them drawn (first seed). Numbers are of all test recordings, means "
        f"over seeds. {sentence} How sure that is says the paired difference, not two numbers. (As the page opens; the "
        "numbers above follow what is set.)"
    )
    return HTML(
        f'<figure class="mb-explore">{_controls(held, at)}{WITHOUT}{_numbers(line, alone)}'
        f'<div class="mb-lines">{drawn}</div>{key(names)}<figcaption>{html.escape(caption)}</figcaption>'
        f'<script type="application/json">{data}</script></figure>'
    )


def stacked(by_title: Mapping[str, Sequence[Run]], source: str) -> HTML:
    """Every test video's labels over time, and under them the first seed's of each title, coloured by what they are.

    A frame named rightly has its behaviour's colour, any other that of its mistake (`metrics.mistakes`). The slider
    makes it wider. source: of the recordings.
    """
    first, parts = {title: by_seed[0] for title, by_seed in by_title.items()}, []
    classes = next(iter(first.values())).classes
    colours = {k: colour for k, (name, colour) in enumerate(colours_of(classes).items()) if name != OTHER}
    for videos in zip(*(run.videos for run in first.values()), strict=True):
        told = f"{videos[0].name}, labelled"
        parts.append(f"<strong>{html.escape(videos[0].name)}, {len(videos[0].true) / videos[0].fps:.0f} s</strong>")
        parts.append(_row("labelled", track(videos[0].true, colours, told)))
        for title, video in zip(first, videos, strict=True):
            known, kinds = video.labelled(), np.full(len(video.true), NEITHER)
            kinds[video.true != UNLABELLED] = mistakes(known.true, known.labels, classes)
            shown = np.where(kinds == HIT, video.true, len(classes) + kinds)
            drawn = track(shown, colours | {len(classes) + k: c for k, c in _BY_KIND.items()}, f"{video.name}, {title}")
            parts.append(_row(title, drawn))
        parts.append(_row("", _time(len(videos[0].true) / videos[0].fps)))
    zoom = '<label>Zoom in time<input name="zoom" type="range" min="1" max="12" value="1" disabled></label>'
    return HTML(
        f'<figure class="mb-stack"><div class="mb-controls">{zoom}</div>{WITHOUT}'
        f'<div class="mb-scroll" tabindex="0" role="group" aria-label="ethograms of all test videos">'
        f'<div class="mb-lines">{"".join(parts)}</div></div>'
        f"{key(colours_of(classes) | MISTAKES)}"
        f"<figcaption>{html.escape(_so_what(kinds_table(by_title), source))}</figcaption></figure>"
    )


def _row(name: str, shown: str) -> str:
    return f"<div><span>{html.escape(name)}</span>{shown}</div>"


def _time(seconds: float) -> str:
    """A time axis, to which the page's script gives as many ticks as there is room for."""
    return f'<div class="mb-time" data-seconds="{seconds:.3f}"></div>'


def kinds_table(by_title: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Shares of the kinds of `metrics.mistakes`, a line a title, means over seeds."""
    found = {}
    for title, by_seed in by_title.items():
        known = [[v.labelled() for v in run.videos] for run in by_seed]
        pairs = [([v.true for v in videos], [v.labels for v in videos]) for videos in known]
        found[title] = pd.DataFrame([shares_of_kinds(*pair, by_seed[0].classes) for pair in pairs]).mean()
    return pd.DataFrame(found).T


def _so_what(table: pd.DataFrame, source: str) -> str:
    """Whose frames are right most often, and its most frequent mistake."""
    best = table["hit"].idxmax()
    worst = table.loc[best].drop("hit").idxmax()
    hits = ", ".join(f"{title} {share:.1%}" for title, share in table["hit"].items())
    return (
        f"{source.capitalize()} recordings, drawn for the first seed. Frames that have a behaviour in either labelling "
        f"and are hits, means over seeds: {hits}. The most frequent mistake of {best} is: {worst}, "
        f"{table.loc[best, worst]:.1%}."
    )


def _controls(held: Mapping, at: int) -> str:
    """The sliders and the choice, which do nothing until the script is there."""
    lasting = {one["name"]: sum(one["true"][::2]) / one["fps"] for one in held["recordings"]}
    names = "".join(f"<option>{html.escape(name)}, {seconds:.0f} s</option>" for name, seconds in lasting.items())
    last = len(held["stops"]) - 1, len(held["tolerances"]) - 1
    return (
        f'<div class="mb-controls"><label>Share of all clips\' time that may be shown: <output>{held["stops"][at]:.0%}'
        f'</output><input name="stop" type="range" min="0" max="{last[0]}" value="{at}" disabled></label>'
        "<label>Tolerance: a frame is right if the other labels say the same within <output>0 s</output>"
        f'<input name="tolerance" type="range" min="0" max="{last[1]}" value="0" disabled></label>'
        f'<label>Recording drawn<select name="recording" disabled>{names}</select></label></div>'
    )


def _numbers(line: pd.Series, alone: pd.Series) -> str:
    told = {
        "F1, gated": f"{line['f1']:.3f}", "F1, poses alone": f"{alone['f1']:.3f}",
        "of the video shown": f"{line['share_of_video']:.1%}", "TFLOP an hour": f"{line['tflop_per_hour']:.3f}",
    }  # fmt: skip
    parts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in told.items())
    return f'<dl class="mb-numbers" aria-live="polite">{parts}</dl>'


def _expanded(flat: list[int]) -> np.ndarray:
    return np.repeat(flat[1::2], flat[::2])
