"""Speed of what this project does against what it replaces, on the same data in the same run: `make bench`.

Each benchmark is a function in `BENCHMARKS`; its figures go under its name into results/bench.json, where the figures
of the others are kept. A ratio is theirs / ours, larger is better for us.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from mbrepro import artifacts
from mbrepro.commands import bench_clips, bench_reading
from mbrepro.data.recordings import Recording
from mbrepro.errors import InputError
from mbrepro.method.localizer import (
    LOCALIZER,
    PUBLISHED_BATCH,
    LocalizerSettings,
    PoseCNN,
    action_targets,
    pose_features,
)
from mbrepro.method.training import train_epoch

REPETITIONS = 3


def localizer_epoch(recordings: int = 8, frames: int = 2700) -> dict:
    """Seconds of a training epoch: windows of ±100 frames in batches of 128 (theirs) against dense crops (ours).

    Both train the same PyTorch network on the same random-walk poses and visit every frame once. The figures are
    medians of `REPETITIONS` alternating epochs, so that a busy machine slows both alike.
    """
    made = [random_recording(f"random{k}", frames, seed=k) for k in range(recordings)]
    settings = LOCALIZER
    seconds = {"ours_s": [], "theirs_s": []}
    for seed in tqdm(range(REPETITIONS), desc="localizer_epoch", disable=None):
        seconds["ours_s"].append(_epoch_seconds(train_epoch, made, settings, seed))
        seconds["theirs_s"].append(_epoch_seconds(windowed_epoch, made, settings, seed))
    ours, theirs = float(np.median(seconds["ours_s"])), float(np.median(seconds["theirs_s"]))
    return {
        "ratio": theirs / ours,
        "ours_s": ours,
        "theirs_s": theirs,
        "frames": recordings * frames,
        "torch_threads": torch.get_num_threads(),
        "machine": cpu_model(),
    }


def json_first_read() -> dict:
    """Time and peak memory of reading CalMS21's training file for the first time: json.load with numpy against ours.

    See `bench_reading.compare`, whose one run gives these figures and those of `json_second_read`.
    """
    return _json_reads()["first"] | {"machine": cpu_model()}


def json_second_read() -> dict:
    """As `json_first_read`, once our reader has stored the file's arrays."""
    return _json_reads()["second"] | {"machine": cpu_model()}


def embed_loop() -> dict:
    """Stage 2's loop against the bare forward pass on the same packed inputs; see `bench_clips.embed_loop`."""
    return bench_clips.embed_loop() | {"machine": cpu_model()}


def decode() -> dict:
    """Cutting clips against decoding only the groups of pictures they need; see `bench_clips.decode`."""
    return bench_clips.decode() | {"machine": cpu_model()}


def render() -> dict:
    """Frames of the demo drawn a second; see `bench_clips.render_speed`."""
    return bench_clips.render_speed() | {"machine": cpu_model()}


@cache
def _json_reads() -> dict[str, dict]:
    return bench_reading.compare(REPETITIONS)


BENCHMARKS: dict[str, Callable[[], dict]] = {
    "localizer_epoch": localizer_epoch,
    "json_first_read": json_first_read,
    "json_second_read": json_second_read,
    "embed_loop": embed_loop,
    "decode": decode,
    "render": render,
}


def random_recording(name: str, frames: int, seed: int) -> Recording:
    """Poses that wander over the frame as a random walk, with labels drawn anew every second."""
    rng = np.random.default_rng(seed)
    centre = np.cumsum(rng.normal(0, 3, (frames, 2, 1, 2)), axis=0) + np.array([512, 285])
    labels = np.repeat(rng.integers(0, 4, frames // 30 + 1), 30)[:frames]
    return Recording(name, centre + rng.normal(0, 40, (1, 2, 7, 2)), labels=labels)


def windowed_epoch(
    model: PoseCNN,
    optimizer: torch.optim.Optimizer,
    recordings: Sequence[Recording],
    targets: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> float:
    """One epoch as published: every frame's own window, shuffled, 128 a step; returns the mean loss of its steps."""
    before, after = model.settings.context_before, model.settings.context_after
    padded = [np.pad(pose_features(recording), ((before, after), (0, 0))) for recording in recordings]
    lengths = [len(recording) for recording in recordings]
    firsts = np.concatenate([np.arange(n) + k for n, k in zip(lengths, _offsets(map(len, padded)), strict=True)])
    samples = np.arange(model.settings.samples) * model.settings.step
    features, labels = np.concatenate(padded), np.concatenate(targets)
    order, losses = rng.permutation(len(firsts)), []
    model.train()
    model.input_norm.train()  # by each batch's own statistics, as published
    for first in range(0, len(order), PUBLISHED_BATCH):
        batch = order[first : first + PUBLISHED_BATCH]
        windows = torch.from_numpy(features[firsts[batch, None] + samples]).transpose(1, 2).contiguous()
        optimizer.zero_grad()
        loss = F.cross_entropy(model.forward_windows(windows), torch.from_numpy(labels[batch]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _offsets(lengths: Iterable[int]) -> list[int]:
    """Where each part begins once parts of these lengths are joined."""
    return [0, *accumulate(lengths)][:-1]


def _epoch_seconds(epoch: Callable, recordings: Sequence[Recording], settings: LocalizerSettings, seed: int) -> float:
    torch.manual_seed(seed)
    model = PoseCNN(settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    targets = [action_targets(recording) for recording in recordings]
    start = time.perf_counter()
    epoch(model, optimizer, recordings, targets, np.random.default_rng(seed))
    return time.perf_counter() - start


def cpu_model() -> str:
    """The processor's name as Linux gives it, or what Python knows of it elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def measure(names: Sequence[str], path: Path) -> dict:
    """Run benchmarks by name and merge their figures into the JSON file; returns the new figures.

    Raises InputError for an unknown name, or a file that is there and is no JSON object.
    """
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise InputError(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    _stored(path)  # refuse a damaged file before minutes of measuring
    figures = {name: BENCHMARKS[name]() for name in names}
    artifacts.write_json(path, _stored(path) | figures)
    return figures


def _stored(path: Path) -> dict:
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: this is not JSON; remove it and measure again") from error
    if not isinstance(stored, dict):
        raise InputError(f"{path}: this is not a JSON object; remove it and measure again")
    return stored


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: python -m mbrepro.bench [NAME …] [--out FILE]."""
    parser = argparse.ArgumentParser(prog="python -m mbrepro.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)}; default all")
    parser.add_argument("--out", type=Path, default=Path("results/bench.json"), help="the JSON file to merge into")
    chosen = parser.parse_args(arguments)
    try:
        figures = measure(chosen.names or list(BENCHMARKS), chosen.out)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(figures, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
