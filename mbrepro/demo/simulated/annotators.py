"""What people write down of what mice do: late or early, through short gaps, past short bouts, one act for another.

Habits are chosen so that `FIRST` and `SECOND` agree as far as the two people who labelled the same ten recordings
(github.com/BelloneLab/BANOS, commit 83a1c33, data/dataset_human_vs_human), of whom one splits and one lumps.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import ndtr

from mbrepro.data.recordings import runs

ATTACK, INVESTIGATION, MOUNT, OTHER = range(4)  # Task 1
_THROUGH_SPREAD, _PAST_SPREAD = 0.5, (1.5, 3.0, 0.5)  # sd of a length at which a habit sets in, of its logarithm


@dataclass(frozen=True)
class Annotator:
    """Habits of who labels Task 1; lengths in frames, 30 a second.

    lag: how far behind the mice a bout's start and its end into other are written. jitter: sd of an edge beside that.
    through: the length of a gap in attack, investigation and mount that is written through half the time.
    past: the length of a bout of each that is not worth a label half the time; a short mount is investigation.
    exchanged: chance that attack is called investigation, and that investigation beside an attack is called attack.
    """

    lag: tuple[float, float]
    jitter: float
    through: tuple[float, float, float]
    past: tuple[float, float, float]
    exchanged: tuple[float, float]


# The people's own: the second's edges lie .37 s before the first's (medians of starts and ends); it wrote through gaps
# of the first in attack of 1 to 2 s 86 %, 2 to 4 s 52 %, 4 to 10 s 13 %, in investigation of 1 to 2 s 44 %, 2 to 4 s
# 6 %; it took mounts of under 1 s for investigation in 16 of 21 and missed none of over 2 s. Neither is known to be
# right, so half of the lag is each one's.
FIRST = Annotator((5, 5), 6.0, (2, 3, 3), (2, 0.3, 3), (0.03, 0.04))
SECOND = Annotator((-6, -9), 6.0, (135, 36, 30), (5, 0.5, 32), (0.03, 0.04))


def write(acts: np.ndarray, annotator: Annotator, rng: np.random.Generator) -> np.ndarray:
    """What an annotator writes of Task 1 acts: both (T,) class indices of `TASK1_CLASSES`."""
    written = _named(acts, annotator, rng)
    for behaviour, kept in ((ATTACK, ()), (MOUNT, (ATTACK,)), (INVESTIGATION, (ATTACK, MOUNT))):
        _write_through(written, behaviour, kept, annotator.through[behaviour], rng)
    return with_edges(written, OTHER, annotator, rng)


def _named(acts: np.ndarray, annotator: Annotator, rng: np.random.Generator) -> np.ndarray:
    """Each act under the name that the annotator has for it, or left out."""
    written, segments = acts.copy(), runs(acts)
    beside = np.array([OTHER, *(value for *_, value in segments), OTHER])
    for k, (start, stop, value) in enumerate(segments):
        if value == OTHER:
            continue
        around = {beside[k], beside[k + 2]}
        if value == INVESTIGATION and around != {OTHER}:
            if ATTACK in around and rng.random() < annotator.exchanged[1]:
                written[start:stop] = ATTACK
        elif rng.random() < missed(annotator, value, stop - start):
            written[start:stop] = INVESTIGATION if value == MOUNT else OTHER
        elif value == ATTACK and rng.random() < annotator.exchanged[0]:
            written[start:stop] = INVESTIGATION
    return written


def _write_through(
    written: np.ndarray, behaviour: int, kept: tuple[int, ...], length: float, rng: np.random.Generator
) -> None:
    """Fill short gaps between two bouts of a behaviour that hold none of the `kept` ones."""
    found = [(start, stop) for start, stop, value in runs(written) if value == behaviour]
    for (_, start), (stop, _) in pairwise(found):
        likely = _chance(length, stop - start, _THROUGH_SPREAD)
        if not np.isin(written[start:stop], kept).any() and rng.random() < likely:
            written[start:stop] = behaviour


def missed(annotator: Annotator, behaviour: int, length: int) -> float:
    """Chance that a bout of so many frames is left out."""
    return _chance(annotator.past[behaviour], length, _PAST_SPREAD[behaviour])


def _chance(at: float, length: int, spread: float) -> float:
    """Chance that a habit that sets in below about `at` frames does for so many."""
    return float(ndtr(math.log(at / length) / spread))


def with_edges(written: np.ndarray, other: int, annotator: Annotator, rng: np.random.Generator) -> np.ndarray:
    """Every edge moved by lag and jitter, the latter by less than half of the shorter neighbour; (T,) as given."""
    segments = runs(written)
    lengths, into = np.array([stop - start for start, stop, _ in segments]), np.array([v for *_, v in segments])
    room = 0.45 * np.minimum(lengths[:-1], lengths[1:])
    jitter = np.clip(annotator.jitter * rng.standard_normal(len(room)), -room, room)
    edges = lengths.cumsum()[:-1] + jitter + np.where(into[1:] == other, annotator.lag[1], annotator.lag[0])
    edges = np.maximum.accumulate(np.clip(np.round(edges), 0, len(written))).astype(int)
    return np.repeat(into, np.diff([0, *edges, len(written)]))
