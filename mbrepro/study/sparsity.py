"""How sparse behaviour is, and how well labels can be with part of the video: computed from labels alone.

Everything here grants perfect knowledge: stage 1 is the labels themselves and stage 2 never errs about what it is
shown. What falls short of 1 is lost by the way video is cut, whatever models are used.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import binary_dilation

from mbrepro.data import labels as level
from mbrepro.data.labels import LabelSet, Track
from mbrepro.data.recordings import SPLITS, Dataset, behaviours, other_index, runs
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import ACTION, localize_action
from mbrepro.method.proposals import HysteresisRule, PosterRule, Proposal, proposal_labels, propose
from mbrepro.method.protocols import Protocol
from mbrepro.metrics import resampling
from mbrepro.metrics.frames import row_normalised

GAPS = (0.0, 1.0, 2.0, 5.0)  # s; bouts closer than this become one proposal
LENGTHS = (0.5, 1.0, 2.0, 5.0, 10.0)  # s; longest proposal, length of a clip or a window
GLANCES = (1 / 30, 0.1, 0.2, 0.5, 1.0, 2.0)  # s looked at in the middle of each proposal
SHORTEST = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)  # s; shorter stretches of action are skipped
PIECE = 2.0  # s; longest proposal where another length is varied, as in the corrected protocol
TILE = 5.0  # s; the poster's clip
DURATIONS = tuple(np.round(np.geomspace(0.1, 60, 29), 3).tolist())  # s; where the share of longer bouts is given

POLICIES = {
    "clips": "a clip round every bout",
    "glance": "a glance at the middle of every bout",
    "windows": "windows that hold a behaviour",
    "longest": "the longest bouts only",
}


def anchor_rule(gap: float, longest: float | None) -> HysteresisRule:
    """Proposals that are the stretches of action, gaps up to `gap` s closed, split where longer than `longest` s."""
    return HysteresisRule(smooth_s=0.0, enter=0.5, leave=0.5, merge_gap_s=gap, min_s=0.0, max_s=longest)


def watch(
    track: Track, proposals: Sequence[Proposal], seconds: float | None = None, anchor: str = "middle"
) -> tuple[np.ndarray, np.ndarray]:
    """What perfect naming makes of proposals: (T,) labels, and (T,) bool, the frames that were looked at.

    seconds: how long one looks, round the proposal's middle or from its start (`anchor`); None for the proposal itself.
    A proposal gets the most frequent behaviour among its frames that were looked at, "other" if they hold none, and all
    of its frames get that label.
    """
    other = other_index(track.classes)
    labels, seen = np.full(len(track), other), np.zeros(len(track), bool)
    views = [_view(p, len(track), seconds and max(1, round(seconds * track.fps)), anchor) for p in proposals]
    shown = [Proposal(max(p.start, a), min(p.stop, b), p.score) for p, (a, b) in zip(proposals, views, strict=True)]
    names = proposal_labels(track.labels, shown, track.classes)
    for proposal, (start, stop), name in zip(proposals, views, names, strict=True):
        labels[proposal.start : proposal.stop] = name
        seen[start:stop] = True
    return labels, seen


def _view(proposal: Proposal, frames: int, length: int | None, anchor: str) -> tuple[int, int]:
    if length is None:
        return proposal.start, proposal.stop
    start = proposal.start
    if anchor == "middle":
        start = min(max(0, (start + proposal.stop - length) // 2), max(0, frames - length))
    return start, min(start + length, frames)


def watch_windows(track: Track, seconds: float, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and frames looked at if each window with action (T,) gets its most frequent class, behaviours first."""
    length = max(1, round(seconds * track.fps))
    order = [*(track.classes.index(name) for name in behaviours(track.classes)), other_index(track.classes)]
    labels, seen = np.empty(len(track), np.int64), np.zeros(len(track), bool)
    for start in range(0, len(track), length):
        span = slice(start, start + length)
        seen[span] = action[span].any()
        found = order[np.bincount(track.true[span], minlength=len(order))[order].argmax()]
        labels[span] = found if seen[start] else order[-1]
    return labels, seen


def without_short(action: np.ndarray, frames: int) -> np.ndarray:
    """Action (T,) bool without its stretches of fewer than `frames` frames."""
    kept = action.copy()
    for start, stop, acting in runs(action):
        kept[start:stop] = acting and stop - start >= frames
    return kept


def watched(policy: str, seconds: float, action: np.ndarray, namer: Track) -> tuple[np.ndarray, np.ndarray]:
    """Labels and frames looked at (both (T,)) under one of `POLICIES`.

    action: (T,) bool, what stage 1 finds. namer: the labels that stage 2 sees where it looks.
    """
    if policy == "windows":
        return watch_windows(namer, seconds, action)
    if policy == "longest":
        action = without_short(action, round(seconds * namer.fps))
        return watch(namer, propose(action, anchor_rule(0.0, PIECE), namer.fps))
    longest = seconds if policy == "clips" else PIECE
    labels, seen = watch(namer, propose(action, anchor_rule(0.0, longest), namer.fps), seconds)
    return labels, seen & action if policy == "glance" else seen


def point(
    tracks: Sequence[Track], views: Sequence[tuple[np.ndarray, np.ndarray]], context: int = 0
) -> dict[str, dict[str, float]]:
    """Share of the videos looked at and the macro-F1 reached, each with its interval by video.

    context: frames on either side that whoever names a frame has seen too; if there are any, the share with them is
    `seen`, and the bout F1 at a tIoU of .5 is told too.
    """
    labels, seen = zip(*views, strict=True)
    whole = [len(t) for t in tracks]
    true, classes = [t.labels for t in tracks], tracks[0].classes
    found = {
        "touched": resampling.share([s.sum() for s in seen], whole),
        "f1": resampling.f1(true, labels, classes),
    }
    if context:
        wide = np.ones(2 * context + 1)
        found["bout_f1"] = resampling.bout_f1(true, labels, classes)
        found["seen"] = resampling.share([binary_dilation(s, wide).sum() for s in seen], whole)
    return found


def curve(
    tracks: Sequence[Track], lengths: Sequence[float] = LENGTHS, glances: Sequence[float] = GLANCES,
    actions: Sequence[np.ndarray] | None = None, namers: Sequence[Track] | None = None, context: int = 0,
) -> dict[str, list[dict]]:  # fmt: skip
    """Share of video touched against the F1 reached: policy → points, each with its length in seconds.

    actions: what stage 1 finds in each video, and namers: what stage 2 sees there; without them the labels themselves,
    and the F1 is the best reachable. context: as of `point`.
    """
    jobs = list(zip(actions or [t.action for t in tracks], namers or tracks, strict=True))
    grid = {"clips": lengths, "glance": glances, "windows": lengths, "longest": SHORTEST}
    return {
        policy: [{"seconds": s, **point(tracks, [watched(policy, s, *job) for job in jobs], context)} for s in seconds]
        for policy, seconds in grid.items()
    }


def ceilings(
    tracks: Sequence[Track], gaps: Sequence[float] = GAPS, lengths: Sequence[float | None] = (1.0, 2.0, 5.0, None)
) -> dict[str, dict[str, dict]]:
    """Best macro-F1 with one label a proposal: merge gap → longest proposal (None for no limit) → F1 and proposals."""
    grid = {}
    for gap in gaps:
        row = grid[f"gap_{gap:g}s"] = {}
        for length in lengths:
            found = [propose(t.action, anchor_rule(gap, length), t.fps) for t in tracks]
            labels = [watch(t, p)[0] for t, p in zip(tracks, found, strict=True)]
            best = resampling.f1([t.true for t in tracks], labels, tracks[0].classes)
            row["whole" if length is None else f"{length:g}s"] = {**best, "proposals": sum(map(len, found))}
    return grid


def windows(tracks: Sequence[Track], lengths: Sequence[float] = LENGTHS) -> dict[str, dict]:
    """Best macro-F1 with one label a window of fixed length, every window being looked at: length (s) → F1."""
    true, classes, found = [t.labels for t in tracks], tracks[0].classes, {}
    for seconds in lengths:
        labels = [watch_windows(t, seconds, t.action)[0] for t in tracks]
        found[f"{seconds:g}s"] = resampling.f1(true, labels, classes)
    return found


def posters_rule(tracks: Sequence[Track]) -> dict[str, dict[str, float]]:
    """The poster's proposals and 5 s clips with perfect knowledge, cut at the right time; only action gets labels."""
    views = []
    for track in tracks:
        labels, seen = watch(track, propose(track.action, PosterRule()), TILE, "start")
        views.append((np.where(track.action, labels, other_index(track.classes)), seen))
    return point(tracks, views)


def localizer_points(data: Dataset, protocols: Mapping[str, Protocol], folder: Path) -> dict[str, dict]:
    """Where a trained localizer's proposals lie on the curve (first seed), cut at the right time, named perfectly."""
    points = {}
    for name, protocol in protocols.items():
        (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
        views = []
        for recording in data.test:
            p_action = localize_action(model, recording)
            proposals = propose(p_action, protocol.rule, recording.fps)
            labels, seen = watch(recording, proposals, protocol.clips.seconds, protocol.anchor)
            if protocol.written == "action":
                labels = np.where(p_action >= ACTION, labels, other_index(data.classes))
            views.append((labels, seen))
        points[f"this study's localizer, {name}"] = point(data.test, views)
    return points


def tiles_touched(tracks: Sequence[Track], gap: float) -> dict[str, float]:
    """Share of the videos under clips of 5 s laid end to end over every stretch of action, gaps closed."""
    touched = []
    for track in tracks:
        seen, length = np.zeros(len(track), bool), round(TILE * track.fps)
        for p in propose(track.action, anchor_rule(gap, None), track.fps):
            seen[p.start : p.start + length * -(-(p.stop - p.start) // length)] = True
        touched.append(seen.sum())
    return resampling.share(touched, [len(t) for t in tracks])


def skippable(tracks: Sequence[Track]) -> dict[str, float]:
    """Share of frames that are other: what a perfect localizer lets a system skip."""
    return resampling.share([(~t.action).sum() for t in tracks], [len(t) for t in tracks])


def bout_statistics(tracks: Sequence[Track]) -> dict[str, object]:
    """Bouts (s) of each behaviour and of all, their share "longer" than `DURATIONS`, gaps, and what follows what."""
    classes = tracks[0].classes
    named = {name: level.bout_seconds(tracks, name) for name in behaviours(classes)}
    named["all"] = level.bout_seconds(tracks)
    gaps = level.gap_seconds(tracks)
    follows = level.transitions(tracks, classes)
    return {
        "bouts": {name: _durations(seconds) for name, seconds in named.items()},
        "gaps": {"n": len(gaps), **_percentiles(gaps)},
        "transitions": pd.DataFrame(follows, classes, classes).to_dict("index"),
        "next": pd.DataFrame(row_normalised(follows), classes, classes).to_dict("index"),
    }


def _durations(by_video: Sequence[np.ndarray]) -> dict[str, object]:
    """Of a behaviour that never occurs everything but its number is NaN."""
    seconds, whole = np.concatenate(by_video), [len(s) for s in by_video]
    under = {f"under_{limit:g}s": resampling.share([(s < limit).sum() for s in by_video], whole) for limit in (1, 5)}
    longer = [float((seconds > limit).mean()) if len(seconds) else np.nan for limit in DURATIONS]
    mean = float(seconds.mean()) if len(seconds) else np.nan
    return {"n": len(seconds), "mean": mean, **_percentiles(seconds), **under, "longer": longer}


def _percentiles(seconds: np.ndarray) -> dict[str, float]:
    values = np.percentile(seconds, level.PERCENTILES).tolist() if len(seconds) else len(level.PERCENTILES) * [np.nan]
    return {f"p{percent:02d}": value for percent, value in zip(level.PERCENTILES, values, strict=True)}


def figures(data: LabelSet | Dataset) -> dict[str, object]:
    """Every figure of the page on sparsity, by split."""
    found: dict[str, object] = {}
    for split in SPLITS:
        tracks = getattr(data, split)
        found[split] = {
            "skippable": skippable(tracks),
            "touched_5s": {f"gap_{gap:g}s": tiles_touched(tracks, gap) for gap in (0.0, 1.0, 2.0)},
            "ceilings": ceilings(tracks),
            "windows": windows(tracks),
            "curve": curve(tracks),
            "posters_rule": posters_rule(tracks),
            **bout_statistics(tracks),
        }
    return found


def provenance(data: LabelSet | Dataset) -> dict[str, object]:
    """What is recorded beside `figures`."""
    return level.provenance(data, "mbrepro.study.sparsity.figures") | {"intervals": resampling.BY_VIDEO}
