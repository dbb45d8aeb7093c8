"""CalMS21 in its released layout: read, and written for simulated recordings.

Layout and JSON form: Sun et al. 2021, "The Multi-Agent Behavior Dataset: Mouse Dyadic Social Interactions",
arXiv 2104.02710, and its record, DOI 10.22002/D1.1991.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from mbrepro.artifacts import replacing
from mbrepro.errors import InputError
from mbrepro.recordings import (
    FPS,
    FRAME_SIZE,
    OTHER,
    TASK1_CLASSES,
    TASK3_BEHAVIOURS,
    Dataset,
    Recording,
)
from mbrepro.video import promised_frames

SPLITS = ("train", "test")
TASK1_GROUP = "annotator-id_0"
FOLDERS = {"task1": "task1_classic_classification", "task3": "task3_new_behaviors"}
VIDEO_FOLDER = "task1_videos_mp4"  # the release has no videos of Task 3


def load_calms21(folder: Path, task: str = "task1") -> Dataset:
    """Read one task, "task1" or "task3/BEHAVIOUR", from a folder in the released layout.

    The dataset's source is "CalMS21", or "simulated" if any sequence is marked so. Raises InputError as
    `read_calms21` does, and for an unknown task.
    """
    kind, _, behaviour = task.partition("/")
    if kind not in FOLDERS or (behaviour not in TASK3_BEHAVIOURS if kind == "task3" else behaviour):
        known = ", ".join(["task1", *(f"task3/{name}" for name in TASK3_BEHAVIOURS)])
        raise InputError(f"CalMS21 has no task {task!r}; it has {known}")
    splits, simulated = {}, False
    for split in SPLITS:
        path = json_path(folder, kind, split)
        groups = read_groups(path)
        if kind == "task3" and behaviour not in groups:
            raise InputError(f"{path}: it has no behaviour {behaviour}, only {', '.join(groups)}")
        videos = Path(folder) / VIDEO_FOLDER / split if kind == "task1" else None
        chosen = {behaviour: groups[behaviour]} if behaviour else groups
        splits[split] = tuple(_recordings(path, chosen, videos))
        simulated |= any(sequence["metadata"].get("simulated") for _, _, sequence in _sequences(path, chosen))
    classes = (OTHER, behaviour) if behaviour else TASK1_CLASSES
    return Dataset(task, classes, splits["train"], splits["test"], "simulated" if simulated else "CalMS21")


def json_path(folder: Path, kind: str, split: str) -> Path:
    """Where the release keeps the poses and labels of "task1" or "task3", "train" or "test"."""
    return Path(folder) / FOLDERS[kind] / f"calms21_{kind}_{split}.json"


def read_calms21(path: Path, video_folder: Path | None = None) -> list[Recording]:
    """Read every sequence of one released JSON file, in order; a video is added where `video_folder` holds it.

    Names are the last part of the released ones, which name the mp4 files too. Raises InputError naming file and
    sequence for a missing key, a wrong shape, an unknown behaviour, or a video with fewer frames than labels.
    """
    return list(_recordings(path, read_groups(path), video_folder))


def read_groups(path: Path) -> dict[str, dict[str, dict]]:
    """Parse a released JSON file: annotator or behaviour → sequence name → fields. Raises InputError."""
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


def _sequences(path: Path, groups: Mapping[str, Mapping[str, dict]]) -> Iterable[tuple[str, str, dict]]:
    """Yield (group, sequence name, fields), each with every key that a labelled sequence needs."""
    for group, sequences in groups.items():
        for key, sequence in sequences.items():
            for field in ("keypoints", "annotations", "metadata"):
                if not isinstance(sequence, dict) or field not in sequence:
                    raise InputError(f"{path}: sequence {key} has no {field}")
            if not isinstance(sequence["metadata"], dict) or "vocab" not in sequence["metadata"]:
                raise InputError(f"{path}: sequence {key} has no vocab in its metadata")
            yield group, key, sequence


def _recordings(path: Path, groups: Mapping[str, Mapping[str, dict]], video_folder: Path | None) -> Iterable[Recording]:
    for group, key, sequence in _sequences(path, groups):
        keypoints, scores = sequence_poses(path, key, sequence)
        labels = _array(path, key, sequence, "annotations", (len(keypoints),), None)
        name = key.rsplit("/", 1)[-1]
        video = Path(video_folder) / f"{name}.mp4" if video_folder else None
        classes = _classes(path, group, key, sequence["metadata"]["vocab"])
        try:
            recording = Recording(
                name, keypoints, classes, labels, scores, video=video if video and video.is_file() else None
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        _check_length(recording)
        yield recording


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
        raise InputError(
            f"{path}: sequence {key}: unknown behaviours: its vocab has {', '.join(classes)}, not {', '.join(known)}"
        )
    return classes


def _check_length(recording: Recording) -> None:
    if recording.video is not None and (frames := promised_frames(recording.video)) < len(recording):
        raise InputError(
            f"{recording.video}: the video has {frames} frames, but {recording.name} has {len(recording)} labels; "
            "copy or download it again"
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
