"""Poses brought to other frames, another rate or another scale, such as a localizer trained on CalMS21 expects."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbrepro.data.recordings import FRAME_SIZE, Recording
from mbrepro.data.video import VideoInfo
from mbrepro.errors import InputError


def fit_to_video(recording: Recording, info: VideoInfo, tolerance_s: float = 1.0) -> tuple[Recording, int]:
    """Hold the last pose, or drop surplus ones, until there is one for each video frame; also return how many.

    Poses added count positive, poses dropped negative. Raises InputError for more than `tolerance_s` seconds of them.
    """
    added = info.frames - len(recording)
    if abs(added) > tolerance_s * recording.fps:
        raise InputError(
            f"{recording.name}: {len(recording)} poses do not belong to the {info.frames} frames of {info.path}"
        )
    kept = np.minimum(np.arange(info.frames), len(recording) - 1)
    return recording.at(kept, video=info.path), added


def body_length(recordings: Sequence[Recording]) -> float:
    """Median distance from front to rear (nose to tail base), px, over both animals of some recordings of one scale.

    Counted are all frames in which both points were seen. Raises InputError naming the first recording if there are
    none, or if it is 0, as where every keypoint lies on one spot.
    """
    lengths = []
    for recording in recordings:
        ends = recording.keypoints[:, :, recording.skeleton.ends]
        seen = slice(None) if recording.seen is None else recording.seen[:, :, recording.skeleton.ends].all(-1)
        lengths.append(np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1)[seen].ravel())
    lengths = np.concatenate(lengths)
    if not len(lengths) or not (length := float(np.median(lengths))):
        front, rear = recordings[0].skeleton.front, recordings[0].skeleton.rear
        why = "lie on one spot" if len(lengths) else "are never seen together"
        raise InputError(f"{recordings[0].name}: {front} and {rear} {why}, so its animals have no length")
    return length


def to_training_scale(recording: Recording, reference_body_length_px: float) -> Recording:
    """Scale poses of another rig to a body length in px and centre the area the mice used in the CalMS21 frame.

    The area is the box between the 1st and 99th percentile of all keypoints. The result has no video, for its
    keypoints no longer lie on it. Raises InputError if the mice have no length.
    """
    length = body_length([recording])
    low, high = np.percentile(recording.keypoints.reshape(-1, 2), [1, 99], axis=0)
    moved = (recording.keypoints - (low + high) / 2) * (reference_body_length_px / length) + np.array(FRAME_SIZE) / 2
    return replace(recording, keypoints=moved, frame_size=FRAME_SIZE, video=None)


def resample(recording: Recording, fps: float) -> Recording:
    """Poses and scores at another frame rate, linear in time; the rest is the nearest frame's. The video is dropped."""
    if fps == recording.fps:
        return recording
    frames = max(1, round(len(recording) * fps / recording.fps))
    nearest = np.minimum(np.round(np.arange(frames) * recording.fps / fps), len(recording) - 1).astype(int)
    linear = {"keypoints": recording.keypoints, "scores": recording.scores}
    linear = {k: v if v is None else _resampled(v, recording.fps, fps, frames) for k, v in linear.items()}
    return replace(recording.at(nearest, fps=fps, video=None), **linear)


def back_to_frames(values: np.ndarray, fps: float, recording: Recording) -> np.ndarray:
    """Bring results (T', …) computed at `fps` back to a recording's own frames: (T, …), linear in time."""
    return _resampled(values, fps, recording.fps, len(recording))


def _resampled(values: np.ndarray, fps: float, new_fps: float, frames: int) -> np.ndarray:
    times, new_times = np.arange(len(values)) / fps, np.arange(frames) / new_fps
    columns = np.asarray(values).reshape(len(values), -1).T
    resampled = np.stack([np.interp(new_times, times, column) for column in columns], 1)
    return resampled.reshape(frames, *np.shape(values)[1:]).astype(np.asarray(values).dtype)
