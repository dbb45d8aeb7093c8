"""What a clip embedder is, and what is chosen about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Recording
from mbrepro.errors import InputError

POSTER_PIXELS = 360 * 420
PROMPT = "what are the two mice doing in this video"  # the poster's question (Douglas 2025)
STAND_IN = "stand-in"
CONTROLS = POSES, PIXELS = "poses", "pixels"  # need no checkpoint
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class EmbedderSettings:
    """Everything a user chooses about stage 2, checked when it is made.

    model: "stand-in" (shipped with the package), "poses", "pixels", a local folder, or a model on the hub as ID@COMMIT;
    ids such as "Qwen/Qwen2.5-VL-3B-Instruct", which are in `checkpoint.PINNED`, need no commit.
    prompt: the question asked about each clip. The default is the poster's (Douglas 2025).
    max_pixels: bound on the area of a frame as the model sees it, px. The default is the poster code's 360 x 420.
    device: "cpu", "cuda" or "auto", a GPU if there is one. dtype: "auto" is float32 on a CPU and bfloat16, in which the
    checkpoints are released, on a GPU; a CPU takes float32 only, bfloat16 being several times slower there.
    batch_size: clips in one forward pass.

    Raises InputError naming the setting that is wrong.
    """

    model: str = STAND_IN
    prompt: str = PROMPT
    max_pixels: int = POSTER_PIXELS
    dtype: str = "float32"
    device: str = "cpu"
    batch_size: int = 4

    def __post_init__(self) -> None:
        if not self.model:
            raise InputError("model is empty: give stand-in, a hub id such as Qwen/Qwen2.5-VL-3B-Instruct, or a folder")
        if not self.prompt.strip():
            raise InputError("prompt is empty: ask the model something about the clip")
        if self.dtype not in DTYPES:
            raise InputError(f"dtype must be one of {', '.join(DTYPES)}, not {self.dtype!r}")
        for name in ("max_pixels", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")


class ClipEmbedder(Protocol):
    """Turns clips into vectors; made from settings, which loads the model. `mbrepro.embedding.EMBEDDERS` lists them.

    takes: "pixels", or "poses" of an embedder that has `embed_poses(recording, frames)` in place of `embed`.
    views: names of what one pass over a clip gives, in a fixed order; a protocol chooses one of them.
    identity: plain values that together decide every byte of the output (weights, library versions, settings), for the
    keys of stored embeddings.
    """

    takes: str
    settings: EmbedderSettings
    views: tuple[str, ...]
    identity: dict[str, object]

    def __init__(self, settings: EmbedderSettings) -> None: ...

    @classmethod
    def check(cls, settings: EmbedderSettings, memory: bool = True) -> None:
        """Raise InputError as making one would, for what can be told at once: hours may lie before the loading.

        A model on the hub is asked for its configuration alone; of a folder the weights have to be there too, and with
        `memory` have to fit into this machine's.
        """

    @classmethod
    def cost(cls, settings: EmbedderSettings, clips: ClipSettings, frame: tuple[int, int]) -> tuple[int, float]:
        """Tokens of a clip of (height, width) px frames, and 10^12 operations of a pass, by the configuration."""

    def embed(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, np.ndarray]:
        """Embed clips of (F, H, W, 3) uint8 RGB frames sampled at `fps`, in one forward pass a batch.

        Returns view → (N, D) float32 in the clips' order. Batches are consecutive clips.
        """


@runtime_checkable
class PosesEmbedder(Protocol):
    """A `ClipEmbedder` that takes poses."""

    def embed_poses(self, recording: Recording, clips: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """In place of `embed`, of clips given as (F,) frames of the recording."""


def picture_shape(clips: ClipSettings, frame: tuple[int, int]) -> tuple[int, int]:
    """(height, width), px, of a clip's pictures, cut from frames of (height, width) px."""
    return frame if clips.crop == "frame" else (clips.crop_pixels, clips.crop_pixels)
