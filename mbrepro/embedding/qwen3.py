"""Stage 2 with Qwen3-VL (Bai et al. 2025, arXiv 2511.21631), which takes some things otherwise than its predecessors.

It is told when each pair of frames was filmed in words, "<0.3 seconds>", and each pair has its own place in the prompt;
so there are no positions by the second. Its pixels are scaled to -1..1. What it adds to the first language layers
(deepstack) the library takes from the vision tower by itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import transformers

from mbrepro.embedding.packing import PatchLayout
from mbrepro.embedding.qwen import QwenVLEmbedder

VERSION = 1  # raise it when the prompt is put otherwise
# Every released checkpoint's; the least area is 4 tokens of 32 by 32 px.
INPUTS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "min_pixels": 64 * 64}
START, END = "<|vision_start|>", "<|vision_end|>"


class Qwen3VLEmbedder(QwenVLEmbedder):
    """As `QwenVLEmbedder`, with Qwen3-VL's own scaling of pixels and times in the prompt."""

    code: ClassVar[dict[str, str]] = {__name__: str(VERSION), **QwenVLEmbedder.code}

    @staticmethod
    def patch_layout(config: transformers.PretrainedConfig) -> PatchLayout:
        """The patch sizes of a checkpoint's vision tower."""
        return replace(QwenVLEmbedder.patch_layout(config), **INPUTS)

    def text(self, grid: Sequence[int], step_seconds: float) -> str:
        """The prompt about a clip, with the time before each step's place."""
        pad = self.tokenizer.convert_ids_to_tokens(self.config.video_token_id)
        return timed(super().text(grid, step_seconds), pad, grid[0], step_seconds)


def timed(text: str, pad: str, steps: int, step_seconds: float) -> str:
    """Divide a prompt's run of video tokens `pad` into `steps` places, each with its time before it.

    A step's time is the mean of its first and last frame's, the first frame being at 0 s; two frames are a step, so its
    middle lies a quarter of its length after its beginning. Follows `Qwen3VLProcessor` of transformers 5, which keeps
    the template's own marks around the whole (the processor of transformers 4.57 and vLLM drop that outer pair).
    """
    count = text.count(pad)
    places = [
        f"<{(step + 0.25) * step_seconds:.1f} seconds>{START}{pad * (count // steps)}{END}" for step in range(steps)
    ]
    return text.replace(pad * count, "".join(places))
