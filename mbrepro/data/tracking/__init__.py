"""Pose files in: one reader for each form, in one dictionary, and what makes a recording of what they hold."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mbrepro.data.calms21.read import read_groups, sequence_poses
from mbrepro.data.recordings import KEYPOINTS, MICE, MOUSE, Recording, Skeleton
from mbrepro.data.tracking.arrays import read_arrays
from mbrepro.data.tracking.deeplabcut import read_csv, read_h5
from mbrepro.data.tracking.movement import kind_of, read_by_movement
from mbrepro.data.tracking.sleap import is_analysis, read_analysis_csv, read_analysis_h5
from mbrepro.data.tracking.tracks import Tracks, joined, one_of, picked
from mbrepro.errors import InputError

Reader = Callable[[Path, str | None], Tracks]  # of a file, and of the sequence in it if it holds several


def read_tracking(
    path: Path,
    *,
    individuals: Sequence[str] | None = None,
    parts: Mapping[str, str] | None = None,
    fps: float,
    frame_size: tuple[int, int],
    video: Path | None = None,
    sequence: str | None = None,
    min_score: float = 0.0,
    skeleton: Skeleton = MOUSE,
) -> Recording:
    """Read a pose file of one of the forms in `READERS`, told apart by content, as an unlabelled recording.

    path: of the file, or of a folder that holds one for each animal. individuals: the file's names of resident and
    intruder, in that order; needed if it has more than two. skeleton: the parts to take, in any number. parts: a part's
    name there, or for one of the two such as `resident:nose` → the file's, where they differ by more than case, spaces,
    hyphens, underscores and words that all of an animal's parts begin or end with. sequence: which one of a CalMS21
    file or of an npz. NaN, the point (0, 0) and positions less likely than `min_score` are gaps, which are filled
    linearly in time and held at the ends; the recording's `seen` tells them.
    Raises InputError for a file that cannot be read, a name not in it, a part never seen.
    """
    path = Path(path)
    reader = reader_of(path)
    if sequence and reader not in (_read_calms21, read_arrays):
        raise InputError(f"{path}: it holds one sequence only, so sequence {sequence} cannot be used; leave it out")
    tracks = reader(path, sequence)
    positions, likelihood, names = picked(path, tracks, individuals, skeleton.parts, parts or {})
    if likelihood is not None:
        likelihood = np.nan_to_num(likelihood)
        positions = np.where((likelihood >= min_score)[..., None], positions, np.nan)
    elif min_score > 0:
        raise InputError(f"{path}: it has no likelihoods, so min_score {min_score} cannot be used")
    keypoints, seen = fill_gaps(path, positions, names, skeleton.parts)
    rig = {"fps": fps, "frame_size": tuple(frame_size), "video": video, "skeleton": skeleton}
    name = sequence.rsplit("/", 1)[-1] if sequence else path.stem
    try:
        return Recording(name, keypoints, scores=likelihood, seen=seen, **rig)
    except InputError as error:  # of a number too large, for one
        raise InputError(f"{path}: {error}") from error


def reader_of(path: Path) -> Reader:
    """The reader of a pose file's form, or of a folder of them; raises InputError if it is none of `READERS`."""
    if path.is_dir():
        return _read_folder
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    for is_its_start, reader in READERS.values():
        if is_its_start(start):
            return reader
    told = next((why for begins, why in UNFIT.items() if re.match(begins, start)), "none of the pose files")
    raise InputError(f"{path}: {told} that can be read, which are {', '.join(READERS)}")


def _read_calms21(path: Path, wanted: str | None) -> Tracks:
    found = {key: sequence for group in read_groups(path).values() for key, sequence in group.items()}
    key = one_of(path, list(found), wanted)
    if not isinstance(found[key], dict) or "keypoints" not in found[key]:
        raise InputError(f"{path}: sequence {key} has no keypoints")
    return Tracks(MICE, KEYPOINTS, *sequence_poses(path, key, found[key]))


def _read_h5(path: Path, wanted: str | None) -> Tracks:
    if is_analysis(path):
        return read_analysis_h5(path)
    return read_by_movement(path) if kind_of(path) else read_h5(path)


def _read_folder(path: Path, wanted: str | None) -> Tracks:
    """One file an animal, which is called what the file's name has of its own."""
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    return joined(path, {file: reader_of(file)(file, None) for file in files})


# A form's name → whether a file's first bytes are those of the form, and its reader.
READERS: dict[str, tuple[Callable[[bytes], bool], Reader]] = {
    "CalMS21 or MARS JSON": (lambda start: start.lstrip().startswith(b"{"), _read_calms21),
    "DeepLabCut or SLEAP analysis h5, SLEAP slp, NWB, movement nc": (
        lambda start: start.startswith(b"\x89HDF\r\n\x1a\n"),
        _read_h5,
    ),
    "DeepLabCut csv": (lambda start: b"scorer" in start[:9].lower(), read_csv),  # after a byte order mark
    "MABe arrays (npy, npz)": (lambda start: start.startswith((b"\x93NUMPY", b"PK\x03\x04")), read_arrays),
    "SLEAP analysis csv": (lambda start: b"track" in start[:8] and b"frame_idx" in start[:18], read_analysis_csv),
}

UNFIT = {  # how files begin that hold no points of two animals in a picture, though movement reads them
    rb"filename,file_size,": "boxes of VIA, which are no points; track points and export one of the pose files",
    rb"[^,\n]+_x,[^,\n]+_y,[^,\n]+_z": "points in space, of Anipose; take those of the camera above, one of the files",
}


def fill_gaps(
    path: Path, positions: np.ndarray, animals: Sequence[str] = MICE, parts: Sequence[str] = KEYPOINTS
) -> tuple[np.ndarray, np.ndarray]:
    """Fill the gaps of (T, 2, K, 2) positions linearly in time, holding the first and last one seen.

    Also return where each point was seen, (T, 2, K) bool. A gap is NaN or exactly (0, 0), which files of whole pixels
    hold for what was not seen (MABe22's do). Raises InputError naming the animal and the part that was never seen.
    """
    filled = positions.copy()
    frames = np.arange(len(positions))
    seen = np.isfinite(positions).all(-1) & (positions != 0).any(-1)
    for animal, part in np.ndindex(positions.shape[1:3]):
        there = seen[:, animal, part]
        if not there.any():
            raise InputError(
                f"{path}: {parts[part]} of {animals[animal]} was never seen, so its track cannot be filled; leave the "
                "part out if the recording can do without"
            )
        for axis in range(2):
            filled[:, animal, part, axis] = np.interp(frames, frames[there], positions[there, animal, part, axis])
    return filled, seen
