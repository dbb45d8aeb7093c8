"""What FERAL's eye is worth by length of piece and tolerance, which a reader sets: `book/_static/pieces.js`."""

import html
import json
from collections.abc import Mapping, Sequence

from IPython.display import HTML

from mbrepro.metrics.agreement import TOLERANCES
from mbrepro.report.ethograms import WITHOUT

SECONDS, TOLERANCE = 2.0, 0.5  # what the figure is made with, one of `namer.PIECES`, and what its caption tells of


def explorer(stages: Mapping[str, Sequence[Mapping]], every: Mapping[str, Mapping]) -> HTML:
    """A figure that a reader sets stage 1, length of piece and tolerance of.

    stages: stage 1 → `namer.pieces` by rising length, from which F1 is computed as in `f1_of`. every: labellings of
    every frame (`people.compared`) beside them, by title.
    """
    first = next(iter(stages.values()))
    at = [piece["seconds"] for piece in first].index(SECONDS)
    beside = {title: [told["metrics"][name]["value"] for name in _tolerant()] for title, told in every.items()}
    held = {"tolerances": [0.0, *TOLERANCES], "stages": dict(stages), "every": beside}
    now = {f"pieces, {name}": f1 for name, f1 in f1_of(first[at], 0).items()} | {t: f1[0] for t, f1 in beside.items()}
    lines = "".join(
        f'<dt>{html.escape(name)}</dt><dd><span class="mb-track"><span class="mb-dot" style="left:{100 * f1:.1f}%">'
        f"</span></span> <span>{f1:.3f}</span></dd>"
        for name, f1 in now.items()
    )
    data = json.dumps(held, separators=(",", ":")).replace("<", "\\u003c")
    return HTML(
        f'<figure class="mb-pieces">{_controls(held, at)}{WITHOUT}{_numbers(first[at])}'
        f'<dl class="mb-ranges">{lines}</dl><figcaption>{html.escape(_so_what(first, beside))}</figcaption>'
        f'<script type="application/json">{data}</script></figure>'
    )


def f1_of(piece: Mapping, place: int) -> dict[str, float]:
    """Frame F1 of one of `namer.pieces` at the tolerance of a place (0: none): "all three", and of each behaviour."""
    by_name = {}
    for name, counts in piece["counts"].items():
        precision = counts["right"][place] / (counts["claimed"] or 1)
        recall = counts["found"][place] / (counts["occurring"] or 1)
        by_name[name] = 2 * precision * recall / (precision + recall or 1)
    return {"all three": sum(by_name.values()) / len(by_name)} | by_name


def _tolerant() -> list[str]:
    return ["f1", *(f"f1_within_{1000 * seconds:.0f}ms" for seconds in TOLERANCES)]


def _controls(held: Mapping, at: int) -> str:
    stages = "".join(f"<option>{html.escape(name)}</option>" for name in held["stages"])
    last = len(next(iter(held["stages"].values()))) - 1, len(held["tolerances"]) - 1
    return (
        f'<div class="mb-controls"><label>Longest piece: <output>{SECONDS:g} s</output>'
        f'<input name="piece" type="range" min="0" max="{last[0]}" value="{at}" disabled></label>'
        "<label>Tolerance: a frame is right if the other labels say the same within <output>0 s</output>"
        f'<input name="tolerance" type="range" min="0" max="{last[1]}" value="0" disabled></label>'
        f'<label>Stage 1, which says where action is<select name="stage" disabled>{stages}</select></label></div>'
    )


def _numbers(piece: Mapping) -> str:
    told = {
        "F1, one label a piece": f"{f1_of(piece, 0)['all three']:.3f}", "of the video shown": f"{piece['touched']:.1%}",
        "with 32 frames either side": f"{piece['seen']:.1%}",
    }  # fmt: skip
    parts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in told.items())
    return f'<dl class="mb-numbers" aria-live="polite">{parts}</dl>'


def _so_what(pieces: Sequence[Mapping], beside: Mapping[str, Sequence[float]]) -> str:
    """How much of what pieces lose to every frame seen is lost at their ends."""
    title, every = max(beside.items(), key=lambda item: item[1][0])
    place = 1 + TOLERANCES.index(TOLERANCE)
    piece = next(piece for piece in pieces if piece["seconds"] == SECONDS)
    lost, left = (every[k] - f1_of(piece, k)["all three"] for k in (0, place))
    told = f"Pieces of {SECONDS:g} s lose {lost:.3f} of F1 to {title}, and {left:.3f} with {TOLERANCE:g} s of tolerance"
    most = "most" if left < lost / 2 else "less than half"
    return (
        f"CalMS21's test videos; two people: ten others. {told}: {most} of what they lose lies at the ends of bouts. "
        "(As the page opens; the numbers above follow what is set.)"
    )
