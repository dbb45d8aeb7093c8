"""Labels alone, without poses or pictures; a `Recording` serves as a `LabelTrack`, a `Dataset` as a `LabelSet`."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbrepro.data.calms21.read import load_labels
from mbrepro.data.calms21.release import data_folder, fetched, json_path
from mbrepro.data.recordings import (
    FPS,
    SPLITS,
    TASK1_CLASSES,
    UNLABELLED,
    Dataset,
    Recording,
    behaviours,
    other_index,
    runs,
)
from mbrepro.errors import InputError

PERCENTILES = (5, 25, 50, 75, 95)

NEEDS_LABELS = "fetch CalMS21, or set MBREPRO_REAL_DATA to a folder with calms21_labels/task1_labels.npz"

# Frames of each Task 1 class in CalMS21 and the number of its videos (Sun et al. 2021, arXiv:2104.02710).
PUBLISHED_FRAMES = {"train": (14_039, 146_615, 28_615, 318_469), "test": (12_630, 61_275, 31_848, 156_354)}
PUBLISHED_VIDEOS = {"train": 70, "test": 19}


@dataclass(frozen=True, eq=False)
class LabelTrack:
    """The labels of one video: (T,) int64 index into `classes`, at `fps` frames per second.

    Raises InputError naming the video if the labels are not a track of whole numbers that are classes.
    """

    name: str
    labels: np.ndarray
    classes: tuple[str, ...] = TASK1_CLASSES
    fps: float = FPS

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(
                f"{self.name}: labels must be whole numbers, one a frame, not {labels.dtype} {labels.shape}"
            )
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise InputError(f"{self.name}: labels must be from 0 to {len(self.classes) - 1}")
        object.__setattr__(self, "labels", labels.astype(np.int64))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.labels)

    @property
    def action(self) -> np.ndarray:
        """(T,) bool, True where the label is any class but "other"."""
        return self.labels != other_index(self.classes)

    @property
    def true(self) -> np.ndarray:
        """(T,) `labels`, as a `Recording` has them."""
        return self.labels


Track = LabelTrack | Recording


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labelled videos of one task with the released split; `source` as in `Dataset`."""

    classes: tuple[str, ...]
    train: tuple[Track, ...]
    test: tuple[Track, ...]
    source: str


def read_labels(path: Path) -> LabelSet:
    """CalMS21's Task 1 labels from an npz file with one array of labels a video, named SPLIT/VIDEO.

    Raises InputError if it cannot be read, or is not all of the 89 videos with the published frames of each class.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected the labels of CalMS21's Task 1") from error
    named = [(*name.partition("/")[::2], labels) for name, labels in arrays.items()]
    return _released(path, {split: {name: labels for part, name, labels in named if part == split} for split in SPLITS})


def _released(path: Path, videos: Mapping[str, Mapping[str, np.ndarray]]) -> LabelSet:
    """Task 1's labels, once they are as many videos and frames of each class as published; else InputError."""
    splits = {}
    for split in SPLITS:
        try:
            tracks = tuple(LabelTrack(name, labels) for name, labels in sorted(videos[split].items()))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        found = (len(tracks), *class_frames(tracks, TASK1_CLASSES).tolist())
        expected = (PUBLISHED_VIDEOS[split], *PUBLISHED_FRAMES[split])
        if found != expected:
            raise InputError(
                f"{path}: the {split} split has {found[0]} videos with {found[1:]} frames of "
                f"{', '.join(TASK1_CLASSES)}; CalMS21 has {expected[0]} with {expected[1:]}: copy or download it again"
            )
        splits[split] = tracks
    return LabelSet(TASK1_CLASSES, source="CalMS21", **splits)


def real_labels() -> LabelSet | None:
    """CalMS21's own Task 1 labels where this machine has them, else None.

    They are looked for in the folder MBREPRO_REAL_DATA, then among what `mbrepro fetch calms21` has put in place of the
    source in MBREPRO_CALMS21; a simulated release does not count. Raises InputError if they are not as published.
    """
    folder = os.environ.get("MBREPRO_REAL_DATA")
    if folder and (path := Path(folder) / "calms21_labels" / "task1_labels.npz").is_file():
        return read_labels(path)
    place = data_folder(os.environ.get("MBREPRO_CALMS21", ""))
    held = fetched(place)
    if held is None or held.simulated or not json_path(place, "task1", "train").is_file():
        return None
    return _released(place, load_labels(place))


def provenance(labels: LabelSet | Dataset, computed_by: str) -> dict[str, object]:
    """What is recorded beside figures of Task 1's labels."""
    return {
        "data": "CalMS21 (Sun et al. 2021, DOI 10.22002/D1.1991), Task 1: labels of 70 train and 19 test videos",
        "sha256": sha256(labels),
        "computed_by": computed_by,
    }


def sha256(labels: LabelSet | Dataset) -> str:
    """One hash of every video's split, name and labels, whatever file they were read from."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for track in sorted(getattr(labels, split), key=lambda t: t.name):
            digest.update(f"{split}/{track.name}\0{len(track)}\0".encode())
            digest.update(track.true.astype(np.uint8).tobytes())
    return digest.hexdigest()


def class_frames(tracks: Sequence[Track], classes: Sequence[str]) -> np.ndarray:
    """(C,) number of frames of each class."""
    counted = (np.bincount(t.true[t.true != UNLABELLED], minlength=len(classes)) for t in tracks)
    return sum(counted, np.zeros(len(classes), np.int64))


def bout_seconds(tracks: Sequence[Track], name: str | None = None) -> list[np.ndarray]:
    """Durations (s) of each video's bouts, of one behaviour or of all; a bout is an unbroken run of one behaviour."""
    wanted = behaviours(tracks[0].classes) if name is None else (name,)
    return [
        np.array([(b - a) / t.fps for a, b, value in runs(t.labels) if value >= 0 and t.classes[value] in wanted])
        for t in tracks
    ]


def gap_seconds(tracks: Sequence[Track]) -> np.ndarray:
    """Durations (s) of the stretches of other between two bouts of one video, of all videos together."""
    inner = [(run, track.fps) for track in tracks for run in runs(track.action)[1:-1]]
    return np.array([(stop - start) / fps for (start, stop, action), fps in inner if not action])


def transitions(tracks: Sequence[Track], classes: Sequence[str]) -> np.ndarray:
    """(C, C) how often a run of the row's class is followed by a run of the column's, "other" being a class too."""
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for track in tracks:
        values = np.array([value for *_, value in runs(track.labels)])
        known = (values[:-1] != UNLABELLED) & (values[1:] != UNLABELLED)
        np.add.at(counts, (values[:-1][known], values[1:][known]), 1)
    return counts
