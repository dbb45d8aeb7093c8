"""P(action) of each frame → proposals: the stretches of a recording that stage 2 is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mbrepro.data.recordings import FPS, OTHER, UNLABELLED, Clock, behaviours, frame_at, mean_rate, other_index, runs
from mbrepro.errors import InputError


@dataclass(frozen=True)
class Proposal:
    """Frames start … stop - 1 of a recording; score is the mean P(action) over them."""

    start: int
    stop: int
    score: float


@dataclass(frozen=True)
class PosterRule:
    """A proposal starts where stage 1 turns from other to action and action persists.

    A frame is action where P(action) >= threshold. A proposal starts at frame i + 1 where frame i is other, i + 1 is
    action, and at least min_action_frames of the frames i + 1 … i + horizon_frames - 1 are action. It ends after
    horizon_frames, at the next proposal's start or at the recording's end. So a recording that begins with action has
    no proposal before its second onset, and a proposal never starts in the last min_action_frames - 1 frames.

    It counts frames whatever the recording's rate, as the code does. Defaults: the slides and code of Douglas (2025,
    github.com/audreyadouglas/mouse_action_rec), more than half of 300 frames; the paper's text there says 13 of the
    next 300 (min_action_frames=13).
    Raises InputError if a number is out of range.
    """

    horizon_frames: int = 300
    min_action_frames: int = 151
    threshold: float = 0.5

    def __post_init__(self) -> None:
        least, horizon = self.min_action_frames, self.horizon_frames
        if not 1 <= least < horizon:
            raise InputError(f"min_action_frames must be at least 1 and below horizon_frames ({horizon}), not {least}")


@dataclass(frozen=True)
class HysteresisRule:
    """A proposal is a stretch of likely action: smooth, two thresholds, merge, drop, split, in this order.

    smooth_s: length of the centred moving average, shortened at the recording's ends; 0 leaves P(action) as it is.
    enter, leave: a proposal is a run at or above leave that reaches enter.
    merge_gap_s: proposals with a gap of at most this become one; 0 merges none.
    min_s: shorter ones are dropped. max_s: longer ones are split into equal parts, None for no limit.

    Seconds become the nearest number of frames at the recording's own rate. Defaults: half of CalMS21's bouts are
    shorter than about 1.2 s and one label for every 2 s costs far less than one for every 5 s, so gaps of a third of a
    second are merged and proposals are at most 2 s long. Raises InputError if a number is out of range.
    """

    smooth_s: float = 0.3
    enter: float = 0.6
    leave: float = 0.4
    merge_gap_s: float = 1 / 3
    min_s: float = 1 / 3
    max_s: float | None = 2.0

    def __post_init__(self) -> None:
        if not self.leave <= self.enter:
            raise InputError(f"leave ({self.leave}) must not be above enter ({self.enter})")
        if not min(self.smooth_s, self.min_s, self.merge_gap_s) >= 0:
            raise InputError("smooth_s, min_s and merge_gap_s must not be negative")
        if self.max_s is not None and not self.max_s >= self.min_s:
            raise InputError(f"max_s ({self.max_s}) must not be below min_s ({self.min_s})")


def propose(p_action: np.ndarray, rule: PosterRule | HysteresisRule, clock: Clock = FPS) -> list[Proposal]:
    """Proposals from P(action) (T,), in order and disjoint; raises InputError unless it has values from 0 to 1.

    Where the clock is uneven, seconds of a rule are counted on P(action) at its mean rate.
    """
    p_action = np.asarray(p_action, np.float64)
    if p_action.ndim != 1:
        raise InputError(f"P(action) must have one value a frame, shape (T,), not {p_action.shape}")
    if not np.all((p_action >= 0) & (p_action <= 1)):
        frame = int(np.argmin((p_action >= 0) & (p_action <= 1)))
        raise InputError(f"P(action) must be from 0 to 1, and is {p_action[frame]} at frame {frame}")
    if isinstance(rule, PosterRule):
        spans = _poster_spans(p_action, rule)
    elif np.ndim(clock) == 0:
        spans = _hysteresis_spans(p_action, rule, clock)
    else:
        rate = mean_rate(clock)
        even = np.interp(np.arange(len(p_action)) / rate, clock, p_action)
        spans = [(frame_at(a / rate, clock), frame_at(b / rate, clock)) for a, b in _hysteresis_spans(even, rule, rate)]
        spans = [(start, stop) for start, stop in spans if start < stop]
    return [Proposal(start, stop, float(p_action[start:stop].mean())) for start, stop in spans]


def _poster_spans(p_action: np.ndarray, rule: PosterRule) -> list[tuple[int, int]]:
    frames = len(p_action)
    action = p_action >= rule.threshold
    onsets = np.flatnonzero(~action[:-1] & action[1:]) + 1
    before = np.r_[0, np.cumsum(action)]  # action frames before each frame
    persisting = before[np.minimum(onsets + rule.horizon_frames - 1, frames)] - before[onsets]
    starts = onsets[persisting >= rule.min_action_frames]
    stops = np.minimum(starts + rule.horizon_frames, np.r_[starts[1:], frames][: len(starts)])
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def _hysteresis_spans(p_action: np.ndarray, rule: HysteresisRule, fps: float) -> list[tuple[int, int]]:
    smooth_frames, shortest = (max(1, round(seconds * fps)) for seconds in (rule.smooth_s, rule.min_s))
    longest = len(p_action) if rule.max_s is None else max(1, round(rule.max_s * fps))
    smooth = moving_average(p_action, smooth_frames)
    entered = [(a, b) for a, b, above in runs(smooth >= rule.leave) if above and smooth[a:b].max() >= rule.enter]
    merged: list[tuple[int, int]] = []
    for start, stop in entered:
        if merged and start - merged[-1][1] <= round(rule.merge_gap_s * fps):
            start = merged.pop()[0]
        merged.append((start, stop))
    kept = [(start, stop) for start, stop in merged if stop - start >= shortest]
    return [part for span in kept for part in _split(*span, longest)]


def moving_average(values: np.ndarray, length: int) -> np.ndarray:
    """Centred mean of `length` values, of fewer at the ends; an even length reaches one further ahead than back."""
    total = np.r_[0.0, np.cumsum(values)]
    first = np.maximum(np.arange(len(values)) - (length - 1) // 2, 0)
    stop = np.minimum(np.arange(len(values)) + length // 2 + 1, len(values))
    return (total[stop] - total[first]) / (stop - first)


def _split(start: int, stop: int, longest: int) -> list[tuple[int, int]]:
    """Cut a span into the fewest parts of at most `longest` frames, equal to within one frame."""
    parts = -(-(stop - start) // longest)
    edges = [start + k * (stop - start) // parts for k in range(parts + 1)]
    return list(pairwise(edges))


def proposal_labels(labels: np.ndarray, proposals: Sequence[Proposal], classes: Sequence[str]) -> np.ndarray:
    """(N,) int64: the most frequent behaviour in each proposal, the first in `classes` of equals, "other" if none.

    labels: (T,) of the recording. "Other" never outvotes a behaviour, as in the poster's code (see `PosterRule`).
    A proposal of unlabelled frames is `UNLABELLED`.
    """
    names = [classes.index(name) for name in behaviours(classes)]
    fallback = other_index(classes) if OTHER in classes else names[0]
    found = []
    for span in (labels[p.start : p.stop] for p in proposals):
        counts = np.bincount(span[span != UNLABELLED], minlength=len(classes))
        most = names[int(counts[names].argmax())] if counts[names].any() else fallback
        found.append(UNLABELLED if len(span) and not counts.any() else most)
    return np.array(found, np.int64)
