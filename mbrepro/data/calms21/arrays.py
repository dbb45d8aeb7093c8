"""Sequences as arrays on disk: parsed once, a sequence at a time, then memory-mapped.

The files hold the data themselves, so they lie among the user's data and never in the project.
"""

import contextlib
import json
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from mbrepro import paths
from mbrepro.artifacts import fingerprint, replacing
from mbrepro.errors import InputError

FIELDS = ("keypoints", "scores", "labels")
VERSION = 1  # raise it when reading gives other arrays
ALIGNMENT_BYTES = 64  # of each array in its file, so that mapped arrays are aligned as made ones are


class _DamagedError(InputError):
    pass


class Sequence(NamedTuple):
    """One sequence of a released file.

    group: annotator or behaviour. key: the released name. metadata: as released, the vocabulary among it. classes:
    names by label. keypoints: (T, 2, 7, 2) float32 px. scores: (T, 2, 7) float32, or None. labels: (T,) uint8.
    """

    group: str
    key: str
    metadata: dict
    classes: tuple[str, ...]
    keypoints: np.ndarray
    scores: np.ndarray | None
    labels: np.ndarray

    @property
    def name(self) -> str:
        """The last part of the released name, which names the mp4 file too."""
        return self.key.rsplit("/", 1)[-1]


def stored_sequences(path: Path, code: tuple, parse: Callable[[Path], Iterable[Sequence]]) -> tuple[Sequence, ...]:
    """Return the sequences of a file, parsed on the first call for its bytes and this code and mapped read-only after.

    code: modules that decide what is read. They are kept in `paths.data()/"arrays"`; a file there that is damaged is
    made again. Raises InputError if `path` cannot be read or the arrays cannot be stored, and what `parse` raises.
    """
    path = Path(path).absolute()
    try:
        state = path.stat()
        identity = state.st_ino, state.st_size, state.st_mtime_ns
        return _stored(path, identity, paths.data() / "arrays", code, parse)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a file of the CalMS21 release"
        ) from error


@lru_cache(maxsize=16)
def _stored(
    path: Path, identity: tuple[int, ...], folder: Path, code: tuple, parse: Callable[[Path], Iterable[Sequence]]
) -> tuple[Sequence, ...]:
    stored = folder / f"{path.stem}-{fingerprint(path, [m.__name__ for m in code], VERSION)}.h5"
    if stored.is_file():
        with contextlib.suppress(_DamagedError):
            return _mapped(stored)
    _store(stored, parse(path))
    return _mapped(stored)


def _store(stored: Path, sequences: Iterable[Sequence]) -> None:
    try:
        with replacing(stored) as temporary, _new_file(temporary) as file:
            index = [_put(file, str(place), sequence) for place, sequence in enumerate(sequences)]
            text = np.frombuffer(json.dumps(index).encode(), np.uint8)
            file.create_dataset("index", data=text, chunks=text.shape, fletcher32=True)
    except OSError as error:
        raise InputError(
            f"{stored.parent}: arrays cannot be stored there ({error.strerror or error}); make room or set "
            "MBREPRO_DATA to another folder"
        ) from error


def _new_file(path: Path) -> h5py.File:
    # the newest form of the file has checksums on its structure
    return h5py.File(path, "w", libver="latest", alignment_threshold=1, alignment_interval=ALIGNMENT_BYTES)


def _put(file: h5py.File, place: str, sequence: Sequence) -> dict:
    """Write one sequence's arrays; returns the rest of it, and the arrays' checksums."""
    arrays = {field: getattr(sequence, field) for field in FIELDS if getattr(sequence, field) is not None}
    checksums = {}
    for field, values in arrays.items():
        values = np.ascontiguousarray(values)
        file[f"{place}/{field}"] = values
        checksums[field] = zlib.crc32(values)
    return {
        "group": sequence.group, "key": sequence.key, "metadata": sequence.metadata, "classes": sequence.classes,
        "checksums": checksums,
    }  # fmt: skip


def _mapped(stored: Path) -> tuple[Sequence, ...]:
    """The sequences of a stored file, their arrays views of its mapped bytes. Raises _DamagedError."""
    try:
        with h5py.File(stored, "r", locking=False) as file:
            index = json.loads(file["index"][()].tobytes())
            held = [[_extent(file, place, field) for field in entry["checksums"]] for place, entry in enumerate(index)]
        mapped = np.asarray(np.memmap(stored, np.uint8, "r"))
        return tuple(_sequence(mapped, entry, extents) for entry, extents in zip(index, held, strict=True))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise _DamagedError(f"{stored}: what was stored cannot be read back ({error}); check the disk") from error


def _extent(file: h5py.File, place: int, field: str) -> tuple[int, int, np.dtype, tuple[int, ...]]:
    """Where in the file an array lies: its first byte and the one after its last, type and shape."""
    values = file[f"{place}/{field}"]
    offset = values.id.get_offset()
    return offset, offset + values.nbytes, values.dtype, values.shape


def _sequence(mapped: np.ndarray, entry: dict, extents: Iterable[tuple]) -> Sequence:
    arrays = dict.fromkeys(FIELDS)
    for (field, checksum), (start, stop, dtype, shape) in zip(entry["checksums"].items(), extents, strict=True):
        if zlib.crc32(mapped[start:stop]) != checksum:
            raise ValueError(f"{field} of {entry['key']} have changed")
        arrays[field] = mapped[start:stop].view(dtype).reshape(shape)
    return Sequence(entry["group"], entry["key"], entry["metadata"], tuple(entry["classes"]), **arrays)
