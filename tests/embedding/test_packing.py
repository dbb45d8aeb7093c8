import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from mbrepro.embedding.packing import PatchLayout, pack_clips, patchify, resize_frames, resized_shape
from mbrepro.errors import InputError
from tests.fixtures.tiny_checkpoint import noise_clip

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def patches_by_loops(clip: np.ndarray) -> np.ndarray:
    """The blocks of an (F, H, W, 3) clip that needs no resizing, written down one value at a time."""
    frames, height, width, _ = clip.shape
    rows = []
    for t in range(0, frames, 2):
        for cell_y in range(0, height, 28):
            for cell_x in range(0, width, 28):
                for y in (cell_y, cell_y + 14):
                    for x in (cell_x, cell_x + 14):
                        block = []
                        for channel in range(3):
                            for frame in (t, min(t + 1, frames - 1)):
                                patch = clip[frame, y : y + 14, x : x + 14, channel] / 255
                                block.append((patch - MEAN[channel]) / STD[channel])
                        rows.append(np.concatenate([part.ravel() for part in block]))
    return np.array(rows)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_blocks_equal_explicit_loops(frames):
    clip = noise_clip(0, frames, 56, 84)
    blocks, grid = pack_clips([clip], 10_000)
    assert grid.tolist() == [[(frames + 1) // 2, 4, 6]]
    np.testing.assert_allclose(blocks.numpy(), patches_by_loops(clip), atol=1e-5)


def test_odd_clip_repeats_its_last_frame():
    clip = noise_clip(1, 3)
    repeated = np.concatenate([clip, clip[-1:]])
    assert torch.equal(pack_clips([clip], 10_000)[0], pack_clips([repeated], 10_000)[0])


def test_still_clip_equals_the_released_image_processor():
    """transformers' image processor shows a picture twice; it needs no torchvision, and resizes with Pillow."""
    processor = Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 28_224})
    picture = noise_clip(2, 1, 112, 196)[0]
    real = processor(images=[picture], return_tensors="pt")
    blocks, grid = pack_clips([np.stack([picture, picture])], 28_224)
    assert torch.equal(grid, real["image_grid_thw"])
    torch.testing.assert_close(blocks, real["pixel_values"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(286, 512), (570, 1024), (40, 60)])
def test_resizing_is_bicubic_with_antialiasing_on_8_bit_values(height, width):
    clip = noise_clip(3, 1, height, width)
    ours = resize_frames(clip, 28_224)[0].permute(1, 2, 0).numpy()
    pillow = np.asarray(Image.fromarray(clip[0]).resize(ours.shape[1::-1], Image.Resampling.BICUBIC))
    assert ours.dtype == np.uint8
    difference = np.abs(ours.astype(int) - pillow)
    assert difference.max() <= 1  # the two libraries round the weights differently
    assert difference.mean() < 0.05


@pytest.mark.parametrize(
    ("height", "width", "max_pixels", "expected"),
    [
        (570, 1024, 360 * 420, (280, 504)),  # the poster's bound: 10 by 18 tokens
        (286, 512, 224 * 126, (112, 224)),
        (112, 112, 224 * 126, (112, 112)),
        (20, 20, 10_000, (56, 56)),  # too small is enlarged
    ],
)
def test_shape_by_hand(height, width, max_pixels, expected):
    assert resized_shape(height, width, max_pixels) == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(16, 1200), st.integers(16, 1200), st.integers(20_000, 400_000))
def test_shape_keeps_its_bounds(height, width, max_pixels):
    h, w = resized_shape(height, width, max_pixels)
    assert h % 28 == 0 and w % 28 == 0
    if max(height, width) < 3 * min(height, width):  # a thin strip is one token high whatever the bound
        assert 56 * 56 <= h * w <= max_pixels
        assert abs(np.log((w / h) / (width / height))) < np.log(2)


def test_clips_are_packed_each_on_its_own():
    clips = [noise_clip(4, 2), noise_clip(5, 4, 84, 56)]
    blocks, grids = pack_clips(clips, 10_000)
    alone = [pack_clips([clip], 10_000) for clip in clips]
    assert torch.equal(blocks, torch.cat([b for b, _ in alone]))
    assert torch.equal(grids, torch.cat([g for _, g in alone]))


def test_layout_comes_from_the_checkpoint():
    layout = PatchLayout(patch=16, frames=2, merge=2)
    frames = torch.zeros(2, 3, 64, 96, dtype=torch.uint8)
    blocks, grid = patchify(frames, layout)
    assert grid.tolist() == [1, 4, 6]
    assert blocks.shape == (24, 3 * 2 * 16 * 16)
    assert resized_shape(64, 100, 10_000, layout) == (64, 96)


@pytest.mark.parametrize(
    "clip",
    [
        np.zeros((2, 56, 56), np.uint8),
        np.zeros((2, 56, 56, 4), np.uint8),
        np.zeros((2, 56, 56, 3), np.float32),
        np.zeros((0, 56, 56, 3), np.uint8),
        [[1]],
    ],
)
def test_refuses_what_is_no_clip(clip):
    with pytest.raises(InputError, match="a clip"):
        pack_clips([clip], 10_000)


def test_refuses_impossible_shapes():
    with pytest.raises(InputError, match="max_pixels is 100"):
        resized_shape(100, 100, 100)
    with pytest.raises(InputError, match="too long and thin"):
        resized_shape(10, 3000, 10_000)


def torchvision_imports() -> bool:
    try:
        return importlib.import_module("torchvision") is not None
    except (ImportError, RuntimeError):  # RuntimeError: a build for CUDA beside a torch without it
        return False


@pytest.mark.torchvision
@pytest.mark.skipif(not torchvision_imports(), reason="the released processor needs torchvision")
@pytest.mark.parametrize(("frames", "height", "width"), [(4, 286, 512), (5, 570, 1024), (10, 112, 112)])
def test_equals_the_released_video_processor(frames, height, width):
    from transformers import Qwen2VLVideoProcessor

    size = {"shortest_edge": 56 * 56, "longest_edge": 28_224}
    processor = Qwen2VLVideoProcessor(size=size, do_sample_frames=False, cap_pixels_per_frame=False)
    clip = noise_clip(6, frames, height, width)
    real = processor(videos=[torch.from_numpy(clip).permute(0, 3, 1, 2)], return_tensors="pt")
    blocks, grids = pack_clips([clip], 28_224)
    assert torch.equal(grids, real["video_grid_thw"])
    assert torch.equal(blocks, real["pixel_values_videos"])
