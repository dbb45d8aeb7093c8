"""CalMS21 in its released layout (Sun et al. 2021, arXiv 2104.02710, DOI 10.22002/D1.1991), parsed once and mapped."""

import contextlib
import json
import mmap
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from mbrepro import paths
from mbrepro.artifacts import fingerprint, replacing
from mbrepro.data.calms21.release import FOLDERS, VIDEO_FOLDER, fetched, json_path
from mbrepro.data.recordings import (
    FPS,
    OTHER,
    SPLITS,
    TASK1_CLASSES,
    TASK3_BEHAVIOURS,
    Dataset,
    Recording,
    task_classes,
)
from mbrepro.data.video import promised_frames
from mbrepro.errors import InputError

VERSION = 1  # of what is stored; raise it with every change of what a file gives
ARRAYS = ("keypoints", "scores", "labels")
DTYPES = {"F32": np.float32, "U8": np.uint8}
FIELDS = ("keypoints", "scores", "annotations", "metadata")
NEEDED = ("keypoints", "annotations", "metadata")
SPARE_SECONDS = 1.0  # a camera may film on for some frames; a video longer by more is another recording's
_SEQUENCE = re.compile(rb'"([^"\x00-\x1f]{1,200})"\s*:\s*\{\s*"(?:%s)"' % "|".join(FIELDS).encode())
_FIELD = re.compile(rb'"(%s)"\s*:' % "|".join(FIELDS).encode())


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


def load_calms21(folder: Path, task: str = "task1") -> Dataset:
    """Read one task, "task1" or "task3/BEHAVIOUR", from a folder in the released layout.

    The dataset's source is "CalMS21", or "simulated" if any sequence is marked so or the folder was fetched from a
    simulated release. Raises InputError as `read_calms21` does, and for an unknown task.
    """
    splits, held = {}, fetched(Path(folder))
    simulated = held is not None and held.simulated
    for split, (path, sequences) in _chosen(Path(folder), task).items():
        videos = Path(folder) / VIDEO_FOLDER / split if task == "task1" else None
        splits[split] = tuple(_recording(path, sequence, videos) for sequence in sequences)
        simulated |= any(sequence.metadata.get("simulated") for sequence in sequences)
    return Dataset(task, task_classes(task), source="simulated" if simulated else "CalMS21", **splits)


def load_labels(folder: Path, task: str = "task1") -> dict[str, dict[str, np.ndarray]]:
    """Only the labels of a task: split → name → (T,) uint8 index into the classes of `load_calms21`, read-only.

    Raises InputError as `load_calms21` does, but looks at no video.
    """
    chosen = _chosen(Path(folder), task).items()
    return {split: {sequence.name: sequence.labels for sequence in sequences} for split, (_, sequences) in chosen}


def _chosen(folder: Path, task: str) -> dict[str, tuple[Path, tuple[Sequence, ...]]]:
    """A task's file and sequences by split, known to number its behaviours alike."""
    kind, _, behaviour = task.partition("/")
    if kind not in FOLDERS or (behaviour not in TASK3_BEHAVIOURS if kind == "task3" else behaviour):
        known = ", ".join(["task1", *(f"task3/{name}" for name in TASK3_BEHAVIOURS)])
        raise InputError(f"CalMS21 has no task {task!r}; it has {known}")
    chosen = {}
    for split in SPLITS:
        path = json_path(folder, kind, split)
        sequences = read_sequences(path)
        groups = dict.fromkeys(sequence.group for sequence in sequences)
        if kind == "task3" and behaviour not in groups:
            raise InputError(f"{path}: it has no behaviour {behaviour}, only {', '.join(groups)}")
        if behaviour:
            sequences = tuple(sequence for sequence in sequences if sequence.group == behaviour)
        for sequence in sequences:
            if sequence.classes != task_classes(task):
                raise InputError(
                    f"{path}: sequence {sequence.key}: its vocab numbers {', '.join(sequence.classes)}, where {task} "
                    f"has {', '.join(task_classes(task))}"
                )
        chosen[split] = path, sequences
    return chosen


def read_calms21(path: Path, video_folder: Path | None = None) -> list[Recording]:
    """Read every sequence of one released JSON file, in order; a video is added where `video_folder` holds it.

    Raises InputError naming file and sequence for a missing key, a wrong shape, an unknown behaviour, or a video that
    is shorter than its labels or longer by more than `SPARE_SECONDS`.
    """
    return [_recording(path, sequence, video_folder) for sequence in read_sequences(path)]


def read_sequences(path: Path) -> tuple[Sequence, ...]:
    """Every sequence of one released JSON file with all its fields, in order; raises InputError as `read_calms21`.

    The first call parses the file, one sequence at a time, and stores it as arrays under `paths.data()`; later ones map
    those, read-only, keyed by the file's bytes and `VERSION`. Damaged arrays are made again.
    """
    path = Path(path).absolute()
    try:
        state = path.stat()
        return _stored(path, (state.st_ino, state.st_size, state.st_mtime_ns), paths.data() / "arrays")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a file of the CalMS21 release"
        ) from error


@lru_cache(maxsize=16)
def _stored(path: Path, identity: tuple[int, ...], folder: Path) -> tuple[Sequence, ...]:
    stored = folder / f"{path.stem}-{fingerprint(path, VERSION)}.safetensors"
    if stored.is_file():
        with contextlib.suppress(_DamagedError):
            return _mapped(stored)
    _store(stored, _parse(path))
    return _mapped(stored)


def _store(stored: Path, sequences: Iterable[Sequence]) -> None:
    """Write sequences as one safetensors file: arrays by place and field, the rest and checksums as its metadata."""
    index, arrays = [], {}
    for place, sequence in enumerate(sequences):
        held = {field: np.ascontiguousarray(v) for field in ARRAYS if (v := getattr(sequence, field)) is not None}
        arrays |= {f"{place}/{field}": values for field, values in held.items()}
        told = {key: value for key, value in sequence._asdict().items() if key not in ARRAYS}
        index.append(told | {"checksums": {field: zlib.crc32(values) for field, values in held.items()}})
    try:
        with replacing(stored) as temporary:
            save_file(arrays, temporary, {"index": json.dumps(index)})
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{stored.parent}: arrays cannot be stored there ({getattr(error, 'strerror', None) or error}); make room "
            "or set MBREPRO_DATA to another folder"
        ) from error


def _mapped(stored: Path) -> tuple[Sequence, ...]:
    """The sequences of a stored file, their arrays views of its mapped bytes, where safetensors itself would copy."""
    try:
        mapped = np.asarray(np.memmap(stored, np.uint8, "r"))
        start = 8 + int.from_bytes(mapped[:8].tobytes(), "little")
        header = json.loads(mapped[8:start].tobytes())
        index = json.loads(header["__metadata__"]["index"])
        return tuple(_sequence(mapped[start:], header, str(place), entry) for place, entry in enumerate(index))
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _DamagedError(f"{stored}: what was stored cannot be read back ({error}); check the disk") from error


def _sequence(content: np.ndarray, header: dict, place: str, entry: dict) -> Sequence:
    arrays = dict.fromkeys(ARRAYS)
    for field, checksum in entry.pop("checksums").items():
        told = header[f"{place}/{field}"]
        values = content[slice(*told["data_offsets"])]
        if zlib.crc32(values) != checksum:
            raise ValueError(f"{field} of {entry['key']} have changed")
        arrays[field] = values.view(DTYPES[told["dtype"]]).reshape(told["shape"])
    return Sequence(**entry | {"classes": tuple(entry["classes"])}, **arrays)


def _parse(path: Path) -> Iterator[Sequence]:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            raise InputError(f"{path}: not a whole JSON file (it is empty); copy or download it again")
        text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for group, sequences in _outline(path, text).items():
        for key, raw in sequences.items():
            if not (group + key).isprintable():
                raise InputError(f"{path}: no sequence can be called {key!a} of {group!a}; copy or download it again")
            yield _parsed(path, group, key, raw)
            if hasattr(mmap, "MADV_DONTNEED"):
                text.madvise(mmap.MADV_DONTNEED)  # what was read of the file is held no longer


def _outline(path: Path, text: mmap.mmap) -> dict[str, dict[str, msgspec.Raw]]:
    """Group → sequence name → the sequence's bytes in the file, unparsed but known to be JSON."""
    try:
        return msgspec.json.decode(text, type=dict[str, dict[str, msgspec.Raw]])
    except msgspec.ValidationError as error:
        raise InputError(
            f"{path}: not in CalMS21's form, which is annotator or behaviour → sequence → fields"
        ) from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, text, error) from error


def _broken(path: Path, text: mmap.mmap, error: Exception) -> InputError:
    """The sentence that says where a file stops being JSON."""
    found = re.search(r"\(byte (\d+)\)", str(error))
    at = int(found[1]) if found else len(text)
    sequence, field = _last(_SEQUENCE, text, at), _last(_FIELD, text, at)
    if sequence and field and re.match(rb"NaN|-?Infinity", text[max(at - 1, 0) : at + 9].lstrip(b"[, ")):
        return InputError(f"{path}: sequence {sequence}: {field} hold a value that is not finite")
    place = f", in sequence {sequence}" if sequence else ""
    return InputError(f"{path}: not a whole JSON file ({error}{place}); copy or download it again")


def _last(pattern: re.Pattern, text: mmap.mmap, stop: int) -> str:
    """What the last match of a pattern before byte `stop` captured, or nothing."""
    captured = b""
    for match in pattern.finditer(text, 0, stop):
        captured = match[1]
    return captured.decode(errors="replace")


def _parsed(path: Path, group: str, key: str, raw: msgspec.Raw) -> Sequence:
    """One sequence, every field checked."""
    try:
        fields = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: sequence {key}: not readable as JSON ({error}); download it again") from error
    for field in NEEDED:
        if not isinstance(fields, dict) or field not in fields:
            raise InputError(f"{path}: sequence {key} has no {field}")
    metadata = fields["metadata"]
    if not isinstance(metadata, dict) or "vocab" not in metadata:
        raise InputError(f"{path}: sequence {key} has no vocab in its metadata")
    keypoints, scores = sequence_poses(path, key, fields)
    labels = _array(path, key, fields, "annotations", (len(keypoints),), None)
    sequence = Sequence(group, key, metadata, _classes(path, group, key, metadata["vocab"]), keypoints, scores, labels)
    _recording(path, sequence, None)
    return sequence._replace(labels=labels.astype(np.uint8))


def _recording(path: Path, sequence: Sequence, video_folder: Path | None) -> Recording:
    video = Path(video_folder) / f"{sequence.name}.mp4" if video_folder else None
    fields = {"scores": sequence.scores, "video": video if video and video.is_file() else None}
    try:
        recording = Recording(sequence.name, sequence.keypoints, sequence.classes, sequence.labels, **fields)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    frames, labels = promised_frames(recording.video) if recording.video else len(recording), len(recording)
    if not labels <= frames <= labels + SPARE_SECONDS * FPS:
        raise InputError(
            f"{recording.video}: the video has {frames} frames, but {recording.name} has {labels} labels (sequence "
            f"{sequence.key} of {path}); copy or download it again"
        )
    return recording


def read_groups(path: Path) -> dict[str, dict[str, dict]]:
    """Parse a user's own poses in CalMS21's form: annotator or behaviour → sequence name → fields, NaN allowed.

    A file of MARS is one sequence's fields alone, and gets its own name. The file is held in memory. Raises InputError
    if it is not in that form.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            groups = json.load(file)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a file of the CalMS21 release"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a whole JSON file ({error}); copy or download it again") from error
    if isinstance(groups, dict) and "keypoints" in groups:
        groups = {"": {Path(path).stem: groups}}
    if not isinstance(groups, dict) or not all(isinstance(group, dict) for group in groups.values()):
        raise InputError(f"{path}: not in CalMS21's form, which is annotator or behaviour → sequence → fields")
    return groups


def sequence_poses(path: Path, key: str, sequence: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Return one sequence's keypoints as (T, 2, 7, 2) float32 and its scores, if any, as (T, 2, 7) float32."""
    keypoints = _array(path, key, sequence, "keypoints", (None, 2, 2, 7), np.float32)
    scores = None
    if "scores" in sequence:
        scores = _array(path, key, sequence, "scores", (len(keypoints), 2, 7), np.float32)
    return keypoints.transpose(0, 1, 3, 2), scores


def _array(path: Path, key: str, sequence: dict, field: str, shape: tuple[int | None, ...], dtype: type) -> np.ndarray:
    expected = f"({', '.join('T' if side is None else str(side) for side in shape)})"
    try:
        values = np.asarray(sequence[field], dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: sequence {key}: {field} are not a regular {expected} array of numbers") from error
    if values.ndim != len(shape) or any(b not in (None, a) for a, b in zip(values.shape, shape, strict=True)):
        raise InputError(f"{path}: sequence {key}: {field} have shape {values.shape}, not {expected}")
    return values


def _classes(path: Path, group: str, key: str, vocab: object) -> tuple[str, ...]:
    """Class names by their index in the vocabulary."""
    if not isinstance(vocab, dict) or sorted(map(repr, vocab.values())) != sorted(map(repr, range(len(vocab)))):
        raise InputError(f"{path}: sequence {key}: its vocab does not number behaviours 0, 1, 2 …")
    classes = tuple(sorted(vocab, key=vocab.get))
    known = (OTHER, group) if group in TASK3_BEHAVIOURS else TASK1_CLASSES
    if set(classes) != set(known):
        found = ", ".join(name if name.isprintable() else ascii(name) for name in classes)
        raise InputError(f"{path}: sequence {key}: unknown behaviours: its vocab has {found}, not {', '.join(known)}")
    return classes
