"""Who does what when: activities and labels of a simulated recording.

Task 1 schedules are a semi-Markov process whose transition probabilities and bout durations were computed from the
released CalMS21 Task 1 train labels (Sun et al. 2021), separately for recordings with attack, with mount, with both
and with neither. Task 3 schedules alternate one behaviour with a background of others at CalMS21's base rates; their
bout durations are assumptions, as no statistics of them are published.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mbrepro.errors import InputError
from mbrepro.recordings import FPS, OTHER, TASK1_CLASSES, TASK3_BEHAVIOURS

CONTACTS = ("investigate", "investigate_body", "sniff_face", "attack", "mount", "intromission", "mount_attempt")
_TASK1_ACTIVITY = {"attack": "attack", "investigation": "investigate", "mount": "mount", OTHER: "wander"}
_TASK3_ACTIVITY = {"disengaged": "disengage", "whiterearing": "rear"}

# One entry a recording, repeated by animal number: attack in 3 of 9 and mount in 6 of 9 recordings
# (CalMS21 Task 1: attack in 23 and mount in 55 of 89, both in 6).
_KINDS = ("both", "mount", "none", "attack", "mount", "mount", "attack", "mount", "mount")

# Next segment given this one; rows and columns attack, investigation, mount, other.
# Source: CalMS21 Task 1 train labels (Sun et al. 2021), computed from the released labels.
_NEXT = {
    "attack": ((0, 0.227, 0, 0.773), (0.343, 0, 0, 0.657), (0, 0, 0, 1), (0.133, 0.867, 0, 0)),
    "mount": ((0, 0, 0, 1), (0, 0, 0.292, 0.708), (0, 0.531, 0, 0.469), (0, 0.985, 0.015, 0)),
    "both": ((0, 0.394, 0.042, 0.564), (0.322, 0, 0.086, 0.592), (0.19, 0.667, 0, 0.143), (0.082, 0.898, 0.02, 0)),
    "none": ((0, 0, 0, 1), (0, 0, 0, 1), (0, 0, 0, 1), (0, 1, 0, 0)),
}
# Mean and sd of log seconds, same source; the order is that of the rows above.
_LOG_SECONDS = {
    "attack": ((0.424, 1.104), (-0.123, 1.034), (0, 1), (0.846, 1.306)),
    "mount": ((0, 1), (0.171, 1.104), (0.822, 0.848), (1.504, 1.264)),
    "both": ((0.192, 1.008), (-0.087, 1.173), (0.4, 0.8), (0.593, 1.384)),
    "none": ((0, 1), (0.591, 1.305), (0, 1), (1.063, 1.055)),
}
_LONGEST_SECONDS = (22.3, 44.5, 37.4, 68.3)  # longest bouts and gap, same source
_BETWEEN = (0.0, 0.436, 0.0, 0.468)  # sd between recordings of the mean log seconds, same source

# Share of positive frames in CalMS21 Task 3, train and test together (Sun et al. 2021, computed from the release).
TASK3_RATES = dict(zip(TASK3_BEHAVIOURS, (0.031, 0.013, 0.098, 0.165, 0.007, 0.053, 0.118), strict=True))
_TASK3_LOG_SECONDS = dict(
    zip(
        TASK3_BEHAVIOURS,
        ((0.0, 0.4), (-0.2, 0.4), (1.4, 0.6), (1.8, 0.6), (-0.3, 0.35), (-0.3, 0.6), (0.5, 0.6)),
        strict=True,
    )
)
_TASK3_BEFORE = {"disengaged": "investigate_body", "intromission": "mount", "mount_attempt": "investigate_body"}
_TASK3_AFTER = {"approach": "investigate_body", "intromission": "mount", "mount_attempt": "investigate_body"}

EDGE_JITTER_FRAMES = 4.0  # sd of an annotator's edge around the true one; assumed, as one annotator labelled each video


class Bout(NamedTuple):
    """An activity from frame `start` to before frame `stop`."""

    start: int
    stop: int
    activity: str


@dataclass(frozen=True, eq=False)
class Schedule:
    """What both mice do: `bouts` follow each other without a gap; `labels` (T,) is what an annotator would write."""

    classes: tuple[str, ...]
    bouts: tuple[Bout, ...]
    labels: np.ndarray


def make_schedule(task: str, number: int, seconds: float, rng: np.random.Generator) -> Schedule:
    """Draw the schedule of animal `number` in `task` ("task1" or "task3/<behaviour>").

    Raises InputError for an unknown task.
    """
    frames = round(seconds * FPS)
    if task == "task1":
        return _task1_schedule(_KINDS[(number - 1) % len(_KINDS)], frames, rng)
    behaviour = task.removeprefix("task3/")
    if behaviour in TASK3_BEHAVIOURS and task.startswith("task3/"):
        return _task3_schedule(behaviour, frames, rng)
    raise InputError(f"unknown task {task!r}: use task1 or task3/ with one of {', '.join(TASK3_BEHAVIOURS)}")


def _task1_schedule(kind: str, frames: int, rng: np.random.Generator) -> Schedule:
    """Draw until the behaviours that make the recording its kind occur (only asked of recordings over 45 s)."""
    needed = {"attack": {0, 1}, "mount": {1, 2}, "both": {0, 1, 2}, "none": {1}}[kind]
    for _ in range(1000):
        segments = _task1_segments(kind, frames, rng)
        if needed <= {state for _, _, state in segments} or frames < 45 * FPS:
            break
    bouts = tuple(Bout(start, stop, _TASK1_ACTIVITY[TASK1_CLASSES[state]]) for start, stop, state in segments)
    values = [state for _, _, state in segments]
    return Schedule(TASK1_CLASSES, bouts, _annotate([b.stop for b in bouts], values, rng))


def _task1_segments(kind: str, frames: int, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    shift = rng.normal(0, _BETWEEN)
    state, start, segments = 3, 0, []
    while start < frames:
        mean, sd = _LOG_SECONDS[kind][state]
        seconds = math.exp(rng.normal(mean + shift[state], math.sqrt(sd**2 - _BETWEEN[state] ** 2)))
        if not segments:
            seconds *= rng.random()  # the recording is switched on during a gap
        stop = min(frames, start + max(3, round(min(seconds, _LONGEST_SECONDS[state]) * FPS)))
        segments.append((start, stop, state))
        start = stop
        weights = np.array(_NEXT[kind][state])
        state = int(rng.choice(4, p=weights / weights.sum()))
    return segments


def _task3_schedule(behaviour: str, frames: int, rng: np.random.Generator) -> Schedule:
    """Positive bouts at the base rate, at least two, in a background of other activities."""
    mean, sd = _TASK3_LOG_SECONDS[behaviour]
    positive_frames = TASK3_RATES[behaviour] * frames
    lengths = []
    while len(lengths) < 2 or sum(lengths) + 0.5 * FPS * math.exp(mean + sd**2 / 2) < positive_frames:
        lengths.append(max(6, round(min(math.exp(rng.normal(mean, sd)), 0.12 * frames / FPS) * FPS)))
    gaps = _split(frames - sum(lengths), len(lengths) + 1, rng)
    bouts: list[Bout] = []
    for index, gap in enumerate(gaps):
        _background(bouts, gap, behaviour, rng, after=index > 0, before=index < len(lengths))
        if index < len(lengths):
            _append(bouts, lengths[index], _TASK3_ACTIVITY.get(behaviour, behaviour))
    positive = _TASK3_ACTIVITY.get(behaviour, behaviour)
    values = [int(b.activity == positive) for b in bouts]
    return Schedule((OTHER, behaviour), tuple(bouts), _annotate([b.stop for b in bouts], values, rng))


def _split(total: int, parts: int, rng: np.random.Generator) -> list[int]:
    """Split `total` frames into random parts, none much shorter than the others."""
    shares = rng.dirichlet(np.full(parts, 4.0))
    edges = np.round(np.r_[0, np.cumsum(shares)] * total).astype(int)
    return np.diff(edges).tolist()


def _background(bouts: list[Bout], frames: int, behaviour: str, rng, *, after: bool, before: bool) -> None:
    """Append `frames` of background, with the context that leads into and out of the behaviour."""
    lead_out = _TASK3_AFTER.get(behaviour, "wander") if after else "wander"
    lead_in = _TASK3_BEFORE.get(behaviour, "wander") if before else "wander"
    ends = {"out": min(frames // 3, _context_frames(rng)), "in": min(frames // 3, _context_frames(rng))}
    _append(bouts, ends["out"], lead_out)
    left = frames - sum(ends.values())
    contact = "investigate_body" if behaviour in ("sniff_face", "approach", "disengaged") else "investigate"
    mounts = behaviour in ("intromission", "mount_attempt")
    while left > 0:
        activity = contact if bouts and bouts[-1].activity == "wander" else "wander"
        if mounts and activity == contact and rng.random() < 0.35:
            activity = "mount"
        mean = 1.2 if activity == "wander" else 0.2
        length = min(left, max(10, round(math.exp(rng.normal(mean, 0.8)) * FPS)))
        _append(bouts, length, activity)
        left -= length
    _append(bouts, ends["in"], lead_in)


def _context_frames(rng: np.random.Generator) -> int:
    return round(FPS * rng.uniform(1.2, 2.5))


def _append(bouts: list[Bout], length: int, activity: str) -> None:
    """Append a bout, joined to the last one if it is the same activity; nothing for a length of 0."""
    start = bouts[-1].stop if bouts else 0
    if length <= 0:
        return
    if bouts and bouts[-1].activity == activity:
        bouts[-1] = Bout(bouts[-1].start, start + length, activity)
    else:
        bouts.append(Bout(start, start + length, activity))


def _annotate(stops: Sequence[int], values: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Labels (T,) with each inner edge moved by a few frames, by less than half of the shorter neighbour."""
    edges = np.r_[0, np.asarray(stops)]
    room = np.minimum(np.diff(edges)[:-1], np.diff(edges)[1:]) * 0.45
    moved = edges.copy()
    moved[1:-1] += np.trunc(np.clip(rng.normal(0, EDGE_JITTER_FRAMES, len(room)), -room, room)).astype(int)
    return np.repeat(np.asarray(values, np.int64), np.diff(moved))
