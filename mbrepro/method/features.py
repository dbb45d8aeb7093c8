"""Pose features of any two animals: what they do with each other, summarised over windows of time.

Per frame: distances, speeds and angles as of MARS (Segalin et al. 2021, eLife 10:e63720, its social features) and vassi
(github.com/pnuehrenberg/vassi), for any points of which one is the front and one the rear; rolling windows as of SimBA
(Goodwin et al. 2024, Nat Neurosci 27:1411). Lengths are in body lengths, speeds in body lengths a second, angles in
radians.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from mbrepro.data.alignment import body_length
from mbrepro.data.recordings import Recording, Skeleton
from mbrepro.embedding.pose import angles, rate

VERSION = 1  # raise it when a feature holds other values
WINDOWS_S = (0.5, 2.0, 6.0)
ANIMALS = ("first", "second")
_EVERY = slice(None)
_OF_EACH = ("front speed", "rear speed", "centre speed", "turning", "facing", "approach")


def dyad_features(
    recording: Recording, windows_s: Sequence[float] = WINDOWS_S, chosen: np.ndarray | slice = _EVERY
) -> np.ndarray:  # fmt: skip
    """(T, F) float32 features of every frame, in the order of `feature_names`; NaN where nothing needed was seen.

    chosen: of these frames alone, (N, F), which is quicker where they are few.
    Values of the frame itself, then means and standard deviations over centred windows of so many seconds, which count
    only frames in which the points were seen; then the share of frames in which each point was, in the same windows.
    """
    values, seen = frame_features(recording)
    there = recording.tracked.reshape(len(recording), -1).astype(np.float64)
    reaches = [max(1, round(seconds * recording.fps / 2)) for seconds in windows_s]
    own = np.where(seen, values, np.nan)[chosen]
    columns = [own, *_means_and_deviations(values, seen, reaches, chosen), there[chosen]]
    frames, flags = _summed(np.ones((len(there), 1))), _summed(there)
    columns += [_between(flags, reach, chosen) / _between(frames, reach, chosen) for reach in reaches]
    return np.concatenate(columns, 1, dtype=np.float32)


def feature_names(skeleton: Skeleton, windows_s: Sequence[float] = WINDOWS_S) -> tuple[str, ...]:
    """Names of the features, in order."""
    points = [f"{animal} {part}" for animal in ANIMALS for part in skeleton.parts]
    pairs = [f"{one} to {other}" for k, one in enumerate(points) for other in points[k + 1 :]]
    base = [*pairs, "angle between headings", *(f"{animal} {what}" for animal in ANIMALS for what in _OF_EACH)]
    windowed = [f"{what}, {kind} of {s:g} s" for s in windows_s for kind in ("mean", "deviation") for what in base]
    flags = [f"{point} seen" for point in points]
    return (*base, *windowed, *flags, *(f"{flag}, share of {s:g} s" for s in windows_s for flag in flags))


def frame_features(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Features of single frames (T, F) and where the points that each needs were seen (T, F), filled ones not.

    All distances between points, the two animals' own among them (front to rear is the body's length, the others how it
    is bent); the angle between their headings; of each animal the speed of front, rear and centre, how fast it turns,
    the angle between its heading and the other's centre, and its speed towards that.
    """
    points = recording.keypoints.astype(np.float64) / body_length([recording])
    seen = recording.tracked
    flat, flat_seen = points.reshape(len(points), -1, 2), seen.reshape(len(points), -1)
    one, other = np.triu_indices(flat.shape[1], 1)
    values = [np.linalg.norm(flat[:, one] - flat[:, other], axis=-1)]
    known = [flat_seen[:, one] & flat_seen[:, other]]
    front, rear = recording.skeleton.ends
    headings, headed = points[:, :, front] - points[:, :, rear], seen[:, :, front] & seen[:, :, rear]
    values.append(np.radians(angles(headings[:, 0], headings[:, 1]))[:, None])
    known.append(headed.all(1, keepdims=True))
    centres, there = points.mean(2), np.any(seen, 2)
    for me, you in ((0, 1), (1, 0)):
        towards = centres[:, you] - centres[:, me]
        moving = rate(centres[:, me], recording.fps)
        turned = np.unwrap(np.arctan2(headings[:, me, 1], headings[:, me, 0]))
        values += [
            np.linalg.norm(rate(points[:, me, [front, rear]], recording.fps), axis=-1),
            np.linalg.norm(moving, axis=-1)[:, None],
            np.abs(rate(turned, recording.fps))[:, None],
            np.radians(angles(headings[:, me], towards))[:, None],
            ((moving * towards).sum(1) / np.maximum(np.linalg.norm(towards, axis=1), 1e-9))[:, None],
        ]
        both = there.all(1)
        known += [seen[:, me, [front, rear]], np.stack([there[:, me], headed[:, me], headed[:, me] & both, both], 1)]
    return np.concatenate(values, 1), np.concatenate(known, 1)


def posture_features(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """What distances leave out, of single frames (T, F), and where the points that each needs were seen (T, F).

    Of each animal, in its own frame (origin its centre, the first axis its heading): x and y of all points, its own
    first, and its velocity; its bend, the angle between the rear half and the front half; and its pursuit, the smaller
    of its speed towards the other and the other's away from it, 0 where either goes the other way. Egocentric points
    are as of DeepOF (Bordes et al. 2023, Nat Commun 14:4319).
    """
    points = recording.keypoints.astype(np.float64) / body_length([recording])
    seen = recording.tracked
    front, rear = recording.skeleton.ends
    centres, there, headed = points.mean(2), np.any(seen, 2), seen[:, :, front] & seen[:, :, rear]
    moving = [rate(centres[:, k], recording.fps) for k in (0, 1)]
    values, known = [], []
    for me, you in ((0, 1), (1, 0)):
        heading = points[:, me, front] - points[:, me, rear]
        ahead = heading / np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
        axes = np.stack([ahead, ahead[:, ::-1] * [-1, 1]], 2)  # (T, xy, axis)
        around = (points[:, [me, you]].reshape(len(points), -1, 2) - centres[:, [me]]) @ axes
        towards = centres[:, you] - centres[:, me]
        towards = towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-9)
        follows = np.minimum((moving[me] * towards).sum(1), (moving[you] * towards).sum(1))
        bend = np.radians(angles(centres[:, me] - points[:, me, rear], points[:, me, front] - centres[:, me]))
        velocity = (moving[me][:, None] @ axes)[:, 0]
        values += [around.reshape(len(points), -1), velocity, bend[:, None], np.maximum(follows, 0)[:, None]]
        visible = seen[:, [me, you]].reshape(len(points), -1) & headed[:, [me]]
        known += [visible.repeat(2, 1), *[headed[:, [me]]] * 3, there.all(1, keepdims=True)]
    return np.concatenate(values, 1), np.concatenate(known, 1)


def _means_and_deviations(
    values: np.ndarray, seen: np.ndarray, reaches: Sequence[int], chosen: np.ndarray | slice
) -> Iterator[np.ndarray]:  # fmt: skip
    """Mean, then standard deviation (T, F), over the frames up to each reach away that were seen; NaN without any."""
    middle = values.mean(0)  # taken off, as the difference of two large sums would lose the digits of a small deviation
    kept = np.where(seen, values - middle, 0)
    counted = seen[:, :1] if seen.all() else seen  # one count serves all where nothing is missing
    counts, sums, squares = _summed(counted.astype(np.float64)), _summed(kept), _summed(kept**2)
    for reach in reaches:
        with np.errstate(invalid="ignore"):
            count = _between(counts, reach, chosen)
            mean, square = (_between(total, reach, chosen) / count for total in (sums, squares))
        yield mean + middle
        yield np.sqrt(np.maximum(square - mean**2, 0))


def _summed(values: np.ndarray) -> np.ndarray:
    """(T + 1, F) sums of (T, F) values before each frame."""
    return np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0)])


def _between(total: np.ndarray, reach: int, chosen: np.ndarray | slice) -> np.ndarray:
    """(T, F) sums over each chosen frame and its neighbours up to `reach` away, fewer at the ends, from `_summed`."""
    frames = len(total) - 1
    place = np.arange(frames)[chosen]
    return total[np.minimum(place + reach + 1, frames)] - total[np.maximum(place - reach, 0)]
