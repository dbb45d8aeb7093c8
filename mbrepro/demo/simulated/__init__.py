"""Demo recordings: a black resident and a white intruder, simulated from schedule to poses to video."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np

from mbrepro.artifacts import cached_arrays, fingerprint, versions
from mbrepro.data import video
from mbrepro.data.processes import side_by_side
from mbrepro.data.recordings import FPS, Dataset, Recording, task_classes
from mbrepro.demo.simulated import cage, frames, poses, schedule, tracker
from mbrepro.demo.simulated.tracker import Tracker
from mbrepro.demo.simulated.wandering import Acts
from mbrepro.errors import InputError

VERSION = 3  # raise it when a recording of the same settings comes out otherwise, in poses, labels or pictures
ACTS, ERRORS = Acts(), Tracker()  # the demo's own
_MADE_BY = (VERSION, schedule.STATISTICS, versions(np))
_FILMED_BY = versions(video, cv2, av)
_EXTRA = range(501, 1001)  # numbers of animals that are in neither split
_RARE = 0.02  # base rate of a Task 3 behaviour below which its recordings are longer


@dataclass(frozen=True)
class DemoSettings:
    """How much is simulated: recordings of Task 1 and of each Task 3 behaviour, their seconds, and the video's size.

    filmed: so many of the Task 1 train recordings have video, the others poses alone: drawing takes far longer than
    simulating, and stage 1 needs many animals. Every other recording is filmed.
    task1_frames: where given, the frames of all Task 1 recordings together, spread evenly in place of the seconds.
    """

    train_recordings: int = 70
    test_recordings: int = 19
    filmed: int = 10
    seconds: float = 150.0
    test_seconds: float = 75.0
    task3_train: int = 2
    task3_test: int = 2
    task3_seconds: float = 30.0
    rare_seconds: float = 90.0  # in place of task3_seconds for behaviours so rare that 30 s with one bout hold too much
    seed: int = 6  # with which class shares and durations of both splits are near those of CalMS21's
    video_size: tuple[int, int] = (512, 286)
    task1_frames: int | None = None

    def __post_init__(self) -> None:
        counts = (self.train_recordings, self.test_recordings, self.filmed, self.task3_train, self.task3_test)
        if min(counts) < 1:
            raise InputError(f"simulate at least 1 recording a split, not {counts}")
        shortest = min(self.seconds, self.test_seconds, self.task3_seconds, self.rare_seconds)
        if shortest < 10:
            raise InputError(f"simulated recordings last at least 10 s, not {shortest} s")

    def scaled(self, scale: float | str) -> "DemoSettings":
        """The same with the numbers of recordings times `scale`, at least one each; InputError unless it is positive.

        "full": as many Task 1 recordings and frames as CalMS21 has, 70 + 19 and 769,845; for poses, without video.
        """
        if scale == "full":
            return DemoSettings(filmed=70, seed=self.seed, task1_frames=769_845)
        if isinstance(scale, str) or not (np.isfinite(scale) and scale > 0):
            raise InputError(f"scale must be a positive number, not {scale}")
        names = ("train_recordings", "test_recordings", "filmed", "task3_train", "task3_test")
        return replace(self, **{name: max(1, round(scale * getattr(self, name))) for name in names})


def demo_dataset(task: str, settings: DemoSettings, folder: Path, videos: bool = True) -> Dataset:
    """Simulate the recordings of `task`, "task1" or "task3/<behaviour>", or read them back from `folder`.

    Train animals are numbered from 1, test animals go on from there (leaving out 501 to 1000). A recording depends on
    its own name, split, place there, seed and length only. Raises InputError for an unknown task.
    """
    names, (train, _) = demo_names(task, settings), _counts(task, settings)
    unfilmed = names[settings.filmed : train] if task == "task1" else []
    filmed = [name for name in names if name not in unfilmed] if videos else []
    made = _recordings(task, names, settings, Path(folder), filmed)
    pose_only = frozenset(unfilmed)
    return Dataset(task, task_classes(task), tuple(made[:train]), tuple(made[train:]), "simulated", pose_only)


def demo_names(task: str, settings: DemoSettings) -> list[str]:
    """Names of the recordings of `demo_dataset`, train ones first."""
    return [_name(task, _animal(count)) for count in range(1, sum(_counts(task, settings)) + 1)]


def extra_recordings(
    task: str, count: int, settings: DemoSettings, folder: Path, videos: bool = True
) -> tuple[Recording, ...]:
    """Simulate `count` recordings, at most 500, of animals that are in neither split of `demo_dataset`."""
    names = [_name(task, number) for number in _EXTRA[:count]]
    return tuple(_recordings(task, names, settings, Path(folder), names if videos else []))


def simulate_recording(
    task: str, name: str, settings: DemoSettings, acts: Acts = ACTS, errors: Tracker = ERRORS
) -> tuple[Recording, np.ndarray]:
    """Simulate one recording without video; also where the body parts truly are, (T, 2, 7, 2) float32 px.

    name: such as "mouse001_task1_annotator1"; the animal's number decides its split and which behaviours are likely.
    acts, errors: what the mice do and how a tracker errs, the demo's own where not given. Raises InputError for a name
    without a number or an unknown task.
    """
    arrays = _simulate(task, name, settings, acts, errors)
    return _recording(task, name, arrays, None), arrays["true_keypoints"]


def plan_of(task: str, name: str, settings: DemoSettings) -> schedule.Schedule:
    """What the mice of a recording do and what annotators write of it, two of them where the task is Task 1."""
    number = _number(name)
    split, place = _place(task, number, settings)
    rng = _rngs(task, name, settings.seed)[0]
    return schedule.make_schedule(task, place, _seconds(task, number, settings), rng, split)


def _counts(task: str, settings: DemoSettings) -> tuple[int, int]:
    if task == "task1":
        return settings.train_recordings, settings.test_recordings
    return settings.task3_train, settings.task3_test


def _name(task: str, number: int) -> str:
    return f"mouse{number:03d}_{task.split('/')[0]}_annotator1"


def _place(task: str, number: int, settings: DemoSettings) -> tuple[str, int]:
    """The split of animal `number` and its place there, from 1; extra animals are like those of train."""
    train, _ = _counts(task, settings)
    if number in _EXTRA:
        return "train", _EXTRA.index(number) + 1
    count = number - len(_EXTRA) * (number > _EXTRA[-1])
    return ("train", count) if count <= train else ("test", count - train)


def _animal(count: int) -> int:
    """Number of the `count`-th animal, from 1, of the two splits together: those of `_EXTRA` are left out."""
    return count + len(_EXTRA) * (count >= _EXTRA[0])


def _seconds(task: str, number: int, settings: DemoSettings) -> float:
    if task != "task1":
        rare = schedule.TASK3_RATES[task.removeprefix("task3/")] < _RARE
        return settings.rare_seconds if rare else settings.task3_seconds
    if settings.task1_frames is None:
        return settings.seconds if _place(task, number, settings)[0] == "train" else settings.test_seconds
    frames, longer = divmod(settings.task1_frames, settings.train_recordings + settings.test_recordings)
    return (frames + (number <= longer)) / FPS


def made_from(task: str, name: str, settings: DemoSettings) -> tuple:
    """What decides a recording's poses and labels; see `fingerprint`."""
    number = _number(name)
    place, seconds = _place(task, number, settings), _seconds(task, number, settings)
    return task, name, settings.seed, place, seconds, list(settings.video_size), *_MADE_BY


def _number(name: str) -> int:
    number = re.match(r"mouse(\d+)", name)
    if number is None:
        raise InputError(f"{name}: a simulated recording is named like mouse001_task1_annotator1")
    return int(number[1])


def _rngs(task: str, name: str, seed: int) -> list[np.random.Generator]:
    """Independent generators for schedule, poses, tracking and look."""
    entropy = int(fingerprint(seed, task, name), 16)
    return [np.random.default_rng(s) for s in np.random.SeedSequence(entropy).spawn(4)]


def _simulate(
    task: str, name: str, settings: DemoSettings, acts: Acts = ACTS, errors: Tracker = ERRORS
) -> dict[str, np.ndarray]:
    _, for_poses, for_tracking, _ = _rngs(task, name, settings.seed)
    plan = plan_of(task, name, settings)
    true = poses.true_poses(plan, for_poses, acts)
    keypoints, scores = tracker.track(true, for_tracking, errors)
    arrays = {"keypoints": keypoints, "scores": scores, "labels": plan.labels}
    return arrays | {"true_keypoints": true.astype(np.float32)}


def _recording(task: str, name: str, arrays: dict[str, np.ndarray], path: Path | None) -> Recording:
    arrays = {field: arrays[field] for field in ("keypoints", "labels", "scores")}
    return Recording(name, classes=task_classes(task), video=path, **arrays)


def _recordings(
    task: str, names: list[str], settings: DemoSettings, folder: Path, filmed: Sequence[str]
) -> list[Recording]:
    folder = folder / task
    keys = {name: fingerprint(_FILMED_BY, *made_from(task, name, settings)) for name in filmed}
    paths = {name: folder / f"{name}-{key}.mp4" for name, key in keys.items()}
    missing = [name for name, path in paths.items() if not path.exists()]
    missing += [name for name in names if missing and name not in paths]  # where none is filmed, poses come from below
    jobs = [(_film, task, name, settings, folder, paths.get(name)) for name in missing]
    side_by_side(jobs, f"simulate {task}", "recording", most=2, stay=True)
    return [_recording(task, name, _stored(task, name, settings, folder), paths.get(name)) for name in names]


def _stored(task: str, name: str, settings: DemoSettings, folder: Path) -> dict[str, np.ndarray]:
    return cached_arrays(folder, name, made_from(task, name, settings), lambda: _simulate(task, name, settings))


def _film(task: str, name: str, settings: DemoSettings, folder: Path, path: Path | None) -> None:
    """Simulate and film a recording; without a path its poses alone."""
    cv2.setNumThreads(1)
    arrays = _stored(task, name, settings, folder)
    if path is None:
        return
    look = cage.draw_look(_rngs(task, name, settings.seed)[3])
    pictures = frames.render(arrays["true_keypoints"], look, settings.video_size)
    video.write_video(path, pictures, FPS, *settings.video_size)
