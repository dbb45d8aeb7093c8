"""What a device is worth to stage 2 before it starts: the speed of large matrix products on it."""

import torch
from torch.utils.benchmark import Timer

SIDE = 2048  # of the square matrices multiplied to measure a device
LEAST_S = 0.5


def measured_tflops(device: str, dtype: torch.dtype, side: int = SIDE) -> float:
    """10^12 operations a second of large matrix products on a device: what a forward pass reaches at best."""
    matrices = {name: torch.randn(side, side).to(device, dtype) for name in ("one", "other")}
    timer = Timer("one @ other", globals=matrices, num_threads=torch.get_num_threads())
    return 2 * side**3 / timer.blocked_autorange(min_run_time=LEAST_S).mean / 1e12
