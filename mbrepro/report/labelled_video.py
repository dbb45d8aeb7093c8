"""A recording's video with what was predicted of it: poses on the picture, label and scores under it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.colors import to_rgb

from mbrepro.data.annotations.bout import NOT_SCORABLE
from mbrepro.data.recordings import UNLABELLED, Recording
from mbrepro.data.video import iter_frames, probe, write_video
from mbrepro.report.pictures import draw_pose, draw_words
from mbrepro.report.plots import colour_of

WIDTHS = (320, 1280)  # px between which the picture is brought: words are legible, and the file stays small
ROW = 24  # px of a class's bar
GROUND, BAR = 28, 90  # grey


def write_labelled_video(
    path: Path, recording: Recording, classes: Sequence[str], labels: np.ndarray, scores: np.ndarray,
    widths: tuple[int, int] = WIDTHS,
) -> None:  # fmt: skip
    """Write an H.264 mp4 of a recording's video, without sound, that shows labels (T,) and scores (T, C).

    labels: index into classes, or `UNLABELLED`, not scorable, where scores are NaN. widths: px between which the
    picture is brought. A varying rate is shown evenly, each picture for as long as the video does. A point that was
    filled in is a ring, one that was seen a disk.
    """
    info = probe(recording.video)
    scale = np.clip(info.width, *widths) / info.width
    width, height = (2 * round(side * scale / 2) for side in (info.width, info.height))
    pictures = _drawn(recording, (width, height), classes, labels, scores)
    write_video(path, pictures, recording.fps, width, height + ROW * (len(classes) + 1))


def _drawn(
    recording: Recording, size: tuple[int, int], classes: Sequence[str], labels: np.ndarray, scores: np.ndarray
) -> Iterator[np.ndarray]:
    edges = recording.edges
    middles = edges[0] + (np.arange(round((edges[-1] - edges[0]) * recording.fps)) + 0.5) / recording.fps
    often = np.bincount(np.searchsorted(edges[:-1], middles, "right") - 1, minlength=len(recording))
    for place, picture in iter_frames(recording.video, recording.video_start + np.flatnonzero(often)):
        frame = place - recording.video_start
        drawn = draw_pose(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), recording, frame)
        under = _panel(size[0], classes, int(labels[frame]), scores[frame])
        yield from [np.concatenate([drawn, *under])] * often[frame]


def _panel(width: int, classes: Sequence[str], label: int, scores: np.ndarray) -> Iterator[np.ndarray]:
    """The label on its class's colour, and under it a bar for each class as long as its score."""
    name = NOT_SCORABLE if label == UNLABELLED else classes[label]
    yield _row(width, name, 1, (GROUND,) * 3 if label == UNLABELLED else _rgb(name))
    for name, score in zip(classes, scores, strict=True):
        yield _row(width, f"{name} {score:.2f}" if np.isfinite(score) else name, np.nan_to_num(score), (BAR,) * 3)


def _row(width: int, words: str, share: float, colour: Sequence[int]) -> np.ndarray:
    row = np.full((ROW, width, 3), GROUND, np.uint8)
    row[:, : round(width * float(share))] = colour
    return draw_words(row, words)


def _rgb(name: str) -> list[int]:
    return [round(255 * value) for value in to_rgb(colour_of(name))]
