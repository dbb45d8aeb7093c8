"""`mbrepro bench`: speed of what this project does against what it replaces, on the same data in the same run.

Each benchmark is a function in `BENCHMARKS`; its figures go under its name into results/bench.json, where the others'
are kept. A ratio is theirs / ours, larger is better for us. Sides take turns, so that a busy machine slows both alike.
"""

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import torch
import typer

from mbrepro import artifacts
from mbrepro.commands import bench_stage1
from mbrepro.commands.bench_stage1 import FRAMES, SEQUENCES, simulated
from mbrepro.commands.timing import REPETITIONS, cpu_model, in_turn, ratio, timed
from mbrepro.data.calms21.release import json_path
from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, sampled_rate
from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.data.video import iter_frames, probe, write_video
from mbrepro.demo.simulated import DemoSettings, extra_recordings, simulate_recording
from mbrepro.demo.simulated.cage import draw_look
from mbrepro.demo.simulated.frames import render
from mbrepro.demo.simulated.release import write_calms21
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import STAND_IN, EmbedderSettings
from mbrepro.embedding.qwen import QwenVLEmbedder
from mbrepro.embedding.standin import STAND_IN_PIXELS
from mbrepro.errors import InputError

SHOWN = ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice")  # the corrected protocol's clips
SPREAD = 9.0  # its longest recording over its shortest, about


def command(
    names: Annotated[list[str] | None, typer.Argument(help="which benchmarks; all if none is named")] = None,
    out: Annotated[Path, typer.Option(help="the JSON file to merge into")] = Path("results/bench.json"),
) -> None:
    """Measure and print the figures."""
    print(json.dumps(measure(names or list(BENCHMARKS), out), indent=1, ensure_ascii=False))


def measure(names: Sequence[str], path: Path) -> dict:
    """Run benchmarks by name and merge their figures into the JSON file; returns the new figures.

    Raises InputError for an unknown name, or a file that is there and is no JSON object.
    """
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    _stored(path)  # refuse a damaged file before minutes of measuring
    figures = {name: BENCHMARKS[name]() | {"machine": cpu_model()} for name in names}
    artifacts.write_json(path, _stored(path) | figures)
    return figures


def _stored(path: Path) -> dict:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: this is not a JSON object; remove it and measure again") from error


@cache
def json_reads(repetitions: int = REPETITIONS, sequences: int = SEQUENCES, frames: int = FRAMES) -> dict[str, dict]:
    """Seconds and peak memory (MB) of reading a simulated file: json and numpy (theirs), ours first, and ours again.

    The three take turns, each in a fresh process with everything imported; peaks are the whole process's, idle is the
    peak before the reading. Ours has its arrays not stored yet (first), or stored by the process before (second).
    """
    sides = ("theirs", "first", "second")
    with tempfile.TemporaryDirectory() as folder:
        path = released_file(Path(folder), sequences, frames)
        stores = [Path(folder) / f"data{k}" for k in range(repetitions)]
        runs = [{side: read_alone(side, path, stored) for side in sides} for stored in stores]
        described = {"file_mb": path.stat().st_size / 1e6, "sequences": sequences, "frames": frames}
    medians = {s: {key: float(np.median([run[s][key] for run in runs])) for key in runs[0][s]} for s in sides}
    return {side: _read_figures(medians[side], medians["theirs"]) | described for side in ("first", "second")}


def _read_figures(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    each = {f"{who}_{key}": v for who, side in (("ours", ours), ("theirs", theirs)) for key, v in side.items()}
    return {"ratio": theirs["s"] / ours["s"], "memory_ratio": theirs["peak_mb"] / ours["peak_mb"]} | each


def released_file(folder: Path, sequences: int, frames: int) -> Path:
    """Write simulated recordings as a released training file, with lengths as different as the release's."""
    ends = np.geomspace(1, SPREAD, sequences).cumsum()
    lengths = np.diff(np.round(ends / ends[-1] * frames).astype(int), prepend=0)
    recordings = [simulated(number, length) for number, length in enumerate(lengths.tolist(), 1)]
    write_calms21(folder, task1=Dataset("task1", TASK1_CLASSES, tuple(recordings), (), "simulated"))
    return json_path(folder, "task1", "train")


def read_alone(side: str, path: Path, stored: Path) -> dict[str, float]:
    """Seconds, MB before and at the peak of reading in a fresh process, which imports only what its side needs."""
    theirs, ours = "read = read_theirs", "from mbrepro.data.calms21.read import read_calms21 as read"
    program = ["import json, sys, time", "from pathlib import Path", "import numpy as np"]
    program += map(inspect.getsource, (peak_mb, read_theirs, measured))
    program += [theirs if side == "theirs" else ours, "measured(read, Path(sys.argv[1]))"]
    command = [sys.executable, "-c", "\n".join(program), str(path)]
    environment = os.environ | {"MBREPRO_DATA": str(stored)}
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)


def read_theirs(path: Path) -> list[tuple[np.ndarray, ...]]:
    """Read a released file as anyone would."""
    parts = {"keypoints": np.float32, "scores": np.float32, "annotations": None}
    groups = json.loads(path.read_text(encoding="utf-8"))
    sequences = [sequence for group in groups.values() for sequence in group.values()]
    return [tuple(np.asarray(sequence[name], kind) for name, kind in parts.items()) for sequence in sequences]


def measured(read: "Callable[[Path], object]", path: Path) -> None:
    """Read and print what that took as JSON."""
    before, start = peak_mb(), time.perf_counter()
    held = read(path)
    seconds = time.perf_counter() - start
    print(json.dumps({"s": seconds, "idle_mb": before, "peak_mb": peak_mb()}))
    del held  # until here, the peak is that of a process that keeps what it read


def peak_mb() -> float:
    """The most memory (MB) that this process has held since it started its program."""
    lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss counts a parent's memory at the fork too
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6


def embed_loop(clips: int = 64, repetitions: int = 5) -> dict:
    """Seconds of embedding clips with the stand-in (ours) against the bare forward pass on the packed inputs (theirs).

    The loop packs, pools every view and gathers the rows; the bare pass has all inputs packed before it.
    """
    embedder = load_embedder(EmbedderSettings(model=STAND_IN, max_pixels=STAND_IN_PIXELS, batch_size=8))
    return loop_against_forward(embedder, random_clips(clips, SHOWN), repetitions)


def loop_against_forward(embedder: QwenVLEmbedder, clips: Sequence[np.ndarray], repetitions: int) -> dict:
    """The figures of `embed_loop` for any model."""
    fps, size = sampled_rate(SHOWN, len(clips[0])), embedder.settings.batch_size
    packed = [embedder.prepare(clips[first : first + size], fps) for first in range(0, len(clips), size)]

    @torch.inference_mode()
    def bare() -> None:
        for inputs in packed:
            embedder.model.model(**inputs, use_cache=False).last_hidden_state.cpu()

    sides = (lambda _: timed(lambda: embedder.embed(clips, fps)), lambda _: timed(bare))
    in_turn("warm up", 1, *sides)
    ours, theirs = in_turn("embed_loop", repetitions, *sides)
    figures = {"over_bare": ours / theirs, "clips": len(clips), "clips_per_s": len(clips) / ours}
    return ratio(ours, theirs) | figures | {"torch_threads": torch.get_num_threads()}


def random_clips(count: int, settings: ClipSettings) -> list[np.ndarray]:
    """Clips of noise, (F, side, side, 3) uint8, of the shape that the settings cut."""
    shape = round(settings.seconds * settings.sampled_fps), settings.crop_pixels, settings.crop_pixels, 3
    return list(np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8))


def decode(seconds: float = 40.0, clips: int = 30, repetitions: int = 5) -> dict:
    """Seconds of decoding overlapping clips (ours) against decoding only the groups of pictures they need (theirs).

    1024 x 570 px at 30 frames a second with a keyframe every 30, the corrected protocol's clips from random frames on.
    `cropped_too_s` is what `cut_clips` takes, squares cut and resized.
    """
    with tempfile.TemporaryDirectory() as folder:
        recording = filmed(Path(folder) / "bench.mp4", seconds, (1024, 570))
        starts = np.sort(np.random.default_rng(0).integers(0, len(recording) - 60, clips)).tolist()
        wanted = np.unique(np.concatenate([clip_frames(start, recording, SHOWN) for start in starts]))
        ours, theirs = in_turn(
            "decode", repetitions, lambda _: timed(lambda: [None for _ in iter_frames(recording.video, wanted)]),
            lambda _: timed(lambda: decode_groups(recording.video, wanted)),
        )  # fmt: skip
        cutting = timed(lambda: cut_clips(recording, starts, SHOWN))
    figures = {"over_needed": ours / theirs, "frames": len(wanted), "clips": clips, "cropped_too_s": cutting}
    return ratio(ours, theirs) | figures


def decode_groups(path: Path, wanted: np.ndarray) -> int:
    """Decode each gapless stretch of needed groups up to its last needed frame; returns how many frames came out."""
    info, came = probe(path), 0
    group_of = np.searchsorted(info.keyframes, wanted, side="right") - 1
    stretches = np.split(wanted, np.flatnonzero(np.diff(group_of) > 1) + 1)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for stretch in stretches:
            keyframe = info.keyframes[np.searchsorted(info.keyframes, stretch[0], side="right") - 1]
            container.seek(int(info.pts[keyframe]), stream=stream)
            needed, last = set(info.pts[stretch].tolist()), int(info.pts[stretch[-1]])
            for frame in container.decode(stream):
                if frame.pts in needed:
                    frame.to_ndarray(format="rgb24")
                    came += 1
                if frame.pts >= last:
                    break
    return came


def render_speed(frames: int = 600, repetitions: int = 3, films: int = 6, film_s: float = 60.0) -> dict:
    """Frames of the demo a second: drawn on one thread, and simulated, drawn and written by two processes."""
    size = DemoSettings().video_size
    _, poses = simulate_recording("task1", "mouse900_task1_annotator1", DemoSettings(seconds=frames / 30))
    look = draw_look(np.random.default_rng(0))
    (drawing,) = in_turn("render", repetitions, lambda _: timed(lambda: [None for _ in render(poses, look, size)]))
    with tempfile.TemporaryDirectory() as folder:
        filming = timed(lambda: extra_recordings("task1", films, DemoSettings(seconds=film_s), Path(folder)))
    rates = {"frames_per_s": len(poses) / drawing, "written_frames_per_s": films * film_s * 30 / filming}
    return rates | {"frames": len(poses), "size": list(size)}


def filmed(path: Path, seconds: float, size: tuple[int, int]) -> Recording:
    """A simulated recording and its video at a size in px (width, height)."""
    recording, poses = simulate_recording("task1", "mouse900_task1_annotator1", DemoSettings(seconds=seconds))
    write_video(path, render(poses, draw_look(np.random.default_rng(0)), size), 30.0, *size, gop=30)
    return Recording(recording.name, recording.keypoints, recording.classes, recording.labels, video=path)


BENCHMARKS: dict[str, Callable[[], dict]] = {
    "localizer_to_f1": bench_stage1.localizer_to_f1,
    "localizer_peak": bench_stage1.localizer_peak,
    "features": bench_stage1.features,
    "boosting": bench_stage1.boosting,
    "json_first_read": lambda: json_reads()["first"],
    "json_second_read": lambda: json_reads()["second"],
    "embed_loop": embed_loop,
    "decode": decode,
    "render": render_speed,
}
