"""What keeps a GPU busy where the library's and the CPU's way would leave it waiting; the values are the same.

Frames travel as the bytes they are and are normalised there. In the vision tower the library calls its attention once
for every window, ten thousand times a pass; here all windows of one length are one call. And Qwen2.5-VL's tower has
hidden layers of 3420, not a multiple of 8, for which only old and slow products exist; here zeros fill them up.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AttentionInterface

from mbrepro.embedding.packing import PatchLayout, grid_of, resize_frames

VERSION = 1  # raise it when packing or attention give other values
ATTENTION = "flash_by_length"  # the library hands windows' lengths only to attention with "flash" in its name

WIDTH = 64  # products of matrices whose sides are multiples of it are quick


def put(values: torch.Tensor, device: str) -> torch.Tensor:
    """Copy to a device without waiting for what that is at."""
    return values.pin_memory().to(device, non_blocking=True) if torch.device(device).type == "cuda" else values


def pack_clips_on(
    device: str, clips: Sequence[np.ndarray], max_pixels: int, layout: PatchLayout
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `packing.pack_clips`, the same values, but blocks are made on the device; the grids stay on the CPU."""
    resized = [resize_frames(clip, max_pixels, layout) for clip in clips]
    grids = torch.tensor([grid_of(frames, layout) for frames in resized])
    mean, std = (255 * torch.tensor(values).view(1, 3, 1).to(device) for values in (layout.mean, layout.std))
    cut = torch.cat([_cut(frames, device, layout) for frames in resized])
    return cut.float().sub_(mean).div_(std).flatten(1), grids


def _cut(frames: torch.Tensor, device: str, layout: PatchLayout) -> torch.Tensor:
    """(blocks, 3, frames * patch * patch) uint8 of (F, 3, h, w) frames; an odd last frame is repeated."""
    (t, gh, gw), merge, patch = grid_of(frames, layout), layout.merge, layout.patch
    pixels = put(frames.permute(0, 2, 3, 1).contiguous(), device)  # as they lie in memory, so nothing is moved here
    missing = t * layout.frames - len(pixels)
    pixels = torch.cat([pixels, pixels[-1:].expand(missing, -1, -1, -1)]) if missing else pixels
    cut = pixels.view(t, layout.frames, gh // merge, merge, patch, gw // merge, merge, patch, 3)
    return cut.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(t * gh * gw, 3, layout.frames * patch**2)


def attend_by_length(
    module: object, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: object, *,
    cu_seq_lens_q: torch.Tensor, max_length_q: int, scaling: float, dropout: float = 0.0, **_: object,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention of (1, heads, T, D) within consecutive windows that end at `cu_seq_lens_q`; returns (1, T, heads, D).

    The signature is that of the library's attention functions; max_length_q is the longest window's length.
    """
    parts = [part[0].transpose(0, 1) for part in (query, key, value)]  # (T, heads, D)
    options = {"scale": scaling, "dropout_p": dropout}
    if (len(cu_seq_lens_q) - 1) * max_length_q == len(parts[0]):  # all are as long: known without asking the GPU
        return _windows(parts, max_length_q, options)[None], None
    lengths, out = cu_seq_lens_q.diff(), torch.empty_like(parts[0])
    for length in lengths.unique().tolist():
        first = cu_seq_lens_q[:-1][lengths == length]
        places = (first[:, None] + torch.arange(length, device=first.device)).flatten()
        if length:
            out[places] = _windows([part[places] for part in parts], length, options)
    return out[None], None


def _windows(parts: Sequence[torch.Tensor], length: int, options: dict[str, float]) -> torch.Tensor:
    """(T, heads, D) from windows of one length, one behind the other."""
    batched = (part.unflatten(0, (-1, length)).transpose(1, 2) for part in parts)
    return F.scaled_dot_product_attention(*batched, **options).transpose(1, 2).flatten(0, 1)


def widen_hidden(tower: nn.Module, width: int) -> None:
    """Fill the hidden layers of a vision tower's gated blocks up with zeros, or cut them back, to a width."""
    for block in tower.blocks:
        more = width - block.mlp.down_proj.in_features if hasattr(block.mlp, "gate_proj") else 0
        if more:
            for part in (block.mlp.gate_proj, block.mlp.up_proj):
                part.weight, part.bias = _padded(part.weight, (0, 0, 0, more)), _padded(part.bias, (0, more))
                part.out_features = width
            block.mlp.down_proj.weight = _padded(block.mlp.down_proj.weight, (0, more))
            block.mlp.down_proj.in_features = width


def _padded(weight: nn.Parameter, more: tuple[int, ...]) -> nn.Parameter:
    return nn.Parameter(F.pad(weight.data, more).contiguous(), weight.requires_grad)


AttentionInterface.register(ATTENTION, attend_by_length)
