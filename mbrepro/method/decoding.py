"""Labels from the scores of frames: as bouts that last and follow one another as known ones do, or smoothed.

The most probable class of each frame by itself breaks a bout wherever the scores waver. `decode` looks for the
labelling that is most probable as a whole, by the Viterbi algorithm over segments (explicit-duration hidden Markov
model: Yu 2010, Artificial Intelligence 174:215).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from mbrepro.data.recordings import UNLABELLED, runs
from mbrepro.errors import InputError

BIN = 1.5  # each bin of durations is so many times as wide as the one before
SPARE = 0.5  # added to each count, as what was not seen may happen


@dataclass(frozen=True, eq=False)
class BoutModel:
    """What is known of bouts of C classes, in log-probabilities.

    lasts: (D, C) that a bout is of 1 … D frames. outlasts: (D, C) that it is of so many or more. follows: (C, C) that a
    bout of the column's class comes after one of the row's, -inf for itself. share: (C,) of the frames.
    """

    lasts: np.ndarray
    outlasts: np.ndarray
    follows: np.ndarray
    share: np.ndarray


def count_bouts(labels: Sequence[np.ndarray], classes: int, longest: int) -> BoutModel:
    """Durations and transitions of the bouts in (T,) labels of recordings, "other" being a class like any.

    Durations up to `longest` frames are counted in bins that widen geometrically, all frames of a bin alike; longer
    bouts count in the last bin. Unlabelled frames end a bout, and none follows. Raises InputError if all are.
    """
    edges = np.unique(np.minimum(np.floor(BIN ** np.arange(64)), longest + 1)).astype(int)
    durations, follows = np.full((len(edges) - 1, classes), SPARE), np.full((classes, classes), SPARE)
    frames = np.full(classes, SPARE)
    for track in labels:
        before = UNLABELLED
        for start, stop, value in runs(track):
            if value != UNLABELLED:
                frames[value] += stop - start
                durations[np.searchsorted(edges, min(stop - start, longest), side="right") - 1, value] += 1
                if before != UNLABELLED:
                    follows[before, value] += 1
            before = value
    if frames.sum() == classes * SPARE:
        raise InputError("there is no labelled frame to count bouts in")
    np.fill_diagonal(follows, 0)
    lasts = np.repeat(durations / durations.sum(0) / np.diff(edges)[:, None], np.diff(edges), axis=0)
    outlasts = lasts[::-1].cumsum(0)[::-1]
    with np.errstate(divide="ignore"):
        follows = np.log(follows / follows.sum(1, keepdims=True))
    return BoutModel(np.log(lasts), np.log(outlasts), follows, np.log(frames / frames.sum()))


def decode(scores: np.ndarray, model: BoutModel, weight: float = 1.0) -> np.ndarray:
    """(T,) int64: the most probable labelling of (T, C) class probabilities of frames, whose runs are its bouts.

    weight: of a frame's evidence. Frames next to each other are scored from nearly the same poses, so each tells less
    than if it stood alone; 1 takes them as independent. A bout cut by an end of the recording is known to outlast what
    is seen. One longer than the model's longest is made of several, each taken to have outlasted that length.
    """
    evidence = weight * (np.log(np.maximum(scores.astype(np.float64), 1e-9)) - model.share)
    total = np.concatenate([np.zeros((1, scores.shape[1])), evidence.cumsum(0)])  # (T + 1, C)
    longest, frames = len(model.lasts), len(scores)
    begun = np.empty(total.shape)  # the best score of a labelling up to a frame, a bout of the class beginning
    before = np.zeros(total.shape, np.int64)  # the class of the bout before that
    lasted = np.ones(total.shape, np.int64)  # frames of the best bout of the class that ends before a frame
    begun[0] = model.share
    classes = np.arange(scores.shape[1])
    for t in range(1, frames + 1):
        reach = min(t, longest)
        known = model.lasts if t < frames else model.outlasts
        ended = (begun[t - reach : t] - total[t - reach : t])[::-1] + known[:reach]
        if t <= longest:  # a bout that was on at the start
            ended[-1] = begun[0] + model.outlasts[t - 1]
        lasted[t] = ended.argmax(0) + 1
        best = ended[lasted[t] - 1, classes] + total[t]
        moves = best[:, None] + model.follows
        if t >= longest:  # goes on beyond the longest
            moves[classes, classes] = begun[t - longest] - total[t - longest] + model.outlasts[-1] + total[t]
        before[t] = moves.argmax(0)
        begun[t] = moves[before[t], classes]
    return _traced(best, before, lasted, longest)


def _traced(best: np.ndarray, before: np.ndarray, lasted: np.ndarray, longest: int) -> np.ndarray:
    """(T,) labels from the last bout back to the first; a bout before which its own class stands was of the longest."""
    labels = np.empty(len(before) - 1, np.int64)
    stop, current = len(labels), int(best.argmax())
    length = int(lasted[stop, current])
    while stop:
        start = stop - length
        labels[start:stop] = current
        if start:
            earlier = int(before[start, current])
            length = longest if earlier == current else int(lasted[start, earlier])
            current = earlier
        stop = start
    return labels


def smooth(scores: np.ndarray, window: int) -> np.ndarray:
    """(T, C) mean scores over a centred window of so many frames, what lies beyond an end taken from within."""
    return uniform_filter1d(scores, window, axis=0, mode="nearest")


def tidied(labels: np.ndarray, other: int, gap: int, shortest: int) -> np.ndarray:
    """Labels (T,) whose short gaps are filled, and whose short bouts are then dropped.

    A run of `other` of up to `gap` frames between two bouts of one behaviour becomes that behaviour's, and a bout of
    fewer than `shortest` frames becomes other.
    """
    filled = np.array(labels)
    spans = runs(filled)
    for before, (start, stop, value), after in zip(spans, spans[1:], spans[2:], strict=False):
        if value == other and before[2] == after[2] != UNLABELLED and stop - start <= gap:
            filled[start:stop] = before[2]
    for start, stop, value in runs(filled):
        if value not in (other, UNLABELLED) and stop - start < shortest:
            filled[start:stop] = other
    return filled
