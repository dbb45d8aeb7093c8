"""How long a clip is to be: poses tell how far a frame's bout reaches back and on, and the clip is that long.

The distance from a frame to its bout's onset, and to its offset, is told as a distribution over bins that widen
geometrically, as a tenth of a second matters in a short bout and not in a long one. `dilated` learns it.
"""

from collections.abc import Sequence

import numpy as np

from mbrepro.data.recordings import UNLABELLED, behaviours, runs
from mbrepro.method.proposals import Proposal

FIRST_S, RATIO, COUNT = 0.1, 1.5, 16  # the first bin's width; each edge is so many times the one before; 0.1 to 29 s
EDGES = FIRST_S * RATIO ** np.arange(COUNT - 1)  # between the bins, s; the last one is open
MIDDLES = np.concatenate([[FIRST_S / 2], np.sqrt(EDGES[:-1] * EDGES[1:]), EDGES[-1:] * RATIO**0.5])  # s, of each bin


def distances(labels: np.ndarray, classes: Sequence[str], fps: float) -> np.ndarray:
    """(T, 2) seconds from each frame's start to its bout's onset and offset; NaN outside bouts of behaviours."""
    found = np.full((len(labels), 2), np.nan)
    known = [classes.index(name) for name in behaviours(classes)]
    for start, stop, value in runs(labels):
        if value in known:
            place = np.arange(start, stop)
            found[start:stop] = np.stack([place - start, stop - place], 1) / fps
    return found


def bins(seconds: np.ndarray) -> np.ndarray:
    """The bin of each distance, int64 of the same shape; `UNLABELLED` where it is NaN."""
    return np.where(np.isnan(seconds), UNLABELLED, np.searchsorted(EDGES, seconds, side="right")).astype(np.int64)


def expected(probabilities: np.ndarray) -> np.ndarray:
    """Seconds (…): the exponential of the expected logarithm of the distance, from (…, COUNT) probabilities of bins.

    The distance itself has a long tail, and its expectation would show the tail's length of every short bout.
    """
    return np.exp(probabilities @ np.log(MIDDLES))


def clip_bounds(proposals: Sequence[Proposal], reach: np.ndarray, fps: float) -> np.ndarray:
    """(N, 2) first frame and excluded last of each proposal's clip, by what its middle frame is expected to reach.

    reach: (T, 2) seconds back to the onset and on to the offset, as of `expected`. A clip has one frame at least and
    lies within the recording.
    """
    middles = np.array([(p.start + p.stop - 1) // 2 for p in proposals], np.int64)
    frames = np.round(reach[middles] * fps).astype(np.int64).reshape(-1, 2)
    starts = np.maximum(middles - frames[:, 0], 0)
    return np.stack([starts, np.clip(middles + frames[:, 1], starts + 1, len(reach))], 1)
