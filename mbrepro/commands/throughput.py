"""How fast a GPU embeds with the released models' shapes, and what limits it: parts of `mbrepro gpu`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from transformers import AutoModelForImageTextToText

from mbrepro.commands.bench import loop_against_forward
from mbrepro.commands.timing import timed
from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import FPS as FILMED_FPS
from mbrepro.data.recordings import Recording
from mbrepro.data.video import write_video
from mbrepro.demo.simulated import DemoSettings, simulate_recording
from mbrepro.demo.simulated.cage import draw_look
from mbrepro.demo.simulated.frames import render
from mbrepro.demo.standin.model import released_config
from mbrepro.embedding import checkpoint, cost, embedder_class
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.qwen import QwenVLEmbedder, clip_tflop
from mbrepro.embedding.standin import STAND_IN_WEIGHTS
from mbrepro.embedding.store import cut_together, embed_recording

LARGE = ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice", crop_pixels=224)
FPS = 8.0
PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}  # bf16 without sparsity, NVIDIA's data sheets


@dataclass(frozen=True)
class Trial:
    """How much is measured, and where; the defaults are for a GPU of 80 GB, smaller ones for a test on a CPU.

    half: the dtype compared with float32. smaller: values in place of the released language models' own. film_s,
    drawn, size: a video's seconds, its different frames and its px. clips: that are in memory. batches: sizes of
    batches that are tried; batch: where none are. workers: numbers of processes that cut. side: of the
    matrices multiplied to measure the device. recordings: simulated ones for train and test of the head.
    """

    folder: Path
    device: str = "cuda"
    half: str = "bfloat16"
    smaller: tuple[tuple[str, int], ...] = ()
    film_s: float = 512.0
    drawn: int = 480
    size: tuple[int, int] = (1024, 570)
    pixels: int = 224
    clips: int = 128
    batches: tuple[int, ...] = (8, 16, 32, 64)
    batch: int = 32
    workers: tuple[int, ...] = (8, 12, 16)
    side: int = 8192
    recordings: tuple[int, int] = (8, 6)


def random_embedder(trial: Trial, name: str, batch_size: int = 8) -> QwenVLEmbedder:
    """An embedder with random weights in a released model's shape, of `RELEASED`, and the stand-in's tokenizer."""
    folder = trial.folder / name
    if not folder.exists():
        tokenizer = checkpoint.load_tokenizer(STAND_IN_WEIGHTS)
        config = released_config(tokenizer, name, **dict(trial.smaller))
        torch.manual_seed(0)
        with torch.device(trial.device):
            model = AutoModelForImageTextToText.from_config(config, dtype=getattr(torch, trial.half))
        checkpoint.save_checkpoint(model, tokenizer, folder)
        del model
    size = {"max_pixels": trial.pixels**2, "batch_size": batch_size}
    kind: type[Any] = embedder_class(str(folder))  # a Qwen-VL, as all of `RELEASED`
    return kind(EmbedderSettings(str(folder), dtype=trial.half, device=trial.device, **size))


released = lru_cache(maxsize=1)(random_embedder)  # for parts that leave it as it is


@cache
def film(trial: Trial) -> tuple[Recording, list[int]]:
    """A simulated recording, its first frames drawn and repeated to its end, and clips as far apart as they last."""
    made, poses = simulate_recording("task1", "mouse001_task1_annotator1", DemoSettings(seconds=trial.film_s))
    few, path, settings = trial.folder / "few.mp4", trial.folder / "film.mp4", shown(trial)
    pictures = render(poses[: trial.drawn], draw_look(np.random.default_rng(1)), trial.size)
    write_video(few, pictures, FILMED_FPS, *trial.size, gop=30)
    repeat_video(few, path, -(-len(made) // trial.drawn))
    keypoints = np.resize(made.keypoints[: trial.drawn], made.keypoints.shape)
    step = round(settings.seconds * FILMED_FPS)
    starts = list(range(0, len(made) - step + 1, step))
    return Recording(made.name, keypoints, made.classes, made.labels, video=path), starts


def repeat_video(path: Path, out: Path, times: int) -> None:
    """Write a video that shows another several times, without encoding it again, which would take minutes."""
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [(packet, packet.pts, packet.dts) for packet in source.demux(video=0) if packet.size]
        length = sum(packet.duration for packet, _, _ in packets)
        for k in range(times):
            for packet, pts, dts in packets:
                packet.pts, packet.dts, packet.stream = pts + k * length, dts + k * length, stream
                target.mux(packet)


def shown(trial: Trial) -> ClipSettings:
    """The large models' clips."""
    return replace(LARGE, crop_pixels=trial.pixels)


@cache
def large_clips(trial: Trial) -> list[np.ndarray]:
    """Clips of the film, in memory."""
    recording, starts = film(trial)
    return cut_clips(recording, starts[: trial.clips], shown(trial))


@cache
def peaks(trial: Trial) -> dict[str, float]:
    """10^12 operations a second of the device: of a matrix product measured now, and by its data sheet if known."""
    measured = cost.measured_tflops(trial.device, getattr(torch, trial.half), side=trial.side)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    known = [peak for name, peak in PEAK_TFLOPS.items() if name in gpu]
    return {"matmul_tflops": measured, **({"sheet_tflops": known[0]} if known else {})}


def speed(trial: Trial, name: str) -> dict:
    """Clips a second and share of the device's peak with random weights in a released shape.

    By size of batch; with the best, against the bare pass and without `embedding.cuda`.
    """
    clips, begun = large_clips(trial), time.perf_counter()
    embedder = released(trial, name)
    found: dict[str, Any] = {"loaded_s": time.perf_counter() - begun, **asked(trial, embedder)}
    share = partial(shares, found)
    found["batches"] = {size: share(**at_size(embedder, clips, size)) for size in trial.batches}
    best = max(found["batches"], key=lambda size: found["batches"][size]["clips_per_s"])
    resize(embedder, best)
    found["best_batch"] = best
    found["loop"] = loop_against_forward(embedder, clips, 2)
    found["library"] = share(clips_per_s=library_way(embedder, clips[:best]))
    return found


def asked(trial: Trial, embedder: QwenVLEmbedder) -> dict[str, float]:
    """What a clip asks of the device, and what that has."""
    tokens = int(embedder.prepare(large_clips(trial)[:1], FPS)["video_grid_thw"].prod()) // embedder.layout.merge**2
    return peaks(trial) | {"tokens_per_clip": tokens, "tflop_per_clip": clip_tflop(embedder.config, tokens)}


def shares(device: dict[str, float], clips_per_s: float, **others: float) -> dict[str, float]:
    """What a rate is of the device's measured matrix product and of its data sheet."""
    reached = clips_per_s * device["tflop_per_clip"]
    of = {f"share_of_{k}": reached / device[f"{k}_tflops"] for k in ("matmul", "sheet") if f"{k}_tflops" in device}
    return {"clips_per_s": clips_per_s, "tflops": reached, **of, **others}


def resize(embedder: QwenVLEmbedder, batch_size: int) -> None:
    """Let an embedder that is loaded embed so many clips at a time."""
    embedder.settings = replace(embedder.settings, batch_size=batch_size)


def at_size(embedder: QwenVLEmbedder, clips: Sequence[np.ndarray], size: int) -> dict:
    """Clips a second in batches of a size, and the most memory (GB) the GPU held meanwhile."""
    resize(embedder, size)
    clips = list(clips) * -(-2 * size // len(clips))
    embedder.embed(clips[:size], FPS)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(lambda: embedder.embed(clips, FPS))
    return {"clips_per_s": len(clips) / seconds, "peak_gb": peak_gb()}


def peak_gb() -> float:
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0


def cutting(trial: Trial, name: str) -> dict:
    """Clips a second that are cut from a film, and that come from it into a new store, by the processes that cut."""
    (recording, starts), embedder, settings = film(trial), released(trial, name), shown(trial)
    resize(embedder, trial.batch)
    embedder.embed(large_clips(trial)[: trial.batch], FPS)
    found: dict[str, Any] = asked(trial, embedder) | {"clips": len(starts)}
    for workers in (1, *trial.workers):
        few, cut = starts[: 8 * workers], partial(cut_together, recording, settings=settings, workers=workers)
        list(cut([few[:workers]]))  # until they have started
        found[f"cut_by_{workers}_clips_per_s"] = len(few) / timed(partial(list, cut([few])))
    for workers in trial.workers:
        what = recording, starts, settings, embedder, trial.folder / f"{name}-{workers}"
        seconds = timed(partial(embed_recording, *what, workers=workers))
        found[f"stored_from_{workers}"] = shares(found, len(starts) / seconds)
    return found


def library_way(embedder: QwenVLEmbedder, clips: Sequence[np.ndarray]) -> float:
    """Clips a second as it would be without `embedding.cuda`; afterwards the embedder is as before."""
    ours = embedder.on_gpu
    embedder.use_gpu(False)
    embedder.embed(clips[:2], FPS)
    rate = len(clips) / timed(lambda: embedder.embed(clips, FPS))
    embedder.use_gpu(ours)
    return rate


def apart(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Cosine distances of paired rows (N, D): largest and median."""
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in map(np.float64, (one, other)))
    distances = 1 - (one * other).sum(1)
    return {"largest": float(distances.max()), "median": float(np.median(distances))}
