"""Poses brought to other frames, another rate or another scale, such as a localizer trained on CalMS21 expects."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbrepro.data.recordings import CLOCK_ERROR_S, FRAME_SIZE, Recording, runs
from mbrepro.data.video import VideoInfo
from mbrepro.errors import InputError

SPARE_FRAMES = 2  # trackers and cameras differ by so many at the end; more are another cut of the film
ABSENT_S = 5.0  # real mice that huddle go unseen for up to 3.9 s (MABe22), between sightings that are near
UNSEEN_S = 1.0  # the same where only one side has a sighting, at the recording's ends


def fit_to_video(recording: Recording, info: VideoInfo, align: str | None = None) -> tuple[Recording, int]:
    """Hold a pose, or drop surplus ones, until there is one for each video frame; also return how many.

    Poses added count positive, poses dropped negative; those held were not seen. align: which "start" or "end" poses
    and video have in common, the start by default. Raises InputError for more than `SPARE_FRAMES` of them without it.
    """
    added = info.frames - len(recording)
    if align not in (None, "start", "end"):
        raise InputError(f"align must be start or end, not {align!r}")
    if align is None and abs(added) > SPARE_FRAMES:
        raise InputError(
            f"{info.path}: {len(recording)} poses ({recording.name}) do not belong to its {info.frames} frames; name "
            "its own or, if one of both was trimmed, the end that they have in common, with --align start or end"
        )
    places = np.arange(info.frames) - (added if align == "end" else 0)
    kept = np.clip(places, 0, len(recording) - 1)
    fitted = recording.at(kept, video=info.path, times=info.times)
    return replace(fitted, seen=fitted.tracked & (kept == places)[:, None, None]), added


def absent(recording: Recording) -> np.ndarray:
    """(T,) bool, frames in which one of the animals is not there: unseen for `ABSENT_S`, at the ends `UNSEEN_S`."""
    gone = np.zeros(len(recording), bool)
    for seen in np.any(recording.tracked, 2).T:
        for start, stop, there in runs(seen.astype(int)):
            least = UNSEEN_S if start == 0 or stop == len(gone) else ABSENT_S
            if not there and recording.edges[stop] - recording.edges[start] > least - CLOCK_ERROR_S:
                gone[start:stop] = True
    return gone


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
    if np.ndim(recording.clock) == 0 and fps == recording.fps:
        return recording
    frames = max(1, round(len(recording) * fps / recording.fps))
    places, times = np.arange(frames) * recording.fps / fps, np.arange(frames) / fps
    if recording.times is not None:
        places = np.interp(times, recording.times, np.arange(len(recording)))
    nearest = np.minimum(np.round(places), len(recording) - 1).astype(int)
    linear = {"keypoints": recording.keypoints, "scores": recording.scores}
    linear = {k: v if v is None else _resampled(v, recording.edges[:-1], times) for k, v in linear.items()}
    return replace(recording.at(nearest, fps=fps, video=None, times=None), **linear)


def back_to_frames(values: np.ndarray, fps: float, recording: Recording) -> np.ndarray:
    """Bring results (T', …) computed at `fps` back to a recording's own frames: (T, …), linear in time."""
    return _resampled(values, np.arange(len(values)) / fps, recording.edges[:-1])


def _resampled(values: np.ndarray, times: np.ndarray, new_times: np.ndarray) -> np.ndarray:
    columns = np.asarray(values).reshape(len(values), -1).T
    resampled = np.stack([np.interp(new_times, times, column) for column in columns], 1)
    return resampled.reshape(len(new_times), *np.shape(values)[1:]).astype(np.asarray(values).dtype)
