"""Clips to train the stand-in on, cut from simulated recordings of animals that no demo recording shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, mice_square, sampled_rate
from mbrepro.data.processes import side_by_side
from mbrepro.data.recordings import Recording
from mbrepro.data.video import check_video
from mbrepro.demo.standin.phrases import caption, measure
from mbrepro.embedding.packing import resize_frames
from mbrepro.embedding.standin import STAND_IN_PIXELS

SEGMENT_SECONDS = 5.0
SEGMENTS = 10  # of each recording, every view cut from each
# What a clip may look like: both protocols' clips, and some between them.
VIEWS = (
    ClipSettings(seconds=5.0, sampled_fps=0.1, min_frames=4),
    ClipSettings(seconds=2.0, sampled_fps=4.0),
    ClipSettings(seconds=5.0, sampled_fps=2.0, crop="mice"),
    ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice"),
    ClipSettings(seconds=1.0, sampled_fps=8.0, crop="mice"),
)


@dataclass(frozen=True, eq=False)
class Example:
    """One clip as the model sees it.

    frames: (F, 3, h, w) uint8, resized. points: (F, 14, 2) float32, both mice's keypoints in shares of the view.
    rate: frames per second. caption: what to say.
    """

    frames: np.ndarray
    points: np.ndarray
    rate: float
    caption: str


def make_examples(recordings: Sequence[Recording], seed: int, processes: int = 2) -> list[Example]:
    """Cut every view from `SEGMENTS` segments of each recording, with a caption of what its poses do."""
    jobs = [(_recording_examples, recording, seed, number) for number, recording in enumerate(recordings)]
    made = side_by_side(jobs, "clips", "recording", processes, _one_thread)
    return [example for examples in made for example in examples]


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _recording_examples(recording: Recording, seed: int, number: int) -> list[Example]:
    rng, examples = np.random.default_rng([seed, number]), []
    segments = segment_starts(recording, rng)
    for view in VIEWS:
        frames = round(view.seconds * recording.fps)
        spare = round((SEGMENT_SECONDS - view.seconds) * recording.fps)
        starts = [segment + int(rng.integers(spare + 1)) for segment in segments]
        for start, clip in zip(starts, cut_clips(recording, starts, view), strict=True):
            geometry = measure(recording.keypoints[start : start + frames], recording.fps, recording.frame_size)
            _, text = caption(geometry, rng)
            shown, points = resize_frames(clip, STAND_IN_PIXELS).numpy(), view_points(recording, start, view)
            examples.append(Example(shown, points, sampled_rate(view, len(clip)), text))
    return examples


def segment_starts(recording: Recording, rng: np.random.Generator) -> list[int]:
    """First frames of `SEGMENTS` segments, each around a random frame of one of the classes there are, in turn.

    So rare behaviours are seen often enough; nothing that the model learns says which behaviour it was.
    """
    classes = rng.permutation(np.unique(recording.labels))
    length = round(SEGMENT_SECONDS * recording.fps)
    starts = []
    for k in range(SEGMENTS):
        around = int(rng.choice(np.flatnonzero(recording.labels == classes[k % len(classes)])))
        starts.append(int(np.clip(around - rng.integers(length), 0, len(recording) - length)))
    return starts


def view_points(recording: Recording, start: int, view: ClipSettings) -> np.ndarray:
    """(F, 14, 2) keypoints at a clip's frames, in shares of the picture that the view shows."""
    frames = clip_frames(start, recording, view)
    points = recording.keypoints[frames].reshape(len(frames), -1, 2) / np.array(recording.frame_size)
    if view.crop == "mice":
        info = check_video(recording)
        left, top, side = mice_square(recording, frames, info, view.crop_padding)
        points = (points * (info.width, info.height) - (left, top)) / side
    return points.astype(np.float32)
