"""Frames to the pictures that encoders read, as their checkpoints ask, without torchvision.

Follows the processors of transformers (`VJEPA2VideoProcessor`, `VideoMAEVideoProcessor`, `SiglipImageProcessor`,
`Siglip2ImageProcessor`, DINOv2's `BitImageProcessor`, `DINOv3ViTImageProcessor`), most of which cannot be used where
torchvision is missing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

from mbrepro.artifacts import read_json
from mbrepro.errors import InputError

VERSION = 1  # raise it when pictures are made ready otherwise

# Files that say how pictures are made ready, the library's preferred one first, and where in them.
FILES = (
    ("processor_config.json", "video_processor"),
    ("processor_config.json", "image_processor"),
    ("video_preprocessor_config.json", None),
    ("preprocessor_config.json", None),
)
BILINEAR, BICUBIC = 2, 3  # PIL's numbers, which the files use
MODES = {BILINEAR: "bilinear", BICUBIC: "bicubic"}
IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
CLIP = {"image_mean": (0.48145466, 0.4578275, 0.40821073), "image_std": (0.26862954, 0.26130258, 0.27577711)}
HALF = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
# What the library's processors assume where a checkpoint's file is silent; DINOv2's say IMAGENET.
ASSUMED = {
    "vjepa2": {"crop_size": 256, "do_center_crop": True, "resample": BILINEAR, **IMAGENET},
    "videomae": {"size": 224, "crop_size": 224, "do_center_crop": True, "resample": BILINEAR, **HALF},
    "siglip": {"size": {"height": 224, "width": 224}, "resample": BICUBIC, **HALF},
    "siglip2": {"patch_size": 16, "max_num_patches": 256, "resample": BILINEAR, **HALF},
    "dinov2": {"size": 224, "crop_size": 224, "do_center_crop": True, "resample": BICUBIC, **CLIP},
    "dinov3_vit": {"size": {"height": 224, "width": 224}, "resample": BILINEAR, **IMAGENET},
}


@dataclass(frozen=True)
class Preparation:
    """How frames are made ready: resized, cropped at the centre, scaled and normalised.

    size: (height, width) px to resize to. shortest: px of the shorter side to resize to, keeping the aspect. patch,
    patches: px along a patch's side and the most patches of a picture, for a model that keeps the aspect and cuts into
    patches itself. At most one of the three is given. crop: (height, width) px. scale: of the 8-bit values.
    scale_first: resize the scaled values instead of the 8-bit ones, which DINOv3 does.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mode: str
    scale: float
    size: tuple[int, int] | None = None
    shortest: int | None = None
    crop: tuple[int, int] | None = None
    patch: int | None = None
    patches: int | None = None
    scale_first: bool = False


def read_preparation(folder: Path, kind: str) -> Preparation:
    """Read a checkpoint's preprocessing for a model_type; InputError if no file says it or it cannot be followed."""
    kind = kind.removesuffix("_vision_model")
    path, said = _read(folder)
    chosen = ASSUMED[kind] | {name: value for name, value in said.items() if value is not None}
    try:
        return _preparation(kind, chosen)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a preprocessing that can be followed ({error})") from None


def _read(folder: Path) -> tuple[Path, dict]:
    for path, part in ((folder / name, part) for name, part in FILES if (folder / name).is_file()):
        try:
            said = read_json(path)
            said = said.get(part) if part else dict(said)
        except (ValueError, TypeError, AttributeError):
            raise InputError(f"{path}: not readable as a preprocessing configuration") from None
        if said is not None:
            return path, said
    raise InputError(f"{folder}: no preprocessor_config.json in it; fetch the checkpoint's preprocessing too")


def _preparation(kind: str, chosen: dict) -> Preparation:
    if chosen["resample"] not in MODES:
        raise ValueError(f"resample {chosen['resample']} is neither bilinear nor bicubic")
    normalise = chosen.get("do_normalize", True)
    made = {
        "mean": tuple(chosen["image_mean"]) if normalise else (0.0, 0.0, 0.0),
        "std": tuple(chosen["image_std"]) if normalise else (1.0, 1.0, 1.0),
        "mode": MODES[chosen["resample"]],
        "scale": chosen.get("rescale_factor", 1 / 255) if chosen.get("do_rescale", True) else 1.0,
        "scale_first": kind == "dinov3_vit",
    }
    if kind == "siglip2":
        return Preparation(**made, patch=int(chosen["patch_size"]), patches=int(chosen["max_num_patches"]))
    if chosen.get("do_center_crop"):
        made["crop"] = _square(chosen["crop_size"])
    size = chosen.get("size")
    if kind == "vjepa2":  # whose processor resizes by the crop, whatever the file says
        size = int(_square(chosen["crop_size"])[0] * 256 / 224)
    if not chosen.get("do_resize", True):
        return Preparation(**made)
    if isinstance(size, dict) and "shortest_edge" not in size:
        return Preparation(**made, size=_square(size))
    return Preparation(**made, shortest=int(size["shortest_edge"] if isinstance(size, dict) else size))


def _square(size: int | dict) -> tuple[int, int]:
    return (int(size["height"]), int(size["width"])) if isinstance(size, dict) else (int(size), int(size))


def prepare(frames: np.ndarray, how: Preparation) -> dict[str, torch.Tensor]:
    """Make (F, H, W, 3) uint8 frames ready: `pixel_values` (F, 3, h, w) float32.

    With `patches`, `pixel_values` are (F, patches, 3 * patch * patch), zero beyond the picture's own, and beside them
    are `pixel_attention_mask` (F, patches) and `spatial_shapes` (F, 2), in patches. Raises InputError for frames too
    small to crop.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)
    if how.scale_first:
        pixels = pixels * how.scale
    height, width = pixels.shape[-2:]
    shape = target_shape(height, width, how)
    if shape != (height, width):
        pixels = F.interpolate(pixels, size=shape, mode=how.mode, antialias=True, align_corners=False)
    pixels = _normalise(_crop(pixels, how.crop), how)
    return _cut(pixels, how.patch, how.patches) if how.patches else {"pixel_values": pixels}


def target_shape(height: int, width: int, how: Preparation) -> tuple[int, int]:
    """Height and width, px, to which a frame is resized."""
    if how.patches:
        return get_image_size_for_max_num_patches(height, width, how.patch, how.patches)
    if how.shortest:
        long = int(how.shortest * max(height, width) / min(height, width))
        return (long, how.shortest) if width <= height else (how.shortest, long)
    return how.size or (height, width)


def _crop(pixels: torch.Tensor, crop: tuple[int, int] | None) -> torch.Tensor:
    if crop is None:
        return pixels
    height, width = pixels.shape[-2:]
    top, left = (height - crop[0]) // 2, (width - crop[1]) // 2
    if min(top, left) < 0:
        raise InputError(f"a picture of {height} x {width} px is smaller than the {crop} px cut from it")
    return pixels[..., top : top + crop[0], left : left + crop[1]]


def _normalise(pixels: torch.Tensor, how: Preparation) -> torch.Tensor:
    # Of 8-bit values the library scales mean and sd instead, which rounds otherwise.
    factor = 1.0 if how.scale_first else 1.0 / how.scale
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * factor for values in (how.mean, how.std))
    return (pixels.float() - mean) / std


def _cut(pixels: torch.Tensor, patch: int, patches: int) -> dict[str, torch.Tensor]:
    count, rows, columns = len(pixels), pixels.shape[2] // patch, pixels.shape[3] // patch
    cut = pixels.reshape(count, 3, rows, patch, columns, patch).permute(0, 2, 4, 3, 5, 1)
    cut = cut.reshape(count, rows * columns, -1)
    mask = torch.zeros(count, patches, dtype=torch.int32)
    mask[:, : rows * columns] = 1
    return {
        "pixel_values": F.pad(cut, (0, 0, 0, patches - rows * columns)),
        "pixel_attention_mask": mask,
        "spatial_shapes": torch.tensor([[rows, columns]] * count),
    }
