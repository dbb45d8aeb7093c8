"""A simulated release: what CalMS21 offers for download, made of simulated recordings and marked as such."""

import hashlib
import json
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mbrepro.artifacts import replacing
from mbrepro.data.calms21 import release as released
from mbrepro.data.calms21.release import VIDEO_FOLDER, Release, VideoInfo
from mbrepro.data.recordings import FPS, FRAME_SIZE, OTHER, SPLITS, TASK1_CLASSES, TASK3_BEHAVIOURS, Dataset, Recording
from mbrepro.demo.simulated import DemoSettings, demo_dataset, extra_recordings
from mbrepro.errors import InputError

TASK1_GROUP = "annotator-id_0"
CUT_FRAMES = 7  # a Task 3 sequence starts so much later than the Task 1 recording it is part of
_FIRST_OVERLAPPING = {"train": 601, "test": 701}  # Task 1 animals that are in Task 3 too; above all others' numbers
_NOTICE = (
    "Simulated recordings in CalMS21's layout, made by mbrepro; they are not CalMS21 and not data of real animals."
)
# A behaviour of Task 3 in the words of Task 1, where sniffing a face is investigation and trying to mount is mount, and
# what is neither attack, investigation nor mount is "other". Frames without the behaviour are "other" throughout,
# though they may hold investigation or mount: Task 3's labels do not tell.
_TASK1_CLASS = {"sniff_face": "investigation", "intromission": "mount", "mount_attempt": "mount"}


def write_release(
    folder: Path, tasks: Sequence[str], scale: float | str = 1.0, videos: bool = True,
    behaviours: Sequence[str] | None = None, settings: DemoSettings | None = None,
) -> None:  # fmt: skip
    """Write simulated recordings in the layout of the CalMS21 release, with a release.json that says simulated.

    tasks: "task1", "task3". scale: times the number of recordings in `settings`, or "full". behaviours: of Task 3,
    default all. Only Task 1 has video, as in the release. With video, each Task 3 behaviour also has one train and one
    test sequence that is part of a Task 1 recording, from frame `CUT_FRAMES` on. The originals are kept in
    `folder/.simulated`. Raises InputError for an unknown behaviour.
    """
    folder, chosen = Path(folder), TASK3_BEHAVIOURS if behaviours is None else tuple(behaviours)
    if unknown := set(chosen) - set(TASK3_BEHAVIOURS):
        raise InputError(f"Task 3 has no {', '.join(sorted(unknown))}; it has {', '.join(TASK3_BEHAVIOURS)}")
    settings, store = (settings or DemoSettings()).scaled(scale), folder / ".simulated"
    store.mkdir(parents=True, exist_ok=True)  # or say at once, not after minutes, that it cannot be
    settings = replace(settings, filmed=settings.train_recordings)  # as in the release, where every one has a video
    task1 = demo_dataset("task1", settings, store, videos) if "task1" in tasks else None
    task3 = {b: demo_dataset(f"task3/{b}", settings, store, videos=False) for b in chosen} if "task3" in tasks else None
    if task1 and task3 and videos:
        task1, task3 = _overlapping(task1, task3, settings, store)
    write_calms21(folder, task1, task3)
    split_of = {r.name: split for split in SPLITS for r in getattr(task1, split, ()) if r.video}
    released.write_release_file(folder, _described(folder, split_of))


def _overlapping(
    task1: Dataset, task3: Mapping[str, Dataset], settings: DemoSettings, store: Path
) -> tuple[Dataset, dict[str, Dataset]]:
    """Add a train and a test recording of each Task 3 behaviour to both tasks, as the same animals filmed once."""
    task3 = dict(task3)
    for number, behaviour in enumerate(task3):
        in_task1 = np.array([TASK1_CLASSES.index(c) for c in (OTHER, _TASK1_CLASS.get(behaviour, OTHER))])
        shared = extra_recordings(f"task3/{behaviour}", 2, settings, store)
        for split, recording in zip(SPLITS, shared, strict=True):
            name, labels = f"mouse{_FIRST_OVERLAPPING[split] + number}_task1_annotator1", in_task1[recording.labels]
            filmed = replace(recording, name=name, animal="", classes=TASK1_CLASSES, labels=labels)
            task1 = replace(task1, **{split: (*getattr(task1, split), filmed)})
            cut = recording.at(slice(CUT_FRAMES, None), video=None)
            task3[behaviour] = replace(task3[behaviour], **{split: (*getattr(task3[behaviour], split), cut)})
    return task1, task3


def _described(folder: Path, split_of: Mapping[str, str]) -> Release:
    videos = {}
    for name, split in split_of.items():
        content = (folder / VIDEO_FOLDER / split / f"{name}.mp4").read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        videos[name] = VideoInfo(split, len(content), f"{zlib.crc32(content):08x}", sha256)
    return Release("Simulated CalMS21", "", "", _NOTICE, True, {}, videos)


def write_calms21(folder: Path, task1: Dataset | None = None, task3: Mapping[str, Dataset] | None = None) -> None:
    """Write datasets in the released layout: JSON files, and Task 1's videos as hard links or copies.

    Every file is whole or absent. Sequences of a simulated dataset carry `"simulated": true` in their metadata, never
    to be read as real ones. Raises InputError for a recording that is not 30 fps in 1024x570, as the layout implies.
    """
    for split in SPLITS:
        if task1:
            recordings = getattr(task1, split)
            _write_json(
                released.json_path(folder, "task1", split), {TASK1_GROUP: (f"task1/{split}", task1, recordings)}
            )
            for recording in recordings:
                _place_video(recording, Path(folder) / VIDEO_FOLDER / split)
        if task3:
            groups = {name: (f"task3/{name}/{split}", data, getattr(data, split)) for name, data in task3.items()}
            _write_json(released.json_path(folder, "task3", split), groups)


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
    sequence["annotations"] = recording.true.tolist()
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
