"""What stage 2 costs before it starts: tokens and operations of a clip, and the speed of the device at hand."""

import time

import torch

from mbrepro.data.clips import ClipSettings
from mbrepro.embedding import embedder_class
from mbrepro.embedding.embedder import EmbedderSettings

SIDE = 2048  # of the square matrices multiplied to measure a device
LEAST_S = 0.5


def clip_cost(settings: EmbedderSettings, clips: ClipSettings, frame: tuple[int, int]) -> tuple[int, float]:
    """Tokens of one clip, and 10^12 operations of a pass over it; see `ClipEmbedder.cost`.

    Raises InputError as `embedder_class` does.
    """
    return embedder_class(settings.model).cost(settings, clips, frame)


def measured_tflops(device: str, dtype: torch.dtype, side: int = SIDE) -> float:
    """10^12 operations a second of large matrix products on a device: what a forward pass reaches at best."""
    one, other = (torch.randn(side, side).to(device, dtype) for _ in range(2))
    _finished(one @ other)
    start, products = time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < LEAST_S:
        _finished(one @ other)
        products += 1
    return products * 2 * side**3 / seconds / 1e12


def _finished(product: torch.Tensor) -> None:
    if product.is_cuda:
        torch.cuda.synchronize()
