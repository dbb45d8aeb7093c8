"""Pictures for pages: frames with their poses drawn in, and clips as a protocol cuts them."""

from collections.abc import Mapping, Sequence

import numpy as np

from mbrepro.clips import ClipSettings, cut_clips
from mbrepro.overlay import draw_pose
from mbrepro.recordings import Recording, other_index, runs
from mbrepro.video import decode_frames


def overlay_frames(recordings: Sequence[Recording], classes: Sequence[str]) -> tuple[list[np.ndarray], list[str]]:
    """One picture (H, W, 3) of each class that occurs, from the middle of its longest bout, poses drawn in; titles."""
    pictures, titles = [], []
    for value, name in enumerate(classes):
        bouts = [(b - a, r, (a + b) // 2) for r in recordings for a, b, label in runs(r.labels) if label == value]
        if bouts:
            _, recording, frame = max(bouts, key=lambda bout: bout[0])
            pictures.append(draw_pose(picture_of(recording, frame), recording, frame))
            titles.append(f"{name} ({recording.name}, frame {frame})")
    return pictures, titles


def picture_of(recording: Recording, frame: int) -> np.ndarray:
    """The picture (H, W, 3) shown at one of a recording's frames."""
    return decode_frames(recording.video, [recording.video_start + frame])[0]


def example_clips(recordings: Sequence[Recording], settings: Mapping[str, ClipSettings]) -> dict[str, np.ndarray]:
    """The longest behaviour bout, cut by each of the settings: title → clip (F, H, W, 3).

    The bout is one that starts in the second half of its recording if there is any, where cutting at a wrong frame rate
    shows most.
    """
    bouts = [
        (start > len(r) // 2, stop - start, start, value, r)
        for r in recordings
        for start, stop, value in runs(r.labels)
        if value != other_index(r.classes)
    ]
    *_, start, value, recording = max(bouts, key=lambda bout: bout[:2])
    title = f"{recording.classes[value]} from frame {start} of {recording.name}"
    return {f"{name}: {title}": cut_clips(recording, [start], one)[0] for name, one in settings.items()}
