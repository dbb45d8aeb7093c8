"""CalMS21 in its released layout: read, and written for simulated recordings.

Layout and JSON form: Sun et al. 2021, "The Multi-Agent Behavior Dataset: Mouse Dyadic Social Interactions",
arXiv 2104.02710, and its record, DOI 10.22002/D1.1991.
"""

import json
import mmap
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from mbrepro.artifacts import replacing
from mbrepro.data.calms21 import arrays
from mbrepro.data.calms21.arrays import Sequence, stored_sequences
from mbrepro.data.calms21.release import FOLDERS, SPLITS, VIDEO_FOLDER, fetched, json_path
from mbrepro.data.recordings import FPS, FRAME_SIZE, OTHER, TASK1_CLASSES, TASK3_BEHAVIOURS, Dataset, Recording
from mbrepro.data.video import promised_frames
from mbrepro.errors import InputError

TASK1_GROUP = "annotator-id_0"
FIELDS = ("keypoints", "scores", "annotations", "metadata")
NEEDED = ("keypoints", "annotations", "metadata")
SPARE_SECONDS = 1.0  # a camera may film on for some frames; a video longer by more is another recording's
_SEQUENCE = re.compile(rb'"([^"\x00-\x1f]{1,200})"\s*:\s*\{\s*"(?:%s)"' % "|".join(FIELDS).encode())
_FIELD = re.compile(rb'"(%s)"\s*:' % "|".join(FIELDS).encode())


def load_calms21(folder: Path, task: str = "task1") -> Dataset:
    """Read one task, "task1" or "task3/BEHAVIOUR", from a folder in the released layout.

    The dataset's source is "CalMS21", or "simulated" if any sequence is marked so or the folder was fetched from a
    simulated release. Raises InputError as `read_calms21` does, and for an unknown task.
    """
    chosen = _chosen(Path(folder), task)
    splits = {}
    for split in SPLITS:
        path, sequences = chosen[split]
        videos = Path(folder) / VIDEO_FOLDER / split if task == "task1" else None
        splits[split] = tuple(_recording(path, sequence, videos) for sequence in sequences)
    held = fetched(Path(folder))
    simulated = (held is not None and held.simulated) or any(
        sequence.metadata.get("simulated") for _, sequences in chosen.values() for sequence in sequences
    )
    source = "simulated" if simulated else "CalMS21"
    return Dataset(task, _task_classes(task), splits["train"], splits["test"], source)


def load_labels(folder: Path, task: str = "task1") -> dict[str, dict[str, np.ndarray]]:
    """Only the labels of a task: split → name → (T,) uint8 index into the classes of `load_calms21`, read-only.

    Raises InputError as `load_calms21` does, but looks at no video.
    """
    return {
        split: {sequence.name: sequence.labels for sequence in sequences}
        for split, (_, sequences) in _chosen(Path(folder), task).items()
    }


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
            if sequence.classes != _task_classes(task):
                raise InputError(
                    f"{path}: sequence {sequence.key}: its vocab numbers {', '.join(sequence.classes)}, where {task} "
                    f"has {', '.join(_task_classes(task))}"
                )
        chosen[split] = path, sequences
    return chosen


def _task_classes(task: str) -> tuple[str, ...]:
    return TASK1_CLASSES if task == "task1" else (OTHER, task.removeprefix("task3/"))


def read_calms21(path: Path, video_folder: Path | None = None) -> list[Recording]:
    """Read every sequence of one released JSON file, in order; a video is added where `video_folder` holds it.

    Names are the last part of the released ones, which name the mp4 files too. Raises InputError naming file and
    sequence for a missing key, a wrong shape, an unknown behaviour, or a video that is shorter than its labels or
    longer by more than `SPARE_SECONDS`.
    """
    return [_recording(path, sequence, video_folder) for sequence in read_sequences(path)]


def read_sequences(path: Path) -> tuple[Sequence, ...]:
    """Every sequence of one released JSON file with all its fields, in order; raises InputError as `read_calms21`.

    The first call parses the file (msgspec, one sequence in memory at a time) and stores it as arrays under
    `paths.data()`; later calls map those, keyed by the file's bytes and the code that reads them.
    """
    return stored_sequences(path, (sys.modules[__name__], arrays), _parse)


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
    _check_length(path, sequence, recording)
    return recording


def read_groups(path: Path) -> dict[str, dict[str, dict]]:
    """Parse a user's own poses in CalMS21's form: annotator or behaviour → sequence name → fields, NaN allowed.

    The whole file is held in memory. Raises InputError if it is not in that form.
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


def _array(path: Path, key: str, sequence: dict, field: str, shape: tuple[int | None, ...], dtype) -> np.ndarray:
    expected = "(" + ", ".join("T" if side is None else str(side) for side in shape) + ")"
    try:
        values = np.asarray(sequence[field], dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: sequence {key}: {field} are not a regular {expected} array of numbers") from error
    fits = len(values.shape) == len(shape) and all(b in (None, a) for a, b in zip(values.shape, shape, strict=True))
    if not fits:
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


def _check_length(path: Path, sequence: Sequence, recording: Recording) -> None:
    if recording.video is None:
        return
    frames, labels = promised_frames(recording.video), len(recording)
    if not labels <= frames <= labels + SPARE_SECONDS * FPS:
        raise InputError(
            f"{recording.video}: the video has {frames} frames, but {recording.name} has {labels} labels (sequence "
            f"{sequence.key} of {path}); copy or download it again"
        )


def write_calms21(folder: Path, task1: Dataset | None = None, task3: Mapping[str, Dataset] | None = None) -> None:
    """Write datasets in the released layout: JSON files, and Task 1's videos as hard links or copies.

    Every file is whole or absent. Sequences of a simulated dataset carry `"simulated": true` in their metadata, so
    that they can never be read as real ones. Raises InputError for a recording that is not 30 fps in 1024x570, which
    the layout cannot say.
    """
    for index, split in enumerate(SPLITS):
        if task1:
            recordings = (task1.train, task1.test)[index]
            _write_json(json_path(folder, "task1", split), {TASK1_GROUP: (f"task1/{split}", task1, recordings)})
            for recording in recordings:
                _place_video(recording, Path(folder) / VIDEO_FOLDER / split)
        if task3:
            groups = {
                name: (f"task3/{name}/{split}", dataset, (dataset.train, dataset.test)[index])
                for name, dataset in task3.items()
            }
            _write_json(json_path(folder, "task3", split), groups)


def _write_json(path: Path, groups: Mapping[str, tuple[str, Dataset, tuple[Recording, ...]]]) -> None:
    """Write (key prefix, dataset, recordings) by group, one sequence in memory at a time."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for number, (group, (prefix, dataset, recordings)) in enumerate(groups.items()):
            file.write(f"{', ' if number else '{'}{json.dumps(group)}: {{")
            for place, recording in enumerate(recordings):
                file.write(f"{', ' if place else ''}{json.dumps(f'{prefix}/{recording.name}')}: ")
                file.write(json.dumps(_sequence(recording, dataset.source)))
            file.write("}")
        file.write("}")


def _sequence(recording: Recording, source: str) -> dict:
    if recording.fps != FPS or tuple(recording.frame_size) != FRAME_SIZE:
        raise InputError(
            f"{recording.name}: CalMS21's layout holds {FPS:g} fps in {FRAME_SIZE}, not {recording.fps:g} fps in "
            f"{tuple(recording.frame_size)}"
        )
    sequence = {"keypoints": recording.keypoints.transpose(0, 1, 3, 2).tolist()}
    if recording.scores is not None:
        sequence["scores"] = recording.scores.tolist()
    vocab = {name: index for index, name in enumerate(recording.classes)}
    sequence["annotations"] = recording.labels.tolist()
    sequence["metadata"] = {"annotator-id": 0, "vocab": vocab}
    if source != "CalMS21":
        sequence["metadata"]["simulated"] = True
    return sequence


def _place_video(recording: Recording, folder: Path) -> None:
    if recording.video is None:
        return
    with replacing(folder / f"{recording.name}.mp4") as temporary:
        try:
            temporary.hardlink_to(recording.video)
        except OSError:  # another disk
            shutil.copyfile(recording.video, temporary)
