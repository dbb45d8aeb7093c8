"""numpy's npy and npz files of poses as the MABe challenges have them.

An array is (frames, animals, parts, xy), px, as of MABe22 (Sun et al. 2022, arXiv:2207.10553), or (frames, animals, xy,
parts), as of MABe21 and CalMS21; an npz file holds one for each sequence. Arrays name neither animals nor parts:
animals are 1, 2 and so on, parts those of the data set that has so many of them, else numbers too.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np

from mbrepro.data.recordings import KEYPOINTS
from mbrepro.data.tracking.tracks import BROKEN, Tracks, check_size, one_of
from mbrepro.errors import InputError

MABE22 = (
    "nose", "left_ear", "right_ear", "neck", "left_forepaw", "right_forepaw", "center_back", "left_hindpaw",
    "right_hindpaw", "tail_base", "tail_middle", "tail_tip",
)  # fmt: skip
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
PARTS = {len(parts): parts for parts in (KEYPOINTS, MABE22)}


def read_arrays(path: Path, wanted: str | None = None) -> Tracks:
    """Read one sequence; InputError for a damaged file, for Python objects, or if it is open which axis is xy."""
    try:
        held = np.load(path, "r", allow_pickle=False)  # a single array is mapped, and so no longer than the file
        several = isinstance(held, Mapping)
        name = one_of(path, list(held) if several else [path.stem], wanted)
        if several:
            with held.zip.open(f"{name}.npy") as file:
                shape, _, dtype = HEADERS[np.lib.format.read_magic(file)](file)
            check_size(path, (*shape, max(1, dtype.itemsize // 8)))
        values = np.asarray(held[name] if several else held)
    except (OSError, RuntimeError, EOFError, BadZipFile, zlib.error, TokenError, *BROKEN) as error:
        if isinstance(error, InputError):
            raise
        told = " ".join(str(error).split())
        raise InputError(
            f"{path}: no plain arrays ({told}); Python objects are not opened: save each sequence's keypoints with "
            "numpy.savez(NEW, NAME=keypoints, …)"
        ) from error
    pairs = [axis for axis in (2, 3) if values.ndim == 4 and values.shape[axis] == 2]
    if len(pairs) != 1 or values.dtype.kind not in "iuf" or not values.size:
        raise InputError(
            f"{path}: its array is {values.dtype} {values.shape}, not (frames, animals, parts, 2) or (frames, animals, "
            "2, parts) numbers of more than two parts"
        )
    positions = np.moveaxis(values, pairs[0], 3).astype(np.float64)
    _, animals, parts, _ = positions.shape
    names = PARTS.get(parts) or tuple(str(part + 1) for part in range(parts))
    return Tracks(tuple(str(animal + 1) for animal in range(animals)), names, positions, None)
