"""The control embedder that looks and has learnt nothing: a clip's pictures themselves, grey and tiny."""

from collections.abc import Sequence

import cv2
import numpy as np

from mbrepro.artifacts import versions
from mbrepro.data.clips import ClipSettings
from mbrepro.embedding.embedder import PIXELS, EmbedderSettings
from mbrepro.embedding.packing import check_clip

VERSION = 1  # raise it when a view holds other values
SIDE = 16  # px to which pictures are shrunk, each px the mean of the area it covers


class PixelEmbedder:
    """Grey values of 16 x 16 px, 0 to 1, row by row; of the settings only the model's name is used.

    Views: "mean" of each px over the clip's frames, and "mean_sd", those followed by each px's sd over the frames: the
    trace of what moved.
    """

    takes = "pixels"
    views = ("mean", "mean_sd")

    def __init__(self, settings: EmbedderSettings):
        self.settings = settings
        self.identity = {"model": PIXELS, __name__: str(VERSION), **versions(np, cv2)}

    @classmethod
    def check(cls, settings: EmbedderSettings, memory: bool = True) -> None:
        """Nothing to be found, and little memory needed."""

    @classmethod
    def cost(cls, settings: EmbedderSettings, clips: ClipSettings, frame: tuple[int, int]) -> tuple[int, float]:
        """No tokens, and too few operations to count."""
        return 0, 0.0

    def embed(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, np.ndarray]:
        """See `ClipEmbedder`; InputError for what is no clip."""
        grey = [shrunk(clip) for clip in clips]
        mean = np.array([pictures.mean(0) for pictures in grey], np.float32).reshape(-1, SIDE**2)
        sd = np.array([pictures.std(0) for pictures in grey], np.float32).reshape(-1, SIDE**2)
        return {"mean": mean, "mean_sd": np.concatenate([mean, sd], 1)}


def shrunk(clip: np.ndarray) -> np.ndarray:
    """(F, `SIDE` * `SIDE`) float64 grey values, 0 to 1, of an (F, H, W, 3) uint8 clip; InputError for what is none."""
    check_clip(clip)
    size = (SIDE, SIDE)
    grey = [cv2.resize(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for p in clip]
    return np.stack(grey).reshape(len(clip), -1) / 255
