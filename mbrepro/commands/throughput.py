"""How fast a GPU embeds with the released models' shapes, and what limits it: parts of `mbrepro gpu`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForImageTextToText

from mbrepro.commands.bench import loop_against_forward, timed
from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import Recording
from mbrepro.data.video import write_video
from mbrepro.demo.simulated import DemoSettings, simulate_recording
from mbrepro.demo.simulated.cage import draw_look
from mbrepro.demo.simulated.frames import render
from mbrepro.demo.standin.model import RELEASED, released_config
from mbrepro.embedding import checkpoint, cost, load_embedder
from mbrepro.embedding.ahead import made_ahead
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.qwen import QwenVLEmbedder, clip_tflop
from mbrepro.embedding.standin import STAND_IN_WEIGHTS
from mbrepro.method.processes import side_by_side

LARGE = ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice", crop_pixels=224)
FPS = 8.0
BLOCK = 32  # clips cut together
PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}  # bf16 without sparsity, NVIDIA's data sheets


@dataclass(frozen=True)
class Trial:
    """How much is measured, and where; the defaults are for a GPU of 80 GB, smaller ones for a test on a CPU.

    half: the dtype compared with float32. smaller: values in place of the released language models' own. films,
    film_s, size: videos, their seconds and their px. batches: sizes of batches that are tried. side: of the matrices
    multiplied to measure the device. recordings: simulated ones for train and test of the head. compiled: whether
    torch.compile is tried too.
    """

    folder: Path
    device: str = "cuda"
    half: str = "bfloat16"
    smaller: tuple[tuple[str, int], ...] = ()
    films: int = 4
    film_s: float = 64.0
    size: tuple[int, int] = (1024, 570)
    pixels: int = 224
    batches: tuple[int, ...] = (8, 16, 32, 64)
    workers: tuple[int, ...] = (1, 8)
    side: int = 8192
    recordings: tuple[int, int] = (8, 6)
    compiled: bool = True


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
    return load_embedder(EmbedderSettings(str(folder), dtype=trial.half, device=trial.device, **size))


@cache
def films(trial: Trial) -> list[tuple[Recording, list[int]]]:
    """Films of a few seconds over and over, and a clip every two seconds: as far apart as the corrected protocol's."""
    jobs = [(film, trial.folder / f"film{k}.mp4", k, trial.film_s, trial.size) for k in range(1, trial.films + 1)]
    settings, made = shown(trial), side_by_side(jobs, "films", "film")
    step = round(settings.seconds * 30)
    return [(recording, list(range(0, len(recording) - step + 1, step))) for recording in made]


def film(path: Path, number: int, seconds: float, size: tuple[int, int], drawn: int = 120) -> Recording:
    """A simulated recording whose first frames are drawn and repeated until its end: drawing is what takes time."""
    made, poses = simulate_recording("task1", f"mouse{number:03d}_task1_annotator1", DemoSettings(seconds=seconds))
    pictures = list(render(poses[:drawn], draw_look(np.random.default_rng(number)), size))
    write_video(path, islice(cycle(pictures), len(made)), 30.0, *size, gop=30)
    keypoints = np.resize(made.keypoints[:drawn], made.keypoints.shape)
    return Recording(made.name, keypoints, made.classes, made.labels, video=path)


def shown(trial: Trial) -> ClipSettings:
    """The large models' clips."""
    return replace(LARGE, crop_pixels=trial.pixels)


@cache
def large_clips(trial: Trial) -> list[np.ndarray]:
    """The clips of all films, in memory."""
    return [clip for recording, starts in films(trial) for clip in cut_clips(recording, starts, shown(trial))]


@cache
def peaks(trial: Trial) -> dict[str, float]:
    """10^12 operations a second of the device: of a matrix product measured now, and by its data sheet if known."""
    measured = cost.measured_tflops(trial.device, getattr(torch, trial.half), side=trial.side)
    known = [peak for name, peak in PEAK_TFLOPS.items() if name in gpu_name()]
    return {"matmul_tflops": measured, **({"sheet_tflops": known[0]} if known else {})}


def gpu_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def speed(trial: Trial, name: str) -> dict:
    """Clips a second and share of the device's peak with random weights in a released shape.

    By size of batch; with the best, against the bare pass, behind real decoding, and without `embedding.cuda`; and what
    the time goes into.
    """
    clips, begun = large_clips(trial), time.perf_counter()
    embedder = random_embedder(trial, name)
    found = {"loaded_s": time.perf_counter() - begun, **peaks(trial)}
    tokens = int(embedder.prepare(clips[:1], FPS)["video_grid_thw"].prod()) // embedder.layout.merge**2
    found |= {"tokens_per_clip": tokens, "tflop_per_clip": clip_tflop(embedder.config, tokens)}
    share = partial(shares, found)
    found["batches"] = {size: share(**at_size(embedder, clips, size)) for size in trial.batches}
    best = max(found["batches"], key=lambda size: found["batches"][size]["clips_per_s"])
    resize(embedder, best)
    found["best_batch"] = best
    found["profile"] = profiled(lambda: embedder.embed(clips[:best], FPS))
    found["loop"] = loop_against_forward(embedder, clips, 2)
    found["decoding"] = decoding(trial, embedder, share)
    found["library"] = share(clips_per_s=library_way(embedder, clips[:best]))
    return found


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


def decoding(trial: Trial, embedder: QwenVLEmbedder, share: Callable[..., dict[str, float]]) -> dict:
    """Clips a second that are cut from films, and embedded while some blocks of the next are being cut."""
    blocks = [
        (recording, starts[first : first + BLOCK])
        for recording, starts in films(trial)
        for first in range(0, len(starts), BLOCK)
    ]

    def cut(block: tuple[Recording, list[int]]) -> list[np.ndarray]:
        return cut_clips(block[0], block[1], shown(trial))

    def embed(jobs: list[tuple[Recording, list[int]]], workers: int) -> None:
        for clips in made_ahead(cut, jobs, workers):
            embedder.embed(clips, FPS)

    found = {"block": BLOCK, "cut_clips_per_s": len(blocks[0][1]) / timed(lambda: cut(blocks[0]))}
    for workers in trial.workers:
        jobs = list(islice(cycle(blocks), 3 * workers))
        seconds = timed(partial(embed, jobs, workers))
        found[f"ahead_{workers}"] = share(clips_per_s=sum(len(starts) for _, starts in jobs) / seconds)
    return found


def profiled(work: Callable[[], object], most: int = 14) -> dict:
    """Seconds of some work, how long the GPU computed meanwhile, and the operations it did longest (ms)."""
    there = torch.cuda.is_available()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if there else [])]
    work()
    alone = timed(work)
    with profile(activities=kinds) as seen:
        timed(work)
    spent = lambda event: event.self_device_time_total if there else event.self_cpu_time_total  # noqa: E731
    events = seen.key_averages()
    steps = sorted((e for e in events if e.key.startswith("aten::")), key=spent, reverse=True)
    kernels = sorted((e for e in events if "CUDA" in str(e.device_type)), key=spent, reverse=True)
    listed = {
        what: {e.key[:90]: [round(spent(e) / 1e3, 3), e.count] for e in part[:most]}
        for what, part in (("operations_ms", steps), ("kernels_ms", kernels))
    }
    return {"s": alone, "gpu_busy_s": sum(map(spent, kernels)) / 1e6, **listed}


def library_way(embedder: QwenVLEmbedder, clips: Sequence[np.ndarray]) -> float:
    """Clips a second as it would be without `embedding.cuda`; afterwards the embedder is as before."""
    ours = embedder.on_gpu
    embedder.use_gpu(False)
    embedder.embed(clips[:2], FPS)
    rate = len(clips) / timed(lambda: embedder.embed(clips, FPS))
    embedder.use_gpu(ours)
    return rate


def compiled(trial: Trial) -> dict:
    """What torch.compile of every block and layer would add, and take."""
    if not trial.compiled:
        return {"skipped": "not asked for"}
    clips, name = large_clips(trial), next(iter(RELEASED))
    embedder = random_embedder(trial, name, 32)
    embedder.embed(clips[:32], FPS)
    before = len(clips) / timed(lambda: embedder.embed(clips, FPS))
    views = embedder.embed(clips[:32], FPS)
    base = embedder.model.model
    for layer in (*base.visual.blocks, *base.language_model.layers):
        layer.forward = torch.compile(layer.forward)
    compiling = timed(lambda: embedder.embed(clips[:32], FPS))
    after = len(clips) / timed(lambda: embedder.embed(clips, FPS))
    distances = {view: apart(rows, views[view]) for view, rows in embedder.embed(clips[:32], FPS).items()}
    return {"clips_per_s": after, "eager_clips_per_s": before, "compiling_s": compiling, "cosine": distances}


def apart(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Cosine distances of paired rows (N, D): largest and median."""
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in map(np.float64, (one, other)))
    distances = 1 - (one * other).sum(1)
    return {"largest": float(distances.max()), "median": float(np.median(distances))}
