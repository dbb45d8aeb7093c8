"""Pictures for pages: frames with poses drawn in, clips as a protocol cuts them, and what recordings look like."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.colors import to_rgb

from mbrepro import paths
from mbrepro.data.clips import ClipSettings, clip_frames, crop_square, cut_clips, mice_square
from mbrepro.data.recordings import KEYPOINTS, Dataset, Recording, other_index, runs
from mbrepro.data.video import check_video, decode_frames
from mbrepro.errors import InputError
from mbrepro.report.plots import colour_of, evenly

CLIP_SIZE = (320, 200)  # px of a behaviour's clip
BAR = 8  # px of the bar under it
STRIP_FRAMES, STRIP_HEIGHT = 6, 72  # a clip beside its caption; px
MOUSE_COLOURS = ((255, 140, 0), (0, 200, 255))  # resident, intruder; RGB
SKELETON = (
    ("nose", "left_ear"), ("nose", "right_ear"), ("left_ear", "neck"), ("right_ear", "neck"), ("neck", "left_hip"),
    ("neck", "right_hip"), ("left_hip", "tail_base"), ("right_hip", "tail_base"),
)  # fmt: skip
REAL_FRAMES = "mars_frames/sample_arenas.png"  # six frames in a grid, from MARS's documentation


class Shown(NamedTuple):
    """A picture (H, W, 3) or a clip (F, H, W, 3), uint8 RGB, and the words under it."""

    pixels: np.ndarray
    title: str


def overlay_frames(recordings: Sequence[Recording], classes: Sequence[str]) -> tuple[list[np.ndarray], list[str]]:
    """One picture (H, W, 3) of each class that occurs, from the middle of its longest bout, poses drawn in; titles."""
    pictures, titles = [], []
    for value, name in enumerate(classes):
        if bout := longest_bout(recordings, value):
            recording, start, stop = bout
            frame = (start + stop) // 2
            pictures.append(draw_pose(picture_of(recording, frame), recording, frame))
            titles.append(f"{name} ({recording.name}, frame {frame})")
    return pictures, titles


def longest_bout(recordings: Sequence[Recording], value: int) -> tuple[Recording, int, int] | None:
    """Recording, first frame and frame after the last of a label's longest run; None if it never occurs."""
    bouts = [(b - a, r, a, b) for r in recordings for a, b, label in runs(r.labels) if label == value]
    return max(bouts, key=lambda bout: bout[0])[1:] if bouts else None


def picture_of(recording: Recording, frame: int) -> np.ndarray:
    """The picture (H, W, 3) shown at one of a recording's frames."""
    return decode_frames(recording.video, [recording.video_start + frame])[0]


def middle_frames(recording: Recording, starts: Sequence[int], settings: ClipSettings, side: int) -> list[np.ndarray]:
    """The frame amid each clip that starts at `starts`, the square round both mice of it, (side, side, 3) each."""
    if not len(starts):
        return []
    windows = [clip_frames(start, recording, settings) for start in starts]
    frames = decode_frames(recording.video, [int(w[len(w) // 2]) + recording.video_start for w in windows])
    info, padding = check_video(recording), settings.crop_padding
    squares = [mice_square(recording, window, info, padding) for window in windows]
    return [crop_square(frame, square, side) for frame, square in zip(frames, squares, strict=True)]


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


def sample_frames(dataset: Dataset, count: int = 6) -> list[Shown]:
    """The frame in the middle of each of `count` filmed recordings, spread evenly over train and test; source in it."""
    found = []
    for recording in evenly(dataset.filmed().recordings, count):
        frame = len(recording) // 2
        picture = draw_words(picture_of(recording, frame), dataset.source)
        found.append(Shown(picture, f"{dataset.source}: {recording.animal}, frame {frame}"))
    return found


def real_frames() -> list[Shown]:
    """Real frames of the arena CalMS21 was filmed in, where this machine has them, else none.

    They are cut out of one picture of MARS's documentation (Segalin et al. 2021, github.com/neuroethology/MARS) and are
    no part of the study. Raises InputError if the file is not a picture.
    """
    folder = paths.real_data()
    if folder is None or not (folder / REAL_FRAMES).is_file():
        return []
    grid = cv2.imread(str(folder / REAL_FRAMES))
    if grid is None:
        raise InputError(f"{folder / REAL_FRAMES}: not a picture; copy it again or take it away")
    cells = grid_cells(cv2.cvtColor(grid, cv2.COLOR_BGR2RGB))
    return [Shown(draw_words(cell, "real"), f"real: MARS, sample frame {k}") for k, cell in enumerate(cells, 1)]


def grid_cells(grid: np.ndarray, white: int = 250, least: int = 32) -> list[np.ndarray]:
    """Pictures that a grid (H, W, 3) holds between white lines, row by row, one px trimmed off each side.

    white: a line is of this value or more in 98 % of its pixels. least: fewer px across are no picture.
    """
    inked = grid.min(axis=-1) < white
    return [
        grid[top + 1 : bottom - 1, left + 1 : right - 1]
        for top, bottom in _bands(inked, least)
        for left, right in _bands(inked[top:bottom].T, least)
    ]


def _bands(inked: np.ndarray, least: int) -> list[tuple[int, int]]:
    held = (inked.mean(axis=1) > 0.02).astype(int)
    return [(start, stop) for start, stop, value in runs(held) if value and stop - start >= least]


def behaviour_clips(
    dataset: Dataset, names: Sequence[str], seconds: float = 2.0, fps: float = 15.0
) -> dict[str, Shown]:
    """A clip of each class that was filmed, about the middle of its longest bout, `fps` frames a second; source in it.

    The picture is cut to where the mice are. A bar under it has the class's colour while the label is on.
    """
    found, filmed = {}, [r for r in dataset.recordings if r.video is not None]
    for name in names:
        value = dataset.classes.index(name)
        if bout := longest_bout(filmed, value):
            recording, start, stop = bout
            frames = _frames_about((start + stop) // 2, recording, seconds, fps)
            pictures = [draw_words(picture, dataset.source) for picture in _cut_to_mice(recording, frames)]
            on = recording.true[frames] == value
            clip = np.stack([_over_bar(*pair, colour_of(name)) for pair in zip(pictures, on, strict=True)])
            title = f"{name} ({dataset.source}: {recording.animal}, frames {frames[0]} to {frames[-1]})"
            found[name] = Shown(clip, title)
    return found


def _cut_to_mice(recording: Recording, frames: np.ndarray) -> list[np.ndarray]:
    pictures = decode_frames(recording.video, recording.video_start + frames)
    left, top, right, bottom = mice_box(recording, frames, pictures.shape[2:0:-1])
    cut = pictures[:, top:bottom, left:right]
    return [cv2.resize(picture, CLIP_SIZE, interpolation=cv2.INTER_AREA) for picture in cut]


def _over_bar(picture: np.ndarray, on: bool, colour: str) -> np.ndarray:
    bar = np.full((BAR, picture.shape[1], 3), 45, np.uint8)
    if on:
        bar[:] = np.round(np.array(to_rgb(colour)) * 255)
    return np.concatenate([picture, bar])


def _frames_about(middle: int, recording: Recording, seconds: float, fps: float) -> np.ndarray:
    """Frames of `seconds` about a middle frame, moved into the recording, `fps` of them a second."""
    length = min(len(recording), round(seconds * recording.fps))
    first = min(max(0, middle - length // 2), len(recording) - length)
    return first + np.arange(0, length, recording.fps / min(fps, recording.fps)).astype(int)


def mice_box(recording: Recording, frames: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (px of a video of `size`) of a part, in the shape of a clip, that holds both mice.

    It is as large as the mice need in all of the frames, with room about them, and at least half the frame's width.
    """
    width, height = size
    points = recording.keypoints[frames].reshape(-1, 2) * (np.array(size) / recording.frame_size)
    low, high = points.min(axis=0) - 0.06 * width, points.max(axis=0) + 0.06 * width
    aspect = CLIP_SIZE[0] / CLIP_SIZE[1]
    wide = max(high[0] - low[0], aspect * (high[1] - low[1]), 0.5 * width)
    wide = min(wide, width, aspect * height)
    box = np.array([wide, wide / aspect])
    corner = np.clip((low + high - box) / 2, 0, np.array(size) - box)
    left, top = np.floor(corner).astype(int).tolist()
    return left, top, left + int(box[0]), top + int(box[1])


def strip(clip: np.ndarray) -> np.ndarray:
    """A few frames of a clip (F, H, W, 3), evenly chosen, small and side by side: one picture (h, W, 3)."""
    size = round(STRIP_HEIGHT * clip.shape[2] / clip.shape[1]), STRIP_HEIGHT
    return np.hstack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in evenly(clip, STRIP_FRAMES)])


def draw_pose(picture: np.ndarray, recording: Recording, frame: int) -> np.ndarray:
    """Draw a frame's keypoints on a copy of its picture (H, W, 3), as a ring where one is filled in, and lines between.

    The lines are `SKELETON` where every part of it is tracked, else one from front to rear.
    """
    picture, parts, seen = picture.copy(), recording.parts, recording.tracked[frame]
    lines = SKELETON if set(KEYPOINTS) <= set(parts) else ((recording.skeleton.front, recording.skeleton.rear),)
    scale = np.array(picture.shape[1::-1]) / recording.frame_size
    for points, there, colour in zip(recording.keypoints[frame] * scale, seen, MOUSE_COLOURS, strict=True):
        places = {name: tuple(int(v) for v in point.round()) for name, point in zip(parts, points, strict=True)}
        for one, other in lines:
            cv2.line(picture, places[one], places[other], colour, 1, cv2.LINE_AA)
        for place, tracked in zip(places.values(), there, strict=True):
            cv2.circle(picture, place, 2 if tracked else 3, colour, -1 if tracked else 1, cv2.LINE_AA)
    return picture


def draw_words(picture: np.ndarray, words: str) -> np.ndarray:
    """Write words into the lower left corner of a copy of a picture (H, W, 3), legible on any ground."""
    picture, (x, y) = picture.copy(), (6, picture.shape[0] - 8)
    for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)):  # a thicker stroke would be wider in all
        colour = (0, 0, 0) if right or down else (255, 225, 160)
        cv2.putText(picture, words, (x + right, y + down), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
    return picture
