"""Task 3 sequences and the Task 1 videos that show them.

The release has no video of Task 3. A Task 1 video counts only where the keypoints of both agree frame by frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mbrepro.data.recordings import SPLITS, Dataset, Recording

TOLERANCE_PX = 0.01  # the same tracking, written twice; float32 holds a coordinate under 1024 px to 0.00006
LEAST_INSIDE = 0.9  # share of a sequence's frames that must lie inside the video
_GRID_PER_TOLERANCE = 100.0  # at 100 a frame's 28 coordinates all keep their grid cell in more than half of the frames
_MOST_REPEATS = 16  # a pose seen more often (zero padding, a lost mouse) says nothing about the place
_SPAN = 2**32  # more than any offset
_MOST_CANDIDATES = 20  # places tried for a sequence, those with the most poses in common first


@dataclass(frozen=True)
class Pair:
    """What was found for one Task 3 sequence of a split and `of` frames.

    places: how many of the places tried agree; with more than one nobody can say which is shown. video_of, animal,
    video_split: the Task 1 recording that shows it, if any, its animal and split. offset: the video's frame at the
    sequence's frame 0; negative if the sequence begins first. frames: how many of the sequence's are in the video.
    leak: why a test sequence may not have that video, in words; empty if it may.
    """

    sequence: str
    split: str
    of: int
    places: int
    video_of: str = ""
    animal: str = ""
    video_split: str = ""
    offset: int = 0
    frames: int = 0
    leak: str = ""


def pair_with_videos(
    dataset: Dataset, task1: Dataset, tolerance_px: float = TOLERANCE_PX
) -> tuple[Dataset, tuple[Pair, ...]]:
    """Give each recording of a Task 3 dataset the Task 1 video that shows it, where there is one; say what was found.

    A place is a Task 1 recording and an offset at which at least `LEAST_INSIDE` of the sequence's frames lie inside,
    all of them with every coordinate within `tolerance_px`. A recording that gets a video is cut to the frames in it;
    one that pairs with a recording whose video is not here, or with none, stays whole and without video. So does a test
    recording of an animal that Task 1 trains on, or that a train recording shows too: what is trained has seen it.
    """
    index, found = _PoseIndex(task1, max(1.0, _GRID_PER_TOLERANCE * tolerance_px)), {}
    for split in SPLITS:
        found[split] = [_pair(recording, split, index, tolerance_px) for recording in getattr(dataset, split)]
    taught = {pair.animal: pair.sequence for pair in found["train"] if pair.video_of}
    found["test"] = [replace(pair, leak=_leak(pair, taught)) for pair in found["test"]]
    shown = {recording.name: recording for recording in task1.recordings}
    splits = {}
    for split, pairs in found.items():
        splits[split] = tuple(
            _cut(recording, shown[pair.video_of], pair.offset) if pair.video_of and not pair.leak else recording
            for recording, pair in zip(getattr(dataset, split), pairs, strict=True)
        )
    return replace(dataset, **splits), (*found["train"], *found["test"])


def _leak(pair: Pair, taught: Mapping[str, str]) -> str:
    """Why what is trained has seen the animal of a test pair; `taught`: a train sequence of each animal."""
    if pair.video_split == "train":
        return f"Task 1 trains on {pair.animal}"
    if pair.video_of and pair.animal in taught:
        return f"train sequence {taught[pair.animal]} shows {pair.animal} too"
    return ""


class _PoseIndex:
    """Where among Task 1's frames a pose occurs, looked up by its coordinates rounded to a grid."""

    def __init__(self, task1: Dataset, grid: float):
        self.grid = grid
        self.recordings = task1.recordings
        self.splits = ["train"] * len(task1.train) + ["test"] * len(task1.test)
        found = [_pose_keys(recording.keypoints, grid) for recording in self.recordings]
        keys = np.concatenate([keys for keys, _ in found]) if found else np.zeros(0, np.uint64)
        order = np.argsort(keys, kind="stable")
        self.keys = keys[order]
        self.frames = np.concatenate([frames for _, frames in found])[order] if found else np.zeros(0, np.int64)
        self.videos = np.repeat(np.arange(len(found)), [len(keys) for keys, _ in found])[order]

    def candidates(self, keypoints: np.ndarray) -> list[tuple[int, int]]:
        """(recording, offset) with the most poses in common with a sequence, and the offsets beside each."""
        keys, frames = _pose_keys(keypoints, self.grid)
        first, last = np.searchsorted(self.keys, keys, "left"), np.searchsorted(self.keys, keys, "right")
        repeats = np.where(last - first <= _MOST_REPEATS, last - first, 0)
        sources = np.repeat(first, repeats) + np.arange(repeats.sum()) - np.repeat(repeats.cumsum() - repeats, repeats)
        offsets = self.frames[sources] - np.repeat(frames, repeats)
        places, votes = np.unique(self.videos[sources] * _SPAN + offsets + _SPAN // 2, return_counts=True)
        best = places[np.argsort(-votes, kind="stable")[:_MOST_CANDIDATES]].tolist()
        return sorted({(p // _SPAN, p % _SPAN - _SPAN // 2 + step) for p in best for step in (-1, 0, 1)})


def _pose_keys(keypoints: np.ndarray, grid: float) -> tuple[np.ndarray, np.ndarray]:
    """A 64-bit hash of each pose that differs from the frame before, on the grid, and the frames of these poses."""
    cells = np.round(keypoints.reshape(len(keypoints), -1) / grid).astype(np.int64).astype(np.uint64)
    weights = np.random.default_rng(0).integers(1, 2**63, cells.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    keys = (cells * weights).sum(1, dtype=np.uint64)
    changed = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[changed], changed


def _pair(recording: Recording, split: str, index: _PoseIndex, tolerance_px: float) -> Pair:
    places = [
        (video, offset)
        for video, offset in index.candidates(recording.keypoints)
        if _agrees(recording.keypoints, index.recordings[video].keypoints, offset, tolerance_px)
    ]
    pair = Pair(recording.name, split, len(recording), len(places))
    if len(places) != 1:
        return pair
    ((video, offset),) = places
    shown = index.recordings[video]
    inside = _inside(len(recording), len(shown), offset)
    told = {"video_of": shown.name, "animal": shown.animal, "video_split": index.splits[video]}
    return replace(pair, **told, offset=offset, frames=inside.stop - inside.start)


def _inside(frames: int, video_frames: int, offset: int) -> slice:
    """The frames of a sequence that lie inside a video whose frame `offset` is the sequence's frame 0."""
    start = max(0, -offset)
    return slice(start, max(start, min(frames, video_frames - offset)))


def _agrees(keypoints: np.ndarray, others: np.ndarray, offset: int, tolerance_px: float) -> bool:
    inside = _inside(len(keypoints), len(others), offset)
    if inside.stop - inside.start < LEAST_INSIDE * len(keypoints):
        return False
    shown = others[inside.start + offset : inside.stop + offset]
    return bool(np.abs(keypoints[inside] - shown).max() <= tolerance_px)


def _cut(recording: Recording, shown: Recording, offset: int) -> Recording:
    """The part of a sequence that a video shows, with that video; all of it if the video is not here."""
    if shown.video is None:
        return recording
    inside = _inside(len(recording), len(shown), offset)
    return recording.at(inside, video=shown.video, video_start=shown.video_start + inside.start + offset)
