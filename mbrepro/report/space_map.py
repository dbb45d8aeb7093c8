"""Maps of clips in the page's own SVG, each clip's picture shown on request by `book/_static/space_map.js`."""

import html
import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML

from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import OTHER
from mbrepro.report.ethograms import WITHOUT, key
from mbrepro.report.page import webp
from mbrepro.report.pictures import middle_frames
from mbrepro.report.plots import METHODS, colours_of
from mbrepro.report.plots_space import SPLIT_COLOURS
from mbrepro.study.clip_index import FoundClips, spread_of

MOST, SIDE, COLUMNS = 400, 72, 20  # clips drawn, px of each one's picture, pictures side by side
WIDTH, HEIGHT, MARGIN, RADIUS = 1000, 620, 20, 8  # of the map, in its own units
VERDICT_COLOURS = {"right": METHODS[2], "wrong": METHODS[3]}


def explorer(
    coordinates: Mapping[str, np.ndarray], frame: pd.DataFrame, named: Mapping[str, np.ndarray],
    found: Sequence[FoundClips], clips: ClipSettings, source: str, most: int = MOST,
) -> HTML:  # fmt: skip
    """A map (N, 2) of each space, at most `most` clips of the same share of each class, each with its middle frame.

    frame: as of `clip_index.clip_frame`, of the clips in `found`. named: what each space's head calls each clip, as of
    `embedding_space.named_by_others`. source: of the recordings. Made in the first space's, coloured by class.
    """
    kept = spread_of(np.unique(frame["class"], return_inverse=True)[1], most)
    shown, starts = frame[kept], np.split(kept, np.cumsum([len(f.starts) for f in found])[:-1])
    pictures = [
        picture
        for f, part in zip(found, starts, strict=True)
        for picture in middle_frames(f.recording, f.starts[part].tolist(), clips, SIDE)
    ]
    held = _held(coordinates, shown, {name: said[kept] for name, said in named.items()}, kept)
    first = next(iter(coordinates))
    fills = [held["colours"]["class"][name] for name in shown["class"]]
    places = zip(*held["spaces"][first]["at"], fills, strict=True)
    points = "".join(f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{fill}"/>' for x, y, fill in places)
    data = json.dumps(held, separators=(",", ":")).replace("<", "\\u003c")
    drawn = f'role="img" aria-label="a map of {len(shown)} clips, a point each" viewBox="0 0 {WIDTH} {HEIGHT}"'
    facts = "".join(f"<div><dt>{name}</dt><dd>–</dd></div>" for name in ("labelled", "named", "recording", "from"))
    return HTML(
        f'<figure class="mb-map">{_controls(list(coordinates), len(shown))}{WITHOUT}'
        f'<div class="mb-plane"><svg {drawn}>{points}<circle class="mb-ring" r="{2 * RADIUS}"/></svg>'
        f'<span class="mb-thumb" hidden></span></div><dl class="mb-numbers" aria-live="polite">{facts}</dl>'
        f"{key({name: c for name, c in held['colours']['class'].items() if (shown['class'] == name).any()})}"
        f"<figcaption>{html.escape(_so_what(frame, named, len(shown), source))}</figcaption>"
        f'<img class="mb-sheet" src="{webp(sheet(pictures))}" alt="the middle frames of the clips of the map" hidden>'
        f'<script type="application/json">{data}</script></figure>'
    )


def sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (S, S, 3) in rows of `COLUMNS`, black where there are no more."""
    rows = -(-len(pictures) // COLUMNS)
    blank = np.zeros((rows * COLUMNS - len(pictures), *pictures[0].shape), np.uint8)
    side = len(pictures[0])
    grid = np.concatenate([pictures, blank]).reshape(rows, COLUMNS, side, side, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * side, COLUMNS * side, 3)


def _held(
    coordinates: Mapping[str, np.ndarray], shown: pd.DataFrame, named: Mapping[str, np.ndarray], kept: np.ndarray
) -> dict:
    """What the script needs: a clip's facts, and where each space puts it and what its head calls it."""
    recordings = list(dict.fromkeys(shown["recording"]))
    classes = [OTHER, *sorted({*shown["class"], *np.concatenate(list(named.values()))} - {OTHER})]
    recording_colours = sns.color_palette("husl", len(recordings)).as_hex()
    return {
        "side": SIDE,
        "columns": COLUMNS,
        "colours": {
            "class": colours_of(classes), "recording": dict(zip(recordings, recording_colours, strict=True)),
            "split": SPLIT_COLOURS, "verdict": VERDICT_COLOURS,
        },
        "clips": [
            {name: clip[name] for name in ("class", "recording", "split")} | {"from": f"{60 * clip['minute']:.1f} s"}
            for clip in shown.to_dict("records")
        ],
        "spaces": {
            name: {"at": _placed(points[kept]).T.tolist(), "named": named[name].tolist()}
            for name, points in coordinates.items()
        },
    }  # fmt: skip


def _placed(points: np.ndarray) -> np.ndarray:
    """(N, 2) whole units of the map, the outermost points `MARGIN` from its edge."""
    low, size = points.min(0), np.ptp(points, axis=0)
    room = np.array([WIDTH, HEIGHT]) - 2 * MARGIN
    return (MARGIN + (points - low) / np.where(size, size, 1) * room).round().astype(int)


def _controls(spaces: Sequence[str], clips: int) -> str:
    by = {"class": "class", "recording": "recording", "split": "split", "verdict": "right or wrong"}
    options = "".join(f"<option>{html.escape(name)}</option>" for name in spaces)
    ways = "".join(f'<option value="{value}">{name}</option>' for value, name in by.items())
    return (
        f'<div class="mb-controls"><label>Space<select name="space" disabled>{options}</select></label>'
        f'<label>Coloured by<select name="by" disabled>{ways}</select></label>'
        "<label>Clip, or point at one, or tap it"
        f'<input name="clip" type="range" min="0" max="{clips - 1}" value="0" disabled></label></div>'
    )


def _so_what(frame: pd.DataFrame, named: Mapping[str, np.ndarray], shown: int, source: str) -> str:
    """What shares of the clips each space's head names rightly."""
    right = {name: float((said == frame["class"]).mean()) for name, said in named.items()}
    shares = ", ".join(f"{name} {share:.0%}" for name, share in right.items())
    return (
        f"{source.capitalize()} recordings, {shown} of {len(frame)} clips. Named: by a linear head in all dimensions "
        f"of the space, fitted without the clip's recording. Of all clips it is right about: {shares}; the most in the "
        f"space of {max(right, key=right.get)}."
    )
