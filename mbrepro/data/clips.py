"""Clips: which frames of a recording the video model sees for a proposal, and their pixels."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mbrepro.data.recordings import CLOCK_ERROR_S, Recording
from mbrepro.data.video import VideoInfo, check_video, iter_frames
from mbrepro.errors import InputError

VERSION = 1  # raise it when a clip holds other frames or pixels
CROPS = ("frame", "mice")
LEAST_SIDE = 16  # px of the video; a smaller square holds no mouse, only noise


@dataclass(frozen=True)
class ClipSettings:
    """How a clip is cut from a recording and sampled.

    seconds: length of video shown. sampled_fps: frames per second of the clip given to the model. min_frames: fewest
    frames a clip, 4 in qwen-vl-utils (`FPS_MIN_FRAMES`). assumed_fps: None cuts at the video's true time; the published
    code turns frames into seconds with 60 whatever the video's rate (github.com/audreyadouglas/mouse_action_rec).
    crop: "frame" for the whole picture, "mice" for the square around both mice, widened by `crop_padding` of its side
    on each side and resized to `crop_pixels`. Raises InputError naming the setting that makes no sense.
    """

    seconds: float = 5.0
    sampled_fps: float = 2.0
    min_frames: int = 4
    assumed_fps: float | None = None
    crop: str = "frame"
    crop_pixels: int = 112
    crop_padding: float = 0.15

    def __post_init__(self) -> None:
        for name in ("seconds", "sampled_fps", "min_frames", "assumed_fps", "crop_pixels"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"clip setting {name} must be a positive number, not {value}")
        if not (np.isfinite(self.crop_padding) and self.crop_padding >= 0):
            raise InputError(f"clip setting crop_padding must be a number of at least 0, not {self.crop_padding}")
        if self.crop not in CROPS:
            raise InputError(f"clip setting crop must be one of {', '.join(CROPS)}, not {self.crop!r}")


def frame_count(settings: ClipSettings) -> int:
    """Number of frames in every clip: even, for the model merges pairs of frames, and at least `min_frames`.

    Source: `smart_nframes` of qwen-vl-utils, which rounds the wanted number down and the minimum up to even.
    """
    wanted = 2 * int(settings.seconds * settings.sampled_fps // 2)
    return max(wanted, 2 * -(-settings.min_frames // 2))


def sampled_rate(settings: ClipSettings, frames: int) -> float:
    """Frames per second of a clip with this many frames, as the model is told (`sample_fps` of qwen-vl-utils).

    A clip that the recording's end cuts short is told the same rate, so that all clips of a batch have one.
    """
    return frames / settings.seconds


def clip_frames(start_frame: int, recording: Recording, settings: ClipSettings) -> np.ndarray:
    """Return the (F,) indices of the recording's frames that a clip starting at a proposal's frame shows.

    The window begins with the frame on the screen at the start, lasts `seconds` by the video's clock (without a video
    by the recording's rate), and ends with the recording as `ffmpeg -t` would end it; F does not change. The frames are
    spread evenly over the window, first and last included (`linspace` and rounding as in qwen-vl-utils), and repeat if
    it holds fewer than F. Time, at an assumed rate too, counts from the recording's first frame, wherever in its video
    that lies. Raises InputError if the clip would start outside the recording.
    """
    if not 0 <= start_frame < len(recording):
        raise InputError(
            f"{recording.name}: a clip cannot start at frame {start_frame}, the recording has frames 0 to "
            f"{len(recording) - 1}"
        )
    times = _frame_times(recording)
    edges = np.append(times, times[-1] + 1 / recording.fps)
    start = times[start_frame] if settings.assumed_fps is None else start_frame / settings.assumed_fps
    first = int(np.searchsorted(edges, start + CLOCK_ERROR_S, side="right")) - 1
    if first == len(times):
        raise InputError(
            f"{recording.name}: at the assumed {settings.assumed_fps:g} fps the clip of frame {start_frame} starts at "
            f"{start:.2f} s, past the end at {edges[-1]:.2f} s"
        )
    stop = int(np.searchsorted(times, times[first] + settings.seconds - CLOCK_ERROR_S))
    spread = np.linspace(0, max(stop - first, 1) - 1, frame_count(settings))
    return first + np.round(spread).astype(np.int64)


def _frame_times(recording: Recording) -> np.ndarray:
    if recording.video is None:
        return np.arange(len(recording)) / recording.fps
    times = check_video(recording).times[recording.video_start :][: len(recording)]
    return times - times[0]


def cut_clips(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, threads: int = 0
) -> list[np.ndarray]:
    """Cut one (F, H, W, 3) uint8 RGB clip for each start frame, decoding no frame twice.

    H and W are the video's, or `crop_pixels` with a crop. threads: see `iter_frames`. Raises InputError for a missing,
    short or damaged video and for a clip that would start outside the recording.
    """
    info = check_video(recording)
    chosen = [clip_frames(start, recording, settings) for start in starts]
    squares = [mice_square(recording, frames, info, settings.crop_padding) for frames in chosen]
    side = settings.crop_pixels if settings.crop == "mice" else None
    shape = (side, side) if side else (info.height, info.width)
    clips = [np.empty((len(frames), *shape, 3), np.uint8) for frames in chosen]
    uses = defaultdict(list)
    for clip, frames in enumerate(chosen):
        for place, index in enumerate((frames + recording.video_start).tolist()):
            uses[index].append((clip, place))
    for index, picture in iter_frames(info.path, list(uses), threads):
        for clip, place in uses[index]:
            clips[clip][place] = crop_square(picture, squares[clip], side) if side else picture
    return clips


def mice_square(recording: Recording, frames: np.ndarray, info: VideoInfo, padding: float) -> tuple[int, int, int]:
    """Return (left, top, side), px of the video, of the square around both mice from the clip's first to last frame.

    Keypoints beyond the picture's edge count as on it. The square may reach over the edge.
    """
    size = np.array([info.width, info.height])
    points = recording.keypoints[frames.min() : frames.max() + 1].reshape(-1, 2) * (size / recording.frame_size)
    points = np.clip(points, 0, size - 1)
    low, high = points.min(0), points.max(0)
    side = max(int(np.ceil((high - low).max() * (1 + 2 * padding))), LEAST_SIDE)
    left, top = np.round((low + high - side) / 2).astype(int)
    return int(left), int(top), side


def crop_square(picture: np.ndarray, square: tuple[int, int, int], pixels: int) -> np.ndarray:
    """Cut a square (left, top, side) from an (H, W, 3) picture, its edge repeated outwards, as (pixels, pixels, 3)."""
    left, top, side = square
    height, width = picture.shape[:2]
    inside = picture[max(top, 0) : top + side, max(left, 0) : left + side]
    beyond = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    padded = cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REPLICATE)
    return cv2.resize(padded, (pixels, pixels), interpolation=cv2.INTER_AREA)
