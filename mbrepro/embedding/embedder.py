"""What a clip embedder is, and how one is chosen by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mbrepro import poster
from mbrepro.errors import InputError

POSTER_PIXELS = 360 * 420
STAND_IN = "stand-in"
POOLINGS = ("last", "mean_video", "vision")
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class EmbedderSettings:
    """Everything a user chooses about stage 2, checked when it is made.

    model: "stand-in" (shipped with the package), a hub id such as "Qwen/Qwen2.5-VL-3B-Instruct", or a local folder.
    prompt: the question asked about each clip. The default is the poster's (Douglas 2025).
    max_pixels: bound on the area of a frame as the model sees it, px. The default is the poster code's 360 x 420.
    layer: index into the language model's hidden states; 0 is the input embedding, -1 the last layer after its norm.
    pooling: "last" the prompt's last token (the poster's choice), "mean_video" the mean over the video tokens, "vision"
    the mean of the vision tower's merged tokens, which never enter the language model.
    device: "cpu", "cuda" or "auto", a GPU if there is one. dtype: "auto" is float32 on a CPU and bfloat16, in which the
    checkpoints are released, on a GPU; a CPU takes float32 only, bfloat16 being several times slower there.
    batch_size: clips in one forward pass.

    Raises InputError naming the setting that is wrong.
    """

    model: str = STAND_IN
    prompt: str = poster.PROMPT
    max_pixels: int = POSTER_PIXELS
    layer: int = -1
    pooling: str = "last"
    dtype: str = "float32"
    device: str = "cpu"
    batch_size: int = 4

    def __post_init__(self):
        if not self.model:
            raise InputError("model is empty: give stand-in, a hub id such as Qwen/Qwen2.5-VL-3B-Instruct, or a folder")
        if not self.prompt.strip():
            raise InputError("prompt is empty: ask the model something about the clip")
        if self.pooling not in POOLINGS:
            raise InputError(f"pooling must be one of {', '.join(POOLINGS)}, not {self.pooling!r}")
        if self.pooling == "vision" and self.layer != -1:
            raise InputError(
                f"layer {self.layer} chooses a layer of the language model, which pooling 'vision' never enters: "
                "leave layer at -1 or choose another pooling"
            )
        if self.dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join(DTYPES)}, not {self.dtype!r}")
        for name in ("max_pixels", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")


class ClipEmbedder(Protocol):
    """Turns clips into vectors and sentences.

    width: length of an embedding. identity: plain values that together decide every byte of the output (weights,
    library versions, settings), for the keys of stored embeddings.
    """

    settings: EmbedderSettings
    width: int
    identity: dict[str, object]

    def embed(self, clips: Sequence[np.ndarray], fps: float) -> np.ndarray:
        """Embed clips of (F, H, W, 3) uint8 RGB frames sampled at `fps`; (N, width) float32, in the clips' order."""

    def caption(self, clips: Sequence[np.ndarray], fps: float, max_new_tokens: int = 80) -> list[str]:
        """Answer the prompt for each clip, choosing the most probable token each time."""
