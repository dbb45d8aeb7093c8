"""Recordings and datasets: what every other module takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mbrepro.errors import InputError

MICE = ("resident", "intruder")
KEYPOINTS = ("nose", "left_ear", "right_ear", "neck", "left_hip", "right_hip", "tail_base")
OTHER = "other"
TASK1_CLASSES = ("attack", "investigation", "mount", OTHER)
TASK3_BEHAVIOURS = ("approach", "disengaged", "groom", "intromission", "mount_attempt", "sniff_face", "whiterearing")
SPLITS = ("train", "test")
FRAME_SIZE = (1024, 570)  # CalMS21 videos, width and height in px
FPS = 30.0  # CalMS21 videos, frames per second
Clock = float | np.ndarray  # frames a second, or (T,) seconds at which frames are shown, where they come unevenly
CLOCK_ERROR_S = 1e-3  # some files' clocks, Matroska's among them, tick in milliseconds
UNLABELLED = -1  # the label of a frame that nobody labelled: it counts nowhere, neither in training nor in a score


@dataclass(frozen=True)
class Skeleton:
    """The K points tracked on each animal, and which of them are its front and its rear.

    Raises InputError if a part occurs twice, or if front and rear are not two of them.
    """

    parts: tuple[str, ...] = KEYPOINTS
    front: str = "nose"
    rear: str = "tail_base"

    def __post_init__(self) -> None:
        listed = ", ".join(self.parts)
        if len(set(self.parts)) != len(self.parts):
            raise InputError(f"a part is named twice: {listed}")
        if self.front == self.rear or not {self.front, self.rear} <= set(self.parts):
            raise InputError(f"front and rear must be two of the parts {listed}, not {self.front!r} and {self.rear!r}")

    @property
    def ends(self) -> tuple[int, int]:
        """Places of front and rear among the parts."""
        return self.parts.index(self.front), self.parts.index(self.rear)


MOUSE = Skeleton()


@dataclass(frozen=True, eq=False)
class Recording:
    """One filmed session of two animals, checked when it is made.

    keypoints: (T, 2, K, 2) float32, px of `frame_size`; axes are frame, animal, part of `skeleton`, x and y.
    labels: (T,) int64 index into `classes`, or None for an unlabelled recording.
    scores: (T, 2, K) float32 tracking confidence, or None.
    fps: frames per second. frame_size: (width, height) px of the frame the keypoints refer to.
    video: the video file, or None; it may be smaller than `frame_size` (keypoints are scaled when they are used on it).
    animal: who was filmed; recordings of one animal never lie on both sides of a split.
    video_start: index of the video's frame that shows the recording's frame 0, for a video that begins before it.
    skeleton: the K parts, by default CalMS21's seven of a mouse.
    seen: (T, 2, K) bool, False where a point is not the tracker's but filled in; None if all are, or nobody knows.
    partly_labelled: some frames may be labelled `UNLABELLED`.
    times: (T,) seconds at which each frame is shown, ascending; None if they come evenly. `fps` is their mean rate.
    Raises InputError naming the recording if a shape, a value or a label is wrong.
    """

    name: str
    keypoints: np.ndarray
    classes: tuple[str, ...] = TASK1_CLASSES
    labels: np.ndarray | None = None
    scores: np.ndarray | None = None
    fps: float = FPS
    frame_size: tuple[int, int] = FRAME_SIZE
    video: Path | None = None
    animal: str = ""
    video_start: int = 0
    skeleton: Skeleton = MOUSE
    seen: np.ndarray | None = None
    partly_labelled: bool = False
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        points = (2, len(self.parts))
        object.__setattr__(self, "keypoints", self._floats("keypoints", (*np.shape(self.keypoints)[:1], *points, 2)))
        if self.scores is not None:
            object.__setattr__(self, "scores", self._floats("scores", (len(self), *points)))
        if self.seen is not None and (self.seen.shape != (len(self), *points) or self.seen.dtype != bool):
            raise InputError(f"{self.name}: seen must be bool of shape {(len(self), *points)}")
        if self.times is not None and (np.shape(self.times) != (len(self),) or (np.diff(self.times) <= 0).any()):
            raise InputError(f"{self.name}: times must be {len(self)} ascending numbers")
        if self.labels is not None:
            object.__setattr__(self, "labels", self._checked_labels())
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise InputError(f"{self.name}: fps must be a positive number, not {self.fps}")
        if min(self.frame_size) <= 0:
            raise InputError(f"{self.name}: frame size must be positive, not {self.frame_size}")
        if len(self) == 0:
            raise InputError(f"{self.name}: the recording has no frames")
        if self.video_start < 0:
            raise InputError(f"{self.name}: video_start must be a frame of the video, not {self.video_start}")
        if not self.animal:
            object.__setattr__(self, "animal", self.name.split("_")[0])

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.keypoints)

    @property
    def seconds(self) -> float:
        return len(self) / self.fps

    @property
    def edges(self) -> np.ndarray:
        """(T + 1,) seconds at which each frame is shown, and at which the last one ends."""
        if self.times is None:
            return np.arange(len(self) + 1) / self.fps
        return np.append(self.times, self.times[-1] + 1 / self.fps)

    @property
    def clock(self) -> Clock:
        """`fps` if the frames come evenly, else `times`."""
        if self.times is None or np.allclose(self.times, np.arange(len(self)) / self.fps, 0, CLOCK_ERROR_S):
            return self.fps
        return self.times

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the K points of each animal."""
        return self.skeleton.parts

    @property
    def action(self) -> np.ndarray:
        """(T,) bool, True where the label is any class but "other"."""
        return (self.true != other_index(self.classes)) & (self.true != UNLABELLED)

    @property
    def tracked(self) -> np.ndarray:
        """(T, 2, K) bool, `seen`, or True of every point where nobody knows."""
        return np.ones(self.keypoints.shape[:3], bool) if self.seen is None else self.seen

    @property
    def true(self) -> np.ndarray:
        """(T,) labels; raises InputError for an unlabelled recording."""
        return needed(self.name, self.labels)

    def at(self, frames: slice | np.ndarray, **changes: Any) -> "Recording":
        """The recording's poses, scores and labels at some of its frames, with `changes` of other fields."""
        arrays = {field: getattr(self, field) for field in ("keypoints", "scores", "labels", "seen", "times")}
        return replace(self, **{k: None if v is None else v[frames] for k, v in arrays.items()} | changes)

    def _floats(self, field: str, shape: tuple[int, ...]) -> np.ndarray:
        values = np.asarray(getattr(self, field))
        if values.shape != shape:
            raise InputError(f"{self.name}: {field} have shape {values.shape}, not {shape}")
        with np.errstate(over="ignore"):  # what is too large is said below
            values = values.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            frame = int(np.argwhere(~np.isfinite(values))[0][0])
            raise InputError(f"{self.name}: {field} hold a value that is not finite, first at frame {frame}")
        return values

    def _checked_labels(self) -> np.ndarray:
        labels = np.asarray(self.labels)
        if labels.shape != (len(self),):
            raise InputError(f"{self.name}: labels have shape {labels.shape}, but there are {len(self)} frames")
        if not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"{self.name}: labels must be whole numbers, not {labels.dtype}")
        outside = (labels < (UNLABELLED if self.partly_labelled else 0)) | (labels >= len(self.classes))
        if outside.any():
            frame = int(np.argmax(outside))
            raise InputError(
                f"{self.name}: label {labels[frame]} at frame {frame} is none of the {len(self.classes)} classes "
                f"({', '.join(self.classes)})"
            )
        return labels.astype(np.int64, copy=False)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Recordings of one task with the released split. `source` is "simulated" or "CalMS21" and is shown everywhere.

    pose_only: names of recordings that were never filmed, so that a study of the others' videos is not a partial one.
    Raises InputError for a recording of other classes or parts or without labels, a name that occurs twice, or an
    animal on both sides of the split.
    """

    task: str
    classes: tuple[str, ...]
    train: tuple[Recording, ...]
    test: tuple[Recording, ...]
    source: str
    pose_only: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        names = [recording.name for recording in self.recordings]
        for recording in self.recordings:
            if recording.classes != self.classes:
                raise InputError(
                    f"{recording.name}: its classes {recording.classes} are not {self.task}'s {self.classes}"
                )
            if recording.skeleton != self.recordings[0].skeleton:
                raise InputError(f"{recording.name}: its parts are not those of {self.recordings[0].name}")
            if recording.labels is None:
                raise InputError(f"{recording.name}: it has no labels, which {self.task} needs")
            if names.count(recording.name) > 1:
                raise InputError(f"{recording.name}: the name occurs twice in {self.task}")
        both = {r.animal for r in self.train} & {r.animal for r in self.test}
        if both:
            raise InputError(f"{self.task}: animal {min(both)} is in both the train and the test split")

    @property
    def recordings(self) -> tuple[Recording, ...]:
        return self.train + self.test

    @property
    def behaviours(self) -> tuple[str, ...]:
        """The classes but "other"."""
        return behaviours(self.classes)

    @property
    def partial(self) -> str:
        """How many recordings have the video that stage 2 needs, in words; empty if all that were filmed."""
        return partial([self])

    def filmed(self) -> "Dataset":
        """The recordings with video, all that stage 2 can look at. Raises InputError if a split has none."""
        train, test = (tuple(r for r in part if r.video is not None) for part in (self.train, self.test))
        if not train or not test:
            raise InputError(f"{self.task}: stage 2 needs video of train and test recordings, and has {self.partial}")
        return replace(self, train=train, test=test)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was predicted for one video, with the truth beside it; a unit is a frame or a clip.

    true: (N,) class index or `UNLABELLED`, or None for an unlabelled recording. labels: (N,) predicted class index.
    scores: (N, classes), larger is more likely. fps: frames per second where a unit is a frame, None where a clip.
    """

    name: str
    true: np.ndarray | None
    labels: np.ndarray
    scores: np.ndarray
    fps: float | None = None

    @property
    def known(self) -> np.ndarray:
        """(N,) `true`; raises InputError for an unlabelled recording."""
        return needed(self.name, self.true)

    @property
    def rate(self) -> float:
        """`fps`; raises InputError where a unit is a clip."""
        if self.fps is None:
            raise InputError(f"{self.name}: its predictions are of clips, and those of frames are needed here")
        return self.fps

    def labelled(self) -> "Prediction":
        """The units that somebody labelled, all that a metric counts; bouts on either side of others are joined."""
        kept = self.known != UNLABELLED
        cut = {field: getattr(self, field)[kept] for field in ("true", "labels", "scores")}
        return self if kept.all() else replace(self, **cut)


def needed(name: str, labels: np.ndarray | None) -> np.ndarray:
    """A recording's labels; raises InputError naming it where it has none."""
    if labels is None:
        raise InputError(f"{name}: has no labels, which are needed here; give recordings that have")
    return labels


def task_classes(task: str) -> tuple[str, ...]:
    """CalMS21's classes of "task1" or "task3/BEHAVIOUR", by label."""
    return TASK1_CLASSES if task == "task1" else (OTHER, task.removeprefix("task3/"))


def behaviours(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes but "other", in order."""
    return tuple(name for name in classes if name != OTHER)


def partial(datasets: Sequence[Dataset]) -> str:
    """How many of the recordings that were filmed have the video that stage 2 needs, in words; empty if all have."""
    counts = []
    for split in SPLITS:
        recordings = [r for dataset in datasets for r in getattr(dataset, split) if r.name not in dataset.pose_only]
        counts.append((sum(r.video is not None for r in recordings), len(recordings)))
    if all(held == of for held, of in counts):
        return ""
    return "video of {} of {} train and {} of {} test recordings".format(*counts[0], *counts[1])


def other_index(classes: Sequence[str]) -> int:
    """The label that means "none of the behaviours"."""
    return tuple(classes).index(OTHER)


def runs(values: np.ndarray) -> list[tuple[int, int, int]]:
    """Run-length code of a (T,) integer array: (start, stop, value) of each run in order; stop is excluded."""
    values = np.asarray(values)
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [(start, stop, int(values[start])) for start, stop in pairwise(edges) if start < stop]


def frame_at(seconds: float, clock: Clock) -> int:
    """The frame nearest to a time, counted on beyond the recording's ends."""
    if not isinstance(clock, np.ndarray):
        return round(seconds * clock)
    beyond = min(seconds - clock[0], 0) + max(seconds - clock[-1], 0)
    return round(float(np.interp(seconds, clock, np.arange(len(clock)))) + beyond * mean_rate(clock))


def mean_rate(clock: Clock) -> float:
    """Frames a second, on average."""
    if not isinstance(clock, np.ndarray):
        return float(clock)
    return max(len(clock) - 1, 1) / (float(clock[-1] - clock[0]) or 1)


def split_by_animal(
    recordings: Sequence[Recording], validation_fraction: float, seed: int
) -> tuple[tuple[Recording, ...], tuple[Recording, ...]]:
    """Split recordings into fit and validation parts so that no animal is in both.

    The validation part gets the rounded fraction of the animals, at least one and never all of them.
    Raises InputError if there are fewer than two animals.
    """
    animals = sorted({recording.animal for recording in recordings})
    if len(animals) < 2:
        raise InputError(f"a validation split by animal needs at least 2 animals, and there are {len(animals)}")
    count = min(max(1, round(validation_fraction * len(animals))), len(animals) - 1)
    held_out = set(np.random.default_rng(seed).permutation(animals)[:count].tolist())
    fit = tuple(r for r in recordings if r.animal not in held_out)
    return fit, tuple(r for r in recordings if r.animal in held_out)
