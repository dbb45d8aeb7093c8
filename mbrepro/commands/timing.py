"""How work is timed: sides in turn, on a machine that is named."""

import platform
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

REPETITIONS = 3


def cpu_model() -> str:
    """The processor's name as Linux gives it, or what Python knows of it elsewhere."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text(encoding="utf-8")) if info.exists() else []
    return [*names, platform.processor() or platform.machine()][0]


def in_turn(name: str, repetitions: int, *sides: Callable[[int], float]) -> list[float]:
    """Median of what each side returns, seconds, given the number of the repetition."""
    seconds = [[side(k) for side in sides] for k in tqdm(range(repetitions), desc=name, disable=None)]
    return np.median(seconds, axis=0).tolist()


def timed(work: Callable[[], object]) -> float:
    """Seconds that some work takes."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ratio(ours: float, theirs: float) -> dict:
    """Seconds of both sides and theirs / ours."""
    return {"ratio": theirs / ours, "ours_s": ours, "theirs_s": theirs}
