"""Poses of one recording, held against its video."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mbrepro.data.alignment import absent, body_length, fit_to_video
from mbrepro.data.recordings import Recording
from mbrepro.data.tracking import read_tracking
from mbrepro.data.video import probe
from mbrepro.errors import InputError

OUTSIDE = 0.01  # share of points outside the picture from which on they are another picture's; trackers keep inside


def read_own(
    video: Path | None, poses: Path, *, fps: float | None = None, frame_size: Sequence[int] | None = None,
    offset: Sequence[float] | None = None, align: str | None = None, **how: object,
) -> tuple[Recording, dict]:  # fmt: skip
    """Read poses and fit them to the video's frames; also return notes on what was changed.

    fps: where there is no video to tell. frame_size: of the picture that was tracked, if it is not the video's. offset:
    x and y to add to the poses, px, the corner of the part of the picture that was tracked. align: as of
    `fit_to_video`. how: as of `read_tracking`. Raises InputError if poses do not fit the video, or an option is given
    that is not used, or is needed and not given.
    """
    info = probe(video) if video else None
    rate, size = (info.fps, frame_size or (info.width, info.height)) if info else (fps, frame_size)
    if rate is None or size is None or (align and not info):
        unused = "leave out --align, and " if align else ""
        raise InputError(f"{poses}: without a video, {unused}give --fps and --frame-size")
    if info and fps is not None:
        raise InputError(
            f"{video}: --fps is not used, as the video runs at {info.fps:g} by its own clock; leave it out, or give "
            f"the video another clock with `ffmpeg -r {fps:g} -i {info.path.name} NEW.mp4`"
        )
    recording = read_tracking(poses, fps=rate, frame_size=tuple(size), video=video, **how)
    recording = replace(recording, keypoints=recording.keypoints + np.float32(offset or (0, 0)))
    outside = outside_frame(recording, recording.tracked)
    notes: dict[str, Any] = {"poses": poses.name, "video": video.name if video else None}
    notes |= {"poses_in_file": len(recording), "points_outside_the_picture": outside}
    if info:
        if outside > OUTSIDE:
            raise InputError(
                f"{poses}: {outside:.1%} of the points lie outside the picture of {size[0]} x {size[1]} px; give "
                "--offset X Y if a part of the picture was tracked, or --frame-size if another size of it was"
            )
        recording, added = fit_to_video(recording, info, align)
        other_end = "start" if align == "end" else "end"
        notes |= {f"poses_held_at_the_{other_end}": max(added, 0), f"poses_dropped_at_the_{other_end}": max(-added, 0)}
        if info.promised > info.frames:
            notes["frames_promised_but_not_in_the_video"] = info.promised - info.frames
    notes |= {"frames_not_scorable": int(absent(recording).sum()), "points_filled": float(1 - recording.tracked.mean())}
    body_length([recording])  # one without is refused now, not after models were trained
    return recording, notes


def outside_frame(recording: Recording, counted: np.ndarray | slice = slice(None)) -> float:
    """Share of points, of those `counted` (T, 2, K) bool, outside a recording's frame.

    Where the recording is brought to the training's scale, the network has seen no mouse there.
    """
    points = recording.keypoints[counted]
    return float(((points < 0) | (points > recording.frame_size)).any(-1).mean())
