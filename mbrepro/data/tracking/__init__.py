"""Own pose files: read, and brought to the frames, rate and scale that a localizer trained on CalMS21 expects."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mbrepro.data.calms21.read import read_groups, sequence_poses
from mbrepro.data.recordings import FRAME_SIZE, KEYPOINTS, MICE, Recording
from mbrepro.data.tracking.deeplabcut import Tracks, read_deeplabcut
from mbrepro.data.video import VideoInfo
from mbrepro.errors import InputError


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
) -> Recording:
    """Read CalMS21 JSON or multi-animal DeepLabCut csv or h5, told apart by content, as an unlabelled recording.

    individuals: the file's names of resident and intruder, in that order; needed if it has more than two. parts: our
    part name → the file's, where they differ by more than case, spaces and underscores. sequence: which one of a
    CalMS21 file. NaN, the point (0, 0) and positions less likely than `min_score` are gaps, which are filled linearly
    in time and held at the ends.

    Raises InputError if the file cannot be read, a name is not in it, or a part was never seen.
    """
    path = Path(path)
    tracks = _read_calms21(path, sequence) if _is_json(path) else read_deeplabcut(path)
    mice = _chosen_individuals(path, tracks.individuals, individuals)
    chosen = np.ix_(np.arange(len(tracks.positions)), mice, _chosen_parts(path, tracks.parts, parts or {}))
    positions, likelihood = tracks.positions[chosen], None
    if tracks.likelihood is not None:
        likelihood = np.nan_to_num(tracks.likelihood[chosen])
        positions = np.where((likelihood >= min_score)[..., None], positions, np.nan)
    elif min_score > 0:
        raise InputError(f"{path}: it has no likelihoods, so min_score {min_score} cannot be used")
    names = [tracks.individuals[mouse] for mouse in mice]
    name = sequence.rsplit("/", 1)[-1] if sequence else path.stem
    keypoints = fill_gaps(path, positions, names)
    return Recording(name, keypoints, scores=likelihood, fps=fps, frame_size=tuple(frame_size), video=video)


def _is_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _read_calms21(path: Path, wanted: str | None) -> Tracks:
    found = {key: sequence for group in read_groups(path).values() for key, sequence in group.items()}
    chosen = [key for key in found if wanted is None or wanted in (key, key.rsplit("/", 1)[-1])]
    if len(chosen) != 1:
        listed = ", ".join(list(found)[:5]) + (", …" if len(found) > 5 else "")
        raise InputError(f"{path}: name one of its {len(found)} sequences as the sequence to read: {listed}")
    if not isinstance(found[chosen[0]], dict) or "keypoints" not in found[chosen[0]]:
        raise InputError(f"{path}: sequence {chosen[0]} has no keypoints")
    keypoints, scores = sequence_poses(path, chosen[0], found[chosen[0]])
    return Tracks(MICE, KEYPOINTS, keypoints, scores)


def _chosen_individuals(path: Path, found: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    listed = ", ".join(found)
    if wanted is None:
        if len(found) != 2:
            raise InputError(f"{path}: name the two individuals, resident first, out of its {len(found)}: {listed}")
        return [0, 1]
    if len(wanted) != 2 or len(set(wanted)) != 2:
        raise InputError(f"{path}: two different individuals are needed, resident first, out of its {listed}")
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(f"{path}: it has no individual {' and no '.join(missing)}, only {listed}")
    return [tuple(found).index(name) for name in wanted]


def _chosen_parts(path: Path, found: Sequence[str], renamed: Mapping[str, str]) -> list[int]:
    unknown = [name for name in renamed if name not in KEYPOINTS]
    if unknown:
        raise InputError(f"{unknown[0]!r} is none of the seven parts to map: {', '.join(KEYPOINTS)}")
    places = {_bare(name): place for place, name in enumerate(found)}
    missing = [name for name in KEYPOINTS if _bare(renamed.get(name, name)) not in places]
    if missing:
        raise InputError(
            f"{path}: missing parts: {', '.join(missing)}; map each to one that the file has: {', '.join(found)}"
        )
    return [places[_bare(renamed.get(name, name))] for name in KEYPOINTS]


def _bare(part: str) -> str:
    return part.lower().replace(" ", "").replace("_", "")


def fill_gaps(path: Path, positions: np.ndarray, mice: Sequence[str] = MICE) -> np.ndarray:
    """Fill the gaps of (T, 2, 7, 2) positions linearly in time, holding the first and last one seen.

    A gap is NaN or exactly (0, 0), which files of whole pixels hold for what was not seen (MABe22's do). Raises
    InputError naming the mouse and the part that was never seen.
    """
    filled = positions.copy()
    frames = np.arange(len(positions))
    for mouse, part in np.ndindex(positions.shape[1:3]):
        track = positions[:, mouse, part]
        seen = np.isfinite(track).all(1) & (track != 0).any(1)
        if not seen.any():
            raise InputError(
                f"{path}: {KEYPOINTS[part]} of {mice[mouse]} was never seen, so its track cannot be filled"
            )
        for axis in range(2):
            filled[:, mouse, part, axis] = np.interp(frames, frames[seen], track[seen, axis])
    return filled


def fit_to_video(recording: Recording, info: VideoInfo, tolerance_s: float = 1.0) -> tuple[Recording, int]:
    """Hold the last pose, or drop surplus ones, until there is one for each video frame; also return how many.

    The number is positive for poses added and negative for poses dropped. Raises InputError if it is worth more than
    `tolerance_s` seconds.
    """
    added = info.frames - len(recording)
    if abs(added) > tolerance_s * recording.fps:
        raise InputError(
            f"{recording.name}: {len(recording)} poses do not belong to the {info.frames} frames of {info.path}"
        )
    kept = np.minimum(np.arange(info.frames), len(recording) - 1)
    return _at_frames(recording, kept, video=info.path), added


def _at_frames(recording: Recording, frames: np.ndarray, **changes) -> Recording:
    scores, labels = recording.scores, recording.labels
    return replace(
        recording,
        keypoints=recording.keypoints[frames],
        scores=None if scores is None else scores[frames],
        labels=None if labels is None else labels[frames],
        **changes,
    )


def body_length(recordings: Sequence[Recording]) -> float:
    """Median distance from nose to tail base, px, over all frames and both mice."""
    nose, tail = KEYPOINTS.index("nose"), KEYPOINTS.index("tail_base")
    lengths = [np.linalg.norm(r.keypoints[:, :, nose] - r.keypoints[:, :, tail], axis=-1).ravel() for r in recordings]
    return float(np.median(np.concatenate(lengths)))


def to_training_scale(recording: Recording, reference_body_length_px: float) -> Recording:
    """Scale poses of another rig to a body length in px and centre the area the mice used in the CalMS21 frame.

    The area is the box between the 1st and 99th percentile of all keypoints. The result has no video, for its
    keypoints no longer lie on it. Raises InputError if the mice have no length.
    """
    length = body_length([recording])
    if length <= 0:
        raise InputError(f"{recording.name}: nose and tail base are at one place, so the mice have no size to scale")
    low, high = np.percentile(recording.keypoints.reshape(-1, 2), [1, 99], axis=0)
    moved = (recording.keypoints - (low + high) / 2) * (reference_body_length_px / length) + np.array(FRAME_SIZE) / 2
    return replace(recording, keypoints=moved, frame_size=FRAME_SIZE, video=None)


def resample(recording: Recording, fps: float) -> Recording:
    """Poses and scores at another frame rate, linear in time; labels are the nearest frame's. The video is dropped."""
    if fps == recording.fps:
        return recording
    frames = max(1, round(len(recording) * fps / recording.fps))
    nearest = np.minimum(np.round(np.arange(frames) * recording.fps / fps), len(recording) - 1).astype(int)
    scores = recording.scores
    return replace(
        _at_frames(recording, nearest, fps=fps, video=None),
        keypoints=_resampled(recording.keypoints, recording.fps, fps, frames),
        scores=None if scores is None else _resampled(scores, recording.fps, fps, frames),
    )


def back_to_frames(values: np.ndarray, fps: float, recording: Recording) -> np.ndarray:
    """Bring results (T', …) computed at `fps` back to a recording's own frames: (T, …), linear in time."""
    return _resampled(values, fps, recording.fps, len(recording))


def _resampled(values: np.ndarray, fps: float, new_fps: float, frames: int) -> np.ndarray:
    times, new_times = np.arange(len(values)) / fps, np.arange(frames) / new_fps
    columns = np.asarray(values).reshape(len(values), -1).T
    resampled = np.stack([np.interp(new_times, times, column) for column in columns], 1)
    return resampled.reshape(frames, *np.shape(values)[1:]).astype(np.asarray(values).dtype)


def read_boris_events(path: Path, behaviour: str, fps: float, frames: int) -> np.ndarray:
    """Read one behaviour from a BORIS csv export as (frames,) bool, True from each START up to its STOP.

    Subjects are paired apart and then joined. Raises InputError if the file is no BORIS export, the behaviour is not in
    it, or a START has no STOP.
    """
    try:
        rows = list(csv.reader(Path(path).read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a BORIS csv export ({error})") from error
    header = next((place for place, row in enumerate(rows) if {"Time", "Behavior", "Status"} <= set(row)), None)
    if header is None:
        raise InputError(f"{path}: not a BORIS csv export, which has the columns Time, Behavior and Status")
    events = [dict(zip(rows[header], row, strict=False)) for row in rows[header + 1 :] if any(row)]
    chosen = [event for event in events if event.get("Behavior") == behaviour]
    if not chosen:
        known = {event.get("Behavior", "") for event in events}
        raise InputError(f"{path}: no {behaviour!r} in it, only {', '.join(sorted(known))}")
    happening, begun = np.zeros(frames, bool), {}
    for event in chosen:
        subject, status = event.get("Subject", ""), event.get("Status", "")
        if status not in ("START", "STOP") or (status == "STOP") != (subject in begun):
            raise InputError(f"{path}: {behaviour} at {event['Time']} s is {status or 'nothing'} out of turn")
        if status == "START":
            begun[subject] = _frame(path, event["Time"], fps)
        else:
            happening[begun.pop(subject) : _frame(path, event["Time"], fps)] = True
    if begun:
        raise InputError(f"{path}: the last {behaviour} of {min(begun)!r} has a START but no STOP")
    return happening


def _frame(path: Path, seconds: str, fps: float) -> int:
    try:
        return max(round(float(seconds) * fps), 0)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: {seconds!r} is not a time in seconds") from error
