"""Frames to the patches that Qwen2-VL and Qwen2.5-VL read, without torchvision.

Follows `Qwen2VLVideoProcessor` of transformers, which cannot be imported where torchvision is missing: resize to
multiples of a merged cell within pixel bounds, bicubic on the 8-bit values with antialiasing, normalise, and cut into
blocks of two frames by 14 by 14 px, ordered so that the four blocks merged into one token are neighbours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch.nn import functional as F
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from mbrepro.errors import InputError

VERSION = 1  # raise it when frames are packed otherwise


@dataclass(frozen=True)
class PatchLayout:
    """Sizes a checkpoint's vision tower fixes, and its input normalisation.

    patch: px along a side. frames: frames in a block. merge: blocks along a side of one token. mean, std: of the RGB
    channels in 0..1, those of CLIP (Radford et al. 2021), which every Qwen2-VL and Qwen2.5-VL checkpoint uses.
    min_pixels: the least area of a frame, the checkpoints' 4 tokens.
    """

    patch: int = 14
    frames: int = 2
    merge: int = 2
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    min_pixels: int = 56 * 56


def check_clip(clip: np.ndarray) -> None:
    """Raise InputError unless `clip` is (F, H, W, 3) uint8 with at least one frame."""
    if not isinstance(clip, np.ndarray) or clip.ndim != 4 or clip.shape[-1] != 3 or clip.dtype != np.uint8:
        found = f"{clip.dtype} {clip.shape}" if isinstance(clip, np.ndarray) else type(clip).__name__
        raise InputError(f"a clip must be (frames, height, width, 3) uint8, not {found}")
    if 0 in clip.shape:
        raise InputError(f"a clip of shape {clip.shape} has no picture in it")


def resized_shape(height: int, width: int, max_pixels: int, layout: PatchLayout = PatchLayout()) -> tuple[int, int]:
    """Height and width, px, at which a frame is shown: multiples of a token's side, close to the aspect, in bounds.

    Raises InputError if the bound leaves no room for the least size, or the frame is more than 200 times as long as
    it is wide.
    """
    if max_pixels < layout.min_pixels:
        raise InputError(f"max_pixels is {max_pixels}, below the {layout.min_pixels} px that the model needs")
    if max(height, width) > 200 * min(height, width):
        raise InputError(f"a frame of {width} x {height} px is too long and thin for the model")
    return smart_resize(height, width, layout.patch * layout.merge, layout.min_pixels, max_pixels)


def resize_frames(clip: np.ndarray, max_pixels: int, layout: PatchLayout = PatchLayout()) -> torch.Tensor:
    """Resize (F, H, W, 3) uint8 frames to (F, 3, h, w) uint8 as the model will see them."""
    check_clip(clip)
    frames = torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2)
    height, width = frames.shape[-2:]
    shape = resized_shape(height, width, max_pixels, layout)
    if shape != (height, width):
        # On uint8 torch rounds as torchvision does; on float the result differs by up to one level.
        frames = F.interpolate(frames, size=shape, mode="bicubic", antialias=True, align_corners=False)
    return frames


@cache
def _normalisation(layout: PatchLayout) -> tuple[np.ndarray, np.ndarray]:
    mean, std = (np.float32(values).reshape(1, 3, 1) * np.float32(255) for values in (layout.mean, layout.std))
    return mean, std


def grid_of(frames: torch.Tensor, layout: PatchLayout = PatchLayout()) -> tuple[int, int, int]:
    """Blocks of (F, 3, h, w) frames in time, down and across; an odd last frame has a block of its own."""
    return -(-len(frames) // layout.frames), frames.shape[2] // layout.patch, frames.shape[3] // layout.patch


def patchify(frames: torch.Tensor, layout: PatchLayout = PatchLayout()) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalise and cut (F, 3, h, w) uint8 frames; an odd last frame is repeated to fill its block.

    Returns (t * gh * gw, 3 * frames * patch * patch) float32 blocks and the grid (t, gh, gw), int64.
    """
    grid = grid_of(frames, layout)
    blocks = np.empty((math.prod(grid), 3, layout.frames * layout.patch**2), np.float32)
    _patchify_into(blocks, frames, layout)
    return torch.from_numpy(blocks).flatten(1), torch.tensor(grid)


def _patchify_into(blocks: np.ndarray, frames: torch.Tensor, layout: PatchLayout) -> None:
    """In numpy: this runs beside the model's pass, and torch would start a second team of threads on the same cores."""
    (t, gh, gw), merge, patch = grid_of(frames, layout), layout.merge, layout.patch
    pixels = frames.numpy()
    missing = t * layout.frames - len(pixels)
    if missing:
        pixels = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)])
    cut = pixels.reshape(t, layout.frames, 3, gh // merge, merge, patch, gw // merge, merge, patch)
    # To (t, row, column, row within token, column within token, 3, frame, y, x).
    cut = np.ascontiguousarray(cut.transpose(0, 3, 6, 4, 7, 2, 1, 5, 8))
    # Normalised last: 8-bit values are a quarter of the bytes to put in order.
    mean, std = _normalisation(layout)
    blocks[:] = cut.reshape(blocks.shape)
    blocks -= mean
    blocks /= std


class Space:
    """Memory for blocks that is used again: fresh pages cost a quarter of the time that packing takes."""

    def __init__(self) -> None:
        self._values = np.empty(0, np.float32)

    def take(self, *shape: int) -> np.ndarray:
        """An array of this shape, float32, its values undefined; it is over what was taken before."""
        size = math.prod(shape)
        if size > self._values.size:
            self._values = np.empty(size, np.float32)
        return self._values[:size].reshape(shape)


def pack_clips(
    clips: Sequence[np.ndarray], max_pixels: int, layout: PatchLayout = PatchLayout(), space: Space | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pack clips of (F, H, W, 3) uint8 frames, each on its own, as `pixel_values_videos` and `video_grid_thw`.

    Returns the blocks of all clips one after another, (sum of t * gh * gw, 3 * frames * patch * patch) float32, and
    (N, 3) int64 grids. space: where the blocks are put, over those of an earlier call; None for memory of their own.
    Raises InputError for a clip that is not such an array.
    """
    resized = [resize_frames(clip, max_pixels, layout) for clip in clips]
    grids = [grid_of(frames, layout) for frames in resized]
    edges = np.cumsum([0, *(math.prod(grid) for grid in grids)])
    blocks = (space or Space()).take(int(edges[-1]), 3, layout.frames * layout.patch**2)
    for frames, first, last in zip(resized, edges[:-1], edges[1:], strict=True):
        _patchify_into(blocks[first:last], frames, layout)
    return torch.from_numpy(blocks).flatten(1), torch.tensor(grids)
