"""Video files: exact frame times, only the frames a clip needs, and a writer whose bytes never change.

A frame's index is its place in display order. Times come from the packets themselves, so B-frames, a start time other
than zero, edit lists and a varying frame rate need no special case. AVI holds no display times: where it has B-frames,
a frame's index is its place among those decoded from the start. Pictures are turned as players turn them.
"""

import contextlib
import struct
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from mbrepro.artifacts import replacing
from mbrepro.data.recordings import Recording
from mbrepro.errors import InputError

VERSION = 2  # raise it when decoding gives other frames, or writing other files

MOST_PIXELS = 2**26  # of a picture, twice those of 8K
SEEK_FRAMES = 12  # decoding this many unwanted frames of 1024x570 costs about as much as one seek
FPS_TOLERANCE = 0.05  # a camera's clock may drift from its nominal rate; 25 for 30 is another recording


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """What a video file holds, in display order.

    times: (frames,) float64 seconds after the first frame. pts: (frames,) int64, the file's own clock, or the index
    of a frame if there is none (`counted`). keyframes: (K,) indices of frames that decode alone. fps: mean rate.
    promised: frames that the header promises, 0 if it does not say. turn: None, or a, b, c, d of the display matrix, by
    which the stored picture's column and row (x, y) are shown at (a x + c y, b x + d y); width and height are as shown.
    """

    path: Path
    frames: int
    fps: float
    width: int
    height: int
    times: np.ndarray
    pts: np.ndarray
    keyframes: np.ndarray
    promised: int
    turn: tuple[int, int, int, int] | None
    counted: bool


def probe(path: Path) -> VideoInfo:
    """Read a video's exact frame count and display times from its packets, without decoding.

    Raises InputError if the file is missing, truncated, not a video or has frames without a display time.
    """
    path = Path(path)
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: no such video file") from error
    return _probe(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _probe(path: Path, size: int, changed: int) -> VideoInfo:
    with _opened(path) as (container, stream):
        packets = [packet for packet in container.demux(stream) if packet.size]
        damaged = any(packet.is_corrupt for packet in packets)
        if damaged or (len(packets) < stream.frames and not _whole_riff(path)):
            raise InputError(
                f"{path}: the video is truncated: {len(packets) - damaged} of its "
                f"{stream.frames or 'unknown number of'} frames are there; copy or download it again"
            )
        counted = container.format.name == "avi" and bool(stream.codec_context.has_b_frames)
        shown = [packet for packet in packets if not packet.is_discard]
        rate, times, ticks, keyframes = _clock(path, shown, stream.time_base, counted)
        rate = float(rate or stream.average_rate or 0)
        stored, promised = (stream.width, stream.height), stream.frames
    turn = _turn(path)
    shown_as = stored[::-1] if turn and not turn[0] else stored
    return VideoInfo(path, len(times), rate, *shown_as, times, ticks, keyframes, promised, turn, counted)


def _clock(path: Path, packets: Sequence[av.Packet], unit: Fraction, counted: bool) -> tuple[object, ...]:
    """Rate, times, pts and keyframes of `VideoInfo`; packets of a counted file are in decoding order."""
    stored = [packet.dts if counted else packet.pts for packet in packets]
    if None in stored or not unit:
        raise InputError(
            f"{path}: the video has frames without a display time; give it the rate at which it was filmed, for 30 "
            f"frames per second with `ffmpeg -r 30 -i {path.name} {path.stem}.mp4`"
        )
    if not stored:
        raise InputError(f"{path}: the video has no frames")
    order = np.argsort(stored, kind="stable")
    ticks = np.array(stored, np.int64)[order]
    if (np.diff(ticks) <= 0).any():
        raise InputError(f"{path}: two frames have the same display time; convert the video with `ffmpeg -i`")
    times, span = (ticks - ticks[0]) * float(unit), int(ticks[-1] - ticks[0]) * unit
    keyframes = np.flatnonzero(np.array([packet.is_keyframe for packet in packets])[order])
    if counted:
        ticks, keyframes = np.arange(len(ticks)), np.zeros(1, np.int64)
    for array in (times, ticks, keyframes):
        array.setflags(write=False)
    return span and (len(times) - 1) / span, times, ticks, keyframes


def _whole_riff(path: Path) -> bool:
    """Whether an AVI file is as long as it says, so that a count in its header that is too high means nothing."""
    size, whole = path.stat().st_size, False
    with path.open("rb") as file:
        while (head := file.read(8))[:4] == b"RIFF":
            length = int.from_bytes(head[4:], "little")
            whole = 0 < length <= size - file.tell()
            if not whole:
                break
            file.seek(length + length % 2, 1)
    return whole


def _turn(path: Path) -> tuple[int, int, int, int] | None:
    """How the first frame is to be turned, as `VideoInfo` has it; None also if it cannot be decoded."""
    matrix = None
    with _opened(path) as (container, stream), contextlib.suppress(av.FFmpegError, StopIteration):
        matrix = next(container.decode(stream)).side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    values = np.array(struct.unpack("<9i", bytes(matrix)[:36].ljust(36, b"\0")))[[0, 1, 3, 4]]  # libavutil/display.h
    turn = a, b, c, d = tuple(np.round(values / max(1, abs(values).max())).astype(int).tolist())
    if bool(a) == bool(b) or bool(a) != bool(d) or bool(b) != bool(c):
        raise InputError(f"{path}: the video is to be turned by no right angle; convert it with `ffmpeg -i`")
    return None if turn == (1, 0, 0, 1) else turn


def _turned(picture: np.ndarray, turn: tuple[int, int, int, int] | None) -> np.ndarray:
    """A stored picture (H, W, 3) as it is shown."""
    if turn is None:
        return picture
    a, b, c, d = turn
    if not a:
        picture = picture.swapaxes(0, 1)
    return np.ascontiguousarray(picture[:: d or b, :: a or c])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path}: the file has no video stream")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InputError(f"{path}: the video's codec is unknown; convert the video with `ffmpeg -i`")
            if stream.width * stream.height > MOST_PIXELS:
                raise InputError(
                    f"{path}: a picture of {stream.width} x {stream.height} px is too large; make it smaller"
                )
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # a stream may say otherwise later on
            yield container, stream
    except (av.FFmpegError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: not a whole, readable video ({reason}); copy or download it again") from error


def promised_frames(path: Path) -> int:
    """Number of frames that a video's header promises, or that `probe` counts if it promises none.

    Quick, for many large files; whether the frames are there is for `probe` to say. Raises InputError as it does.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such video file")
    with _opened(path) as (_, stream):
        return stream.frames or probe(path).frames


def check_video(recording: Recording) -> VideoInfo:
    """Return the recording's video, known to show every one of its frames at about its rate.

    Raises InputError if there is none, it ends before the recording, or its mean rate differs by more than 5 %.
    """
    if recording.video is None:
        raise InputError(f"{recording.name}: the recording has no video")
    info = probe(recording.video)
    if info.frames < recording.video_start + len(recording):
        place = f" from its frame {recording.video_start} on" if recording.video_start else ""
        raise InputError(
            f"{info.path}: the video has {info.frames} frames, but {recording.name} has {len(recording)} frames{place}"
        )
    if abs(info.fps / recording.fps - 1) > FPS_TOLERANCE:
        raise InputError(
            f"{info.path}: the video runs at {info.fps:.2f} frames per second, but {recording.name} at "
            f"{recording.fps:.2f}; give the recording the video's rate"
        )
    return info


def decode_frames(path: Path, indices: Sequence[int]) -> np.ndarray:
    """Decode the frames with these indices: (N, H, W, 3) uint8 RGB, in the order asked, repeats allowed.

    Raises InputError naming file and frame if an index is outside the video or a frame cannot be decoded.
    """
    info = probe(path)
    wanted = np.asarray(indices, np.int64).reshape(-1)
    frames = np.empty((len(wanted), info.height, info.width, 3), np.uint8)
    for index, frame in iter_frames(path, wanted):
        frames[wanted == index] = frame
    return frames


def iter_frames(path: Path, indices: Sequence[int], threads: int = 0) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index, (H, W, 3) uint8 RGB) once for each different index, in the order they are decoded.

    threads: that decode one file, 0 for as many as there are cores; the frames are the same.
    Raises InputError as `decode_frames` does.
    """
    info = probe(path)
    wanted = np.unique(np.asarray(indices, np.int64))
    outside = wanted[(wanted < 0) | (wanted >= info.frames)]
    if len(outside):
        raise InputError(f"{path}: frame {outside[0]} was asked for, but the video has frames 0 to {info.frames - 1}")
    missed = []
    with _opened(info.path) as (container, stream):
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        for keyframe, needed in _passes(info, wanted):
            if not info.counted:
                container.seek(int(info.pts[keyframe]), stream=stream)
            missed += yield from _decode_pass(info, container, stream, keyframe, needed)
    if missed:
        # a file without an exact index (transport stream, some AVI) seeks past its target: decode it from the start
        with _opened(info.path) as (container, stream):
            missed = yield from _decode_pass(info, container, stream, 0, missed)
    if missed:
        raise InputError(
            f"{path}: frame {missed[0]} cannot be decoded; download the video again or convert it with `ffmpeg -i`"
        )


def _passes(info: VideoInfo, wanted: np.ndarray) -> list[tuple[int, list[int]]]:
    """Group sorted indices into (keyframe to seek to, indices decoded from there without another seek)."""
    passes = []
    for index in wanted.tolist():
        before = info.keyframes[info.keyframes <= index]
        keyframe = int(before[-1]) if len(before) else 0
        if passes and keyframe - passes[-1][1][-1] <= SEEK_FRAMES:
            passes[-1][1].append(index)
        else:
            passes.append((keyframe, [index]))
    return passes


def _decode_pass(
    info: VideoInfo, container: av.container.InputContainer, stream: av.VideoStream, keyframe: int, needed: list[int]
) -> Generator[tuple[int, np.ndarray], None, list[int]]:
    """Decode on from a keyframe, yield the needed frames, and return those that did not come whole."""
    done, converter = 0, VideoReformatter()
    with contextlib.suppress(av.FFmpegError):  # the frames that it cost are in what is returned
        for place, frame in enumerate(container.decode(stream)):
            tick = place if info.counted else frame.pts
            if tick is None or tick < info.pts[keyframe]:
                continue  # shown before the keyframe and predicted from what was not decoded
            shape = (frame.width, frame.height) if info.turn is None or info.turn[0] else (frame.height, frame.width)
            if frame.is_corrupt or shape != (info.width, info.height) or tick > info.pts[needed[done]]:
                break  # what follows a corrupt frame is predicted from it and not marked
            if tick == info.pts[needed[done]]:
                # one thread: starting threads for each frame takes longer than converting it
                picture = converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                yield needed[done], _turned(picture, info.turn)
                done += 1
            if done == len(needed):
                break
    return needed[done:]


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: float,
    width: int,
    height: int,
    *,
    crf: int = 23,
    preset: str = "ultrafast",
    gop: int = 30,
) -> None:
    """Write (height, width, 3) uint8 RGB frames as H.264 mp4 (yuv420p), whole or not at all; same frames, same bytes.

    crf: x264's constant quality, 0 lossless to 51. preset: x264's speed. gop: most frames between keyframes.
    Raises InputError if a side is odd, which yuv420p cannot hold, or a frame has another shape or type.
    """
    if width % 2 or height % 2 or min(width, height) <= 0:
        raise InputError(f"{path}: H.264 video needs an even width and height, not {width}x{height}")
    with replacing(path) as temporary, av.open(str(temporary), "w", options={"fflags": "+bitexact"}) as container:
        # one thread: x264 cuts a picture into a number of slices and look-ahead that depend on its threads
        options = {"crf": str(crf), "preset": preset, "threads": "1"}
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = gop
        index = -1
        for index, frame in enumerate(frames):
            if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                raise InputError(
                    f"{path}: frame {index} is {frame.dtype} {frame.shape}, not uint8 {(height, width, 3)}"
                )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        if index < 0:
            raise InputError(f"{path}: a video needs at least one frame")
        container.mux(stream.encode())
