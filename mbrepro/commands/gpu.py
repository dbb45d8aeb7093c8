"""`mbrepro gpu`: everything of this project that needs a GPU, in one run of a few minutes.

Each part is a function in `PARTS`; its figures are printed and written as soon as they are known. A part that fails
leaves its traceback in the file, and the others go on.
"""

import gc
import importlib
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree

import numpy as np
import torch
import typer
from sklearn.metrics import accuracy_score, f1_score

from mbrepro import artifacts, paths
from mbrepro.commands.throughput import FPS, Trial, apart, cutting, large_clips, peak_gb, random_embedder, speed
from mbrepro.commands.timing import cpu_model, in_turn, timed
from mbrepro.data.recordings import TASK1_CLASSES
from mbrepro.demo.simulated import DemoSettings, demo_dataset
from mbrepro.demo.standin.model import RELEASED
from mbrepro.embedding import checkpoint, cuda, load_embedder, lora
from mbrepro.embedding.asked import Asked
from mbrepro.embedding.embedder import PROMPT, STAND_IN, EmbedderSettings
from mbrepro.embedding.packing import PatchLayout, pack_clips
from mbrepro.embedding.standin import STAND_IN_PIXELS
from mbrepro.errors import InputError
from mbrepro.method import protocols
from mbrepro.method.heads import HeadSettings, fit_head
from mbrepro.study.finetune import labelled_clips

LIBRARIES = ("torch", "torchvision", "transformers", "peft", "numpy", "av", "opencv-python-headless", "scikit-learn")
PROCESSOR_TESTS = ("test_packing.py", "test_qwen3.py", "test_encoders.py")
GPU_ONLY = "no CUDA device: torch finds none here"


def command(
    out: Annotated[Path, typer.Option(help="the JSON file to write")] = Path("results/gpu.json"),
    parts: Annotated[list[str] | None, typer.Argument(help="which parts; all if none is named")] = None,
) -> None:
    """Measure, print and write; exit status 1 if a part failed."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Trial(Path(folder)), out, parts or list(PARTS))
    if any("failed" in figures for figures in found["parts"].values()):
        raise typer.Exit(1)


def measure(trial: Trial, out: Path, names: Sequence[str]) -> dict:
    """Run parts by name, write after each what is known, and return it; InputError for an unknown name."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise InputError(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    found = {"machine": machine(), "parts": {}}
    for name in names:
        start = time.perf_counter()
        found["parts"][name] = {**attempt(name, trial), "part_s": time.perf_counter() - start}
        artifacts.write_json(out, found)
        for key, value in flat(found["parts"][name]):
            print(f"{name:12} {key:60} {value}", flush=True)
    return found


def attempt(name: str, trial: Trial) -> dict:
    """A part's figures, the reason why it is skipped, or the traceback with which it failed."""
    work, needs_gpu = PARTS[name]
    if needs_gpu and trial.device == "cuda" and not torch.cuda.is_available():
        return {"skipped": GPU_ONLY}
    try:
        return work(trial)
    except Exception:  # a lent machine is there for minutes: what else can be measured is
        return {"failed": traceback.format_exc()}
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def machine() -> dict:
    """What the figures were measured on and with; None for a library that is not there."""
    there = torch.cuda.is_available()
    device = {"gpu": torch.cuda.get_device_name(), "gpu_gb": torch.cuda.mem_get_info()[1] / 1e9} if there else {}
    place = {"processor": cpu_model(), "cores": os.cpu_count(), "free_memory_gb": checkpoint.available_memory() / 1e9}
    return {**device, **place, "python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}}


def installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def flat(figures: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every value in nested figures with the path to it, for printing."""
    if isinstance(figures, dict):
        for key, value in figures.items():
            yield from flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, f"{figures:.6g}" if isinstance(figures, float) else str(figures)


@cache
def labelled(trial: Trial) -> tuple[list[lora.LabelledClip], list[lora.LabelledClip]]:
    """The corrected protocol's clips round the labelled bouts of simulated train and test recordings."""
    train, test = trial.recordings
    seconds = {"seconds": 40.0, "test_seconds": 40.0}
    settings = DemoSettings(train_recordings=train, test_recordings=test, filmed=train, **seconds)
    data, protocol = demo_dataset("task1", settings, trial.folder / "demo"), protocols.corrected(stand_in(trial))
    return labelled_clips(data, protocol), labelled_clips(replace(data, train=data.test, test=()), protocol)


def stand_in(trial: Trial, dtype: str = "float32", device: str = "") -> EmbedderSettings:
    """The stand-in's settings."""
    place = {"device": device or trial.device, "dtype": dtype}
    return EmbedderSettings(STAND_IN, max_pixels=STAND_IN_PIXELS, batch_size=8, **place)


def precision(trial: Trial) -> dict:
    """Half precision against float32: distances of the stand-in and of a large shape, and what a head makes of them."""
    train, test = labelled(trial)
    views = {}
    for dtype in ("float32", trial.half):
        embedder = load_embedder(stand_in(trial, dtype))
        views[dtype] = [embedder.embed([clip.frames for clip in part], FPS) for part in (train, test)]
    labels = [np.array([clip.label for clip in part]) for part in (train, test)]
    found: dict[str, Any] = {"train_clips": len(train), "test_clips": len(test)}
    pairs = {v: (views["float32"][1][v], views[trial.half][1][v]) for v in embedder.views}
    found["stand_in_cosine"] = {view: apart(*both) for view, both in pairs.items()}
    for view in ("video_100", "last_100"):
        guesses = {d: head_guess([part[view] for part in views[d]], labels) for d in views}
        found[f"head_{view}"] = {d: scores(guess, labels[1]) for d, guess in guesses.items()}
        found[f"head_{view}"]["named_otherwise"] = int((guesses["float32"] != guesses[trial.half]).sum())
    return found | {"large_cosine": large_precision(trial)}


def head_guess(rows: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> np.ndarray:
    """Classes (N,) that a linear head fitted on the train rows gives the test rows."""
    classes = int(max(map(max, labels))) + 1
    return fit_head(rows[0], labels[0], classes, HeadSettings(), 0).scores(rows[1]).argmax(1)


def scores(guess: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {"accuracy": accuracy_score(labels, guess), "macro_f1": f1_score(labels, guess, average="macro")}


def large_precision(trial: Trial, clips: int = 32) -> dict:
    """Distances of the largest shape's embeddings in half precision from those of the same weights in float32."""
    embedder = random_embedder(trial, next(iter(RELEASED)))
    chosen = large_clips(trial)[:clips]
    half = embedder.embed(chosen, FPS)
    embedder.model.float()
    return {view: apart(rows, half[view]) for view, rows in embedder.embed(chosen, FPS).items()}


def devices(trial: Trial) -> dict:
    """The stand-in on the GPU against the CPU, in float32: the largest difference, as a share of the CPU's spread."""
    clips = [clip.frames for clip in labelled(trial)[1]][:64]
    there, here = (load_embedder(stand_in(trial, device=place)) for place in (trial.device, "cpu"))
    expected = here.embed(clips, FPS)
    found: dict[str, Any] = {"clips": len(clips)}
    blocks = cuda.pack_clips_on(trial.device, clips, STAND_IN_PIXELS, PatchLayout())[0].cpu()
    found["packing_largest"] = float((blocks - pack_clips(clips, STAND_IN_PIXELS)[0]).abs().max())
    allowed = torch.backends.cudnn.allow_tf32
    for name, tf32 in (("as_it_is", allowed), ("without_tf32", False)):
        torch.backends.cudnn.allow_tf32 = tf32
        rows = there.embed(clips, FPS)
        found[name] = {v: float(np.abs(rows[v] - expected[v]).max() / expected[v].std()) for v in there.views}
    torch.backends.cudnn.allow_tf32 = allowed
    return found


def asking(trial: Trial, name: str = "Qwen2-VL-2B", batch_size: int = 8, shots: int = 3) -> dict:
    """Clips a second asked for all answers at once, and how far from asked one by one, as a share of their spread."""
    embedder, frames = random_embedder(trial, name, batch_size), large_clips(trial)[: 2 * batch_size]
    found, words = {"model": name, "batch_size": batch_size}, TASK1_CLASSES
    for count in (0, shots):
        shown = list(zip(frames, words[:count], strict=False))
        asked = Asked(embedder, PROMPT, words, shown)
        together = asked.embed(frames, FPS)["answers"]
        alone = [Asked(embedder, PROMPT, [word], shown).embed(frames, FPS)["answers"] for word in words]
        apart = np.abs(together - np.concatenate(alone, axis=1)).max() / together.std()
        seconds = timed(partial(asked.embed, frames, FPS))
        found[f"shots_{count}"] = {"clips_per_s": len(frames) / seconds, "largest": float(apart)}
    return found


def fine_tuning(trial: Trial, name: str = "Qwen2-VL-2B", batch_size: int = 4, steps: int = 5) -> dict:
    """Seconds of a LoRA step with a released shape, and the most memory (GB) the GPU held meanwhile."""
    settings, losses = lora.LoraSettings(batch_size=batch_size), []
    frames = large_clips(trial)[:batch_size]
    batch = [lora.LabelledClip(clip, k % 2, f"mouse{k}") for k, clip in enumerate(frames)]
    embedder = random_embedder(trial, name)
    adapted, head = lora.add_adapters(embedder, 2, settings)
    weights, optimizer = lora.learners(adapted, head, settings)

    def learn() -> None:
        losses.append(lora.step(embedder, head, batch, FPS, settings, optimizer, weights))

    learn()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    (seconds,) = in_turn("step", steps, lambda _: timed(learn))
    sizes = {"batch_size": batch_size, "learned": sum(weight.numel() for weight in weights)}
    return {"model": name, "step_s": seconds, "peak_gb": peak_gb(), "losses": losses, **sizes}


def processors(trial: Trial) -> dict:
    """The tests that compare with the library's own video and image processors: how many passed, failed, skipped."""
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        return {"skipped": f"torchvision cannot be imported: {error}"}
    files, report = [paths.SOURCE / "tests" / "embedding" / name for name in PROCESSOR_TESTS], trial.folder / "t.xml"
    command = [sys.executable, "-m", "pytest", "-m", "torchvision", "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run([*command, *files], cwd=paths.SOURCE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if not report.exists():
        raise RuntimeError(done.stdout.decode(errors="replace"))
    suite = next(ElementTree.parse(report).getroot().iter("testsuite")).attrib
    counts = {name: int(suite[name]) for name in ("tests", "failures", "errors", "skipped")}
    said = {"output": done.stdout.decode(errors="replace")[-6000:]} if done.returncode else {}
    return counts | said


# What each part does, and whether it is nothing without a GPU.
PARTS: dict[str, tuple[Callable[[Trial], dict], bool]] = {
    "devices": (devices, True),
    **{
        f"{name}{part}": (partial(work, name=name), True)
        for name in RELEASED
        for part, work in (("", speed), ("-cutting", cutting))
    },
    "precision": (precision, True),
    "asking": (asking, True),
    "fine_tuning": (fine_tuning, True),
    "processors": (processors, False),
}
