"""Who does what when, and what annotators write of it: activities and labels of a simulated recording.

Task 1 acts are a semi-Markov process with the transition probabilities and the quantiles of bout and gap durations of
CalMS21's of the same split (Sun et al. 2021), separately for recordings with attack, mount, both and neither. Task 3
schedules alternate one behaviour with a background of others at CalMS21's base rates; bout durations are assumptions.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from mbrepro.data.recordings import FPS, OTHER, TASK1_CLASSES, TASK3_BEHAVIOURS, runs
from mbrepro.demo.simulated.annotators import FIRST, INVESTIGATION, SECOND, missed, with_edges, write
from mbrepro.errors import InputError

STATISTICS = Path(__file__).with_name("real_statistics.json")
CONTACTS = ("investigate", "investigate_body", "sniff_face", "attack", "mount", "intromission", "mount_attempt")
_TASK1_ACTIVITY = {"attack": "attack", "investigation": "investigate", "mount": "mount", OTHER: "wander"}
_TASK3_ACTIVITY = {"disengaged": "disengage", "whiterearing": "rear"}

# Behaviours besides investigation, one entry a recording, in a split's order and repeated. Shares of CalMS21's minutes
# (Sun et al. 2021): train mount 53 %, none 29 %, attack 12 %, both 7 %; test mount 62 %, attack 29 %, both 7 %,
# none 2 %.
_KINDS = {
    "train": ("mount", "attack", "none", "mount", "both", "mount", "none", "mount", "attack", "mount", "none",
              "mount", "mount", "none"),
    "test": ("mount", "attack", "mount", "both", "mount", "attack", "mount", "mount", "attack", "mount", "none",
             "mount", "attack", "mount", "mount", "attack", "mount", "mount", "mount"),
}  # fmt: skip
_NEEDED = {"attack": {0, 1}, "mount": {1, 2}, "both": {0, 1, 2}, "none": {1}}
# Part of the variance of (normal scores of) durations that is between recordings, by segment; same source.
_BETWEEN = 0.06

# Share of positive frames in CalMS21 Task 3, train and test together (Sun et al. 2021, computed from the release).
TASK3_RATES = dict(zip(TASK3_BEHAVIOURS, (0.031, 0.013, 0.098, 0.165, 0.007, 0.053, 0.118), strict=True))
_TASK3_LOG_SECONDS = {  # mean and sd
    "approach": (0.0, 0.4), "disengaged": (-0.2, 0.4), "groom": (1.4, 0.6), "intromission": (1.8, 0.6),
    "mount_attempt": (-0.3, 0.35), "sniff_face": (-0.3, 0.6), "whiterearing": (0.5, 0.6),
}  # fmt: skip
_TASK3_BEFORE = {"disengaged": "investigate_body", "intromission": "mount", "mount_attempt": "investigate_body"}
_TASK3_AFTER = {"approach": "investigate_body", "intromission": "mount", "mount_attempt": "investigate_body"}


class Bout(NamedTuple):
    """An activity from frame `start` to before frame `stop`."""

    start: int
    stop: int
    activity: str


@dataclass(frozen=True, eq=False)
class Schedule:
    """What both mice do: `bouts` follow each other without a gap; `labels` (T,) is what an annotator writes of it.

    second: (T,) what another one writes, of Task 1.
    """

    classes: tuple[str, ...]
    bouts: tuple[Bout, ...]
    labels: np.ndarray
    second: np.ndarray | None = None

    @property
    def acts(self) -> np.ndarray:
        """(T,) what Task 1 labels would be if whoever writes them erred nowhere."""
        states = {_TASK1_ACTIVITY[name]: index for index, name in enumerate(self.classes)}
        return np.concatenate([np.full(stop - start, states[activity]) for start, stop, activity in self.bouts])


def make_schedule(task: str, number: int, seconds: float, rng: np.random.Generator, split: str = "train") -> Schedule:
    """Draw the schedule of the recording `number`, from 1, of a split of `task` ("task1" or "task3/<behaviour>").

    Raises InputError for an unknown task.
    """
    frames = round(seconds * FPS)
    if task == "task1":
        kinds = _KINDS[split]
        return _task1_schedule(split, kinds[(number - 1) % len(kinds)], frames, rng)
    behaviour = task.removeprefix("task3/")
    if behaviour in TASK3_BEHAVIOURS and task.startswith("task3/"):
        return _task3_schedule(behaviour, frames, rng)
    raise InputError(f"unknown task {task!r}: use task1 or task3/ with one of {', '.join(TASK3_BEHAVIOURS)}")


def _task1_schedule(split: str, kind: str, frames: int, rng: np.random.Generator) -> Schedule:
    """Draw until the behaviours that make the recording its kind occur (only asked of recordings over 45 s)."""
    for _ in range(1000):
        segments = _task1_segments(split, kind, frames, rng)
        if _NEEDED[kind] <= {state for _, _, state in segments} or frames < 45 * FPS:
            break
    acts = np.repeat([state for *_, state in segments], [stop - start for start, stop, _ in segments])
    _touch(acts, segments, rng)
    bouts = tuple(Bout(start, stop, _TASK1_ACTIVITY[TASK1_CLASSES[state]]) for start, stop, state in runs(acts))
    return Schedule(TASK1_CLASSES, bouts, *(write(acts, annotator, rng) for annotator in (FIRST, SECOND)))


def _task1_segments(split: str, kind: str, frames: int, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    """Labelled segments (start, stop, class) of a recording, which starts in a gap, most often of a single frame."""
    real = real_statistics()
    tables, opens = real["kinds"][split][kind], real["labels"][split]["opens_with_a_bout"]
    shift = dict(zip(tables["frames"], rng.normal(0, math.sqrt(_BETWEEN), len(tables["frames"])), strict=True))
    state, before, start, segments = 3, None, 0, []
    while start < frames:
        name = TASK1_CLASSES[state] if state < 3 else f"gap after {before}" if before else "gap"
        score = ndtr(shift[name] + rng.normal(0, math.sqrt(1 - _BETWEEN)))
        sample = tables["frames"][name]
        length = np.interp(score * len(sample) - 0.5, np.arange(len(sample)), sample)
        if not segments:  # the recording is switched on during a gap, or as the intruder is put in
            length *= 0 if rng.random() < opens else rng.random()
        stop = min(frames, start + max(1, round(length)))
        segments.append((start, stop, state))
        start = stop
        before = name if state < 3 else before
        weights = np.array(tables["next"][state])
        state = int(rng.choice(4, p=weights / weights.sum()))
    return segments


@cache
def real_statistics() -> dict:
    """What `mbrepro.demo.likeness.measure_real` recorded."""
    return json.loads(STATISTICS.read_text(encoding="utf-8"))


def _touch(acts: np.ndarray, segments: Sequence[tuple[int, int, int]], rng: np.random.Generator) -> None:
    """Add as many contacts to the gaps of acts (T,) as the first annotator leaves out, and as long ones.

    So as many are written as the real labels have.
    """
    for start, stop, state in segments:
        length = stop - start
        left_out = missed(FIRST, INVESTIGATION, length)
        if state != INVESTIGATION or rng.random() >= left_out / (1 - left_out):
            continue
        room = [(a + round(FPS / 2), b - round(FPS / 2) - length) for a, b, value in runs(acts) if value == 3]
        places = np.concatenate([np.arange(a, b) for a, b in room if a < b] or [np.empty(0, int)])
        if len(places):
            at = rng.choice(places)
            acts[at : at + length] = INVESTIGATION


def _task3_schedule(behaviour: str, frames: int, rng: np.random.Generator) -> Schedule:
    """Positive bouts at the base rate, at least one, in a background of other activities."""
    mean, sd = _TASK3_LOG_SECONDS[behaviour]
    positive_frames = TASK3_RATES[behaviour] * frames
    lengths = []
    while not lengths or sum(lengths) + 0.5 * FPS * math.exp(mean + sd**2 / 2) < positive_frames:
        lengths.append(max(6, round(min(math.exp(rng.normal(mean, sd)), 0.2 * frames / FPS) * FPS)))
    gaps = _split(frames - sum(lengths), len(lengths) + 1, rng)
    bouts: list[Bout] = []
    positive = _TASK3_ACTIVITY.get(behaviour, behaviour)
    for index, gap in enumerate(gaps):
        _background(bouts, gap, behaviour, rng, after=index > 0, before=index < len(lengths))
        if index < len(lengths):
            _append(bouts, lengths[index], positive)
    acts = np.repeat([int(bout.activity == positive) for bout in bouts], [bout.stop - bout.start for bout in bouts])
    return Schedule((OTHER, behaviour), tuple(bouts), with_edges(acts, 0, FIRST, rng))


def _split(total: int, parts: int, rng: np.random.Generator) -> list[int]:
    """Split `total` frames into random parts, none much shorter than the others."""
    shares = rng.dirichlet(np.full(parts, 4.0))
    edges = np.round(np.r_[0, np.cumsum(shares)] * total).astype(int)
    return np.diff(edges).tolist()


def _background(
    bouts: list[Bout], frames: int, behaviour: str, rng: np.random.Generator, *, after: bool, before: bool
) -> None:
    """Append `frames` of background, with the context that leads into and out of the behaviour."""
    lead_out = _TASK3_AFTER.get(behaviour, "wander") if after else "wander"
    lead_in = _TASK3_BEFORE.get(behaviour, "wander") if before else "wander"
    out_frames, in_frames = (min(frames // 3, round(FPS * rng.uniform(1.2, 2.5))) for _ in range(2))
    _append(bouts, out_frames, lead_out)
    left = frames - out_frames - in_frames
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
    _append(bouts, in_frames, lead_in)


def _append(bouts: list[Bout], length: int, activity: str) -> None:
    """Append a bout, joined to the last one if it is the same activity; nothing for a length of 0."""
    if length <= 0:
        return
    start = stop = bouts[-1].stop if bouts else 0
    if bouts and bouts[-1].activity == activity:
        start = bouts.pop().start
    bouts.append(Bout(start, stop + length, activity))
