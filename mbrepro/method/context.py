"""Scores named again in their context: what was scored before and after tells what a frame is.

The trees of `boosting` see a few seconds of poses. Smaller trees then see the first ones' scores over two minutes
(auto-context: Tu and Bai 2010, IEEE TPAMI 32:1744). They learn from scores of recordings that the first were not
trained on, as trees are surer of their own recordings than of any new one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from mbrepro.data.alignment import back_to_frames, resample
from mbrepro.data.recordings import UNLABELLED, Recording
from mbrepro.errors import InputError
from mbrepro.method.boosting import Boosted, BoostingSettings, class_scores, examples, grow

VERSION = 1  # raise it when the same recordings give other scores
WINDOWS_S = (0.5, 2.0, 6.0, 15.0, 30.0, 60.0)
LEAST = 1e-4  # of a score whose logarithm is taken; below it trees differ by chance
FIRST = BoostingSettings(iterations=60, learning_rate=0.12, leaves=15, bins=31, smallest=40, penalty=5.0, share=0.2)
SECOND = BoostingSettings(iterations=80, learning_rate=0.05, leaves=6, smallest=100, penalty=10.0, share=0.3)
FOLDS = 3  # of the first trees, for scores to train the second on
MOST_FRAMES = 8_000  # learned from; more of the same recordings say little more, and memory stays as it is


@dataclass(frozen=True, eq=False)
class Layered:
    """Both trained layers, the frames a second of the recordings that they know, and whether the animals are alike.

    Animals that are alike are seen in both orders, and the first layer's scores are the mean of both.
    """

    first: Boosted
    second: HistGradientBoostingClassifier
    fps: float
    alike: bool = False

    def scores(self, recording: Recording) -> np.ndarray:
        """(T, C) float32 probabilities of every frame of a recording of any rate, which is brought to the known one."""
        found = _mean_scores(self.first, resample(recording, self.fps), self.alike)
        named = class_scores(self.second, context_features(found, self.fps), self.first.classes)
        return back_to_frames(named, self.fps, recording)


def context_features(scores: np.ndarray, fps: float) -> np.ndarray:
    """(T, F) float32 features of (T, C) class scores of one recording.

    Logarithms of the scores, their means over windows of `WINDOWS_S` around each frame, up to it and from it on, which
    are shorter at the recording's ends, and their means over the recording.
    """
    total = np.concatenate([np.zeros((1, scores.shape[1])), scores.cumsum(0, dtype=np.float64)])
    place = np.arange(len(scores))
    columns = [np.log(np.maximum(scores, LEAST))]
    for reach in (max(1, round(seconds * fps / 2)) for seconds in WINDOWS_S):
        for before, after in ((reach, reach), (2 * reach, 0), (0, 2 * reach)):
            start, stop = np.maximum(place - before, 0), np.minimum(place + after + 1, len(scores))
            columns.append((total[stop] - total[start]) / (stop - start)[:, None])
    columns.append(np.broadcast_to(total[-1] / len(scores), scores.shape))
    return np.concatenate(columns, 1, dtype=np.float32)


def fit_layered(
    recordings: Sequence[Recording], alike: bool, seed: int, first: BoostingSettings = FIRST,
    second: BoostingSettings = SECOND,
) -> Layered:  # fmt: skip
    """Both layers of labelled recordings of one skeleton and the same classes, brought to their median rate.

    alike: whichever animal does something, the label is the same, so that recordings are learned from in both orders.
    Each layer learns from every so-manieth labelled frame, as `every` says or as `MOST_FRAMES` allows. Raises
    InputError for fewer than two animals.
    """
    fps = float(np.median([recording.fps for recording in recordings]))
    even = [resample(recording, fps) for recording in recordings]
    labels, classes = [r.true for r in even], len(even[0].classes)
    frames = sum(int((track != UNLABELLED).sum()) for track in labels) * (1 + alike)
    first, second = (replace(s, every=max(s.every, -(-frames // MOST_FRAMES))) for s in (first, second))
    learned = {r.name: [examples(one, r.labels, first) for one in _orders(r, alike)] for r in even}
    scores = {}
    for others, held in folds_by_animal(even, FOLDS):
        trees = Boosted(grow(chain.from_iterable(learned[r.name] for r in others), first, seed), classes, first)
        scores |= {r.name: _mean_scores(trees, r, alike) for r in held}
    chosen = [np.flatnonzero(track != UNLABELLED)[:: second.every] for track in labels]
    in_context = [
        (context_features(scores[r.name], fps)[kept], r.true[kept]) for r, kept in zip(even, chosen, strict=True)
    ]
    whole = Boosted(grow(chain.from_iterable(learned.values()), first, seed), classes, first)
    return Layered(whole, grow(in_context, second, seed), fps, alike)


def _orders(recording: Recording, alike: bool) -> tuple[Recording, ...]:
    """The recording, and behind it, if the animals are alike, the same with the second animal first."""
    arrays = {field: getattr(recording, field) for field in ("keypoints", "scores", "seen")}
    swapped = {field: None if values is None else values[:, ::-1] for field, values in arrays.items()}
    return (recording, replace(recording, **swapped)) if alike else (recording,)


def _mean_scores(trees: Boosted, recording: Recording, alike: bool) -> np.ndarray:
    return np.mean([trees.scores(one) for one in _orders(recording, alike)], 0)


def folds_by_animal(
    recordings: Sequence[Recording], folds: int
) -> Iterator[tuple[tuple[Recording, ...], tuple[Recording, ...]]]:
    """Recordings to train on and those held out, for each fold: animals that follow one another, as evenly as can be.

    Neighbours share a fold, as they are the likeliest to be the same animal under another name. As many folds as
    animals where these are fewer. Raises InputError for fewer than two.
    """
    animals = list(dict.fromkeys(recording.animal for recording in recordings))
    if len(animals) < 2:
        raise InputError(
            f"training holds animals out to see how good it is, and there are recordings of {len(animals)}"
        )
    for held in np.array_split(np.array(animals), min(folds, len(animals))):
        others, out = (tuple(r for r in recordings if (r.animal in held) == side) for side in (False, True))
        yield others, out
