"""What every label file comes down to."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbrepro.errors import InputError

Clock = float | np.ndarray  # frames a second, or (T,) seconds at which the frames are shown, for a rate that varies


@dataclass(frozen=True)
class Bout:
    """An unbroken stretch of one behaviour: first frame, and the frame after its last, both counted from 0.

    channel: the file's name of the track that it lies in, or of the animal that does it.
    """

    behaviour: str
    start: int
    stop: int
    channel: str = ""


def check_wanted(path: Path, known: Collection[str], wanted: Collection[str] | None) -> None:
    """Raise InputError if a file knows none of the behaviours that are wanted; None wants all."""
    if wanted is not None and not set(known) & set(wanted):
        raise InputError(f"{path}: no {' or '.join(map(repr, wanted))} in it, only {', '.join(sorted(known))}")


def frame_at(seconds: float, clock: Clock) -> int:
    """The frame nearest to a time, counted on beyond the recording's ends."""
    if np.ndim(clock) == 0:
        return round(seconds * clock)
    beyond = min(seconds - clock[0], 0) + max(seconds - clock[-1], 0)
    return round(float(np.interp(seconds, clock, np.arange(len(clock)))) + beyond * mean_rate(clock))


def mean_rate(clock: Clock) -> float:
    """Frames a second, on average."""
    return float(clock) if np.ndim(clock) == 0 else max(len(clock) - 1, 1) / (float(clock[-1] - clock[0]) or 1)
