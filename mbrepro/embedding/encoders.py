"""Stage 2 with an encoder of video or pictures alone: no language, no prompt.

V-JEPA 2 (Assran et al. 2025, arXiv 2506.09985), VideoMAE (Tong et al. 2022, arXiv 2203.12602), SigLIP and SigLIP 2
(Tschannen et al. 2025, arXiv 2502.14786) and DINOv3 (Siméoni et al. 2025, arXiv 2508.10104).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModel, Siglip2VisionModel, SiglipVisionModel

from mbrepro.artifacts import versions
from mbrepro.embedding import checkpoint, pictures
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.packing import check_clip
from mbrepro.embedding.pictures import read_preparation
from mbrepro.errors import InputError

VERSION = 1  # raise it when a view holds other values

CLASSES = {
    "vjepa2": AutoModel,
    "videomae": AutoModel,
    "dinov3_vit": AutoModel,
    # Of the pairs of towers only the one that looks.
    "siglip": SiglipVisionModel,
    "siglip_vision_model": SiglipVisionModel,
    "siglip2": Siglip2VisionModel,
    "siglip2_vision_model": Siglip2VisionModel,
}
SUPPORTED = tuple(CLASSES)
VIDEO = {"vjepa2": "pixel_values_videos", "videomae": "pixel_values"}  # and what its model calls a video
EXTRA = {"vjepa2": {"skip_predictor": True}}


class EncoderEmbedder:
    """Clip embeddings from a checkpoint of an encoder, loaded once; prompt and pixel bound of the settings go unused.

    How pictures are made ready and how large they are is the checkpoint's own choice. The encoders are not told the
    frame rate. VideoMAE sees exactly the frames it was trained on (16), V-JEPA 2, whose positions are relative, the
    clip's own frames in whole pairs and at most those it was trained on (16 or 64): where the clip has others, its
    frames are taken evenly, first and last included, and repeat if there are too few. The others see every frame alone.

    Views: "mean" over all tokens, "mean_steps" over the tokens of each time step (a pair of frames of a video encoder,
    else a frame), and for encoders of pictures that have one the mean over frames of "cls", DINOv3's class token and
    SigLIP's attention-pooled output. Raises InputError if the checkpoint is missing, incomplete, unsupported, or its
    device is not there.
    """

    takes = "pixels"

    def __init__(self, settings: EmbedderSettings):
        self.settings = settings
        folder = checkpoint.find(settings.model)
        config = checkpoint.read_config(folder, SUPPORTED)
        self.kind = config.model_type
        self.config = getattr(config, "vision_config", config)
        self.device, self.dtype = checkpoint.choose_device(settings.device, settings.dtype)
        self.preparation = read_preparation(folder, self.kind)
        check_size(folder, self.kind, self.config, self.preparation)
        checkpoint.check_memory(folder, self.device, self.dtype)
        self.model = checkpoint.load_model(folder, self.dtype, CLASSES[self.kind]).to(self.device)
        self.width = int(self.config.hidden_size)
        pooled = self.kind not in VIDEO and getattr(self.config, "vision_use_head", True)
        self.views = ("mean", "mean_steps", *(["cls"] if pooled else []))
        self.identity = {
            **checkpoint.identity(folder),
            "device": self.device,
            "dtype": self.dtype,
            "batch_size": settings.batch_size,
            "attention": checkpoint.ATTENTION,
            **versions(pictures),
            __name__: VERSION,
        }

    def embed(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, np.ndarray]:
        """Embed clips of (F, H, W, 3) uint8 RGB frames; float32 (N, width), and (N, t, width) for "mean_steps".

        Rows are in the clips' order; batches are consecutive clips. Raises InputError for a clip that is not such an
        array, and for clips that differ in their number of time steps.
        """
        for clip in clips:
            check_clip(clip)
        shown = [clip[frames_shown(self.kind, self.config, len(clip))] for clip in clips]
        counts = {len(clip) for clip in shown}
        if len(counts) > 1:
            raise InputError(f"clips embedded together must have as many frames each, not {sorted(counts)}")
        batches = [self._embed_batch(batch) for batch in self._batches(shown)]
        if not batches:
            return {view: np.zeros((0, *[0] * view.endswith("_steps"), self.width), np.float32) for view in self.views}
        return {view: np.concatenate([batch[view] for batch in batches]) for view in self.views}

    def prepare(self, clips: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Model inputs for one batch of clips of one shape: videos, or the frames of all clips one after another."""
        inputs = model_inputs(clips, self.kind, self.config, self.preparation)
        pixels = self.model.main_input_name
        inputs[pixels] = inputs[pixels].to(self.model.dtype)
        return {name: value.to(self.device) for name, value in inputs.items()}

    def _batches(self, clips: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
        size = self.settings.batch_size
        return (clips[start : start + size] for start in range(0, len(clips), size))

    @torch.inference_mode()
    def _embed_batch(self, clips: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        if len({clip.shape for clip in clips}) > 1:
            raise InputError(f"clips embedded together must be of one size, not {sorted({c.shape for c in clips})}")
        inputs = self.prepare(clips)
        output = self.model(**inputs, **EXTRA.get(self.kind, {}))
        tokens = output.last_hidden_state.float()
        if self.kind in VIDEO:
            steps = tokens.unflatten(1, (len(clips[0]) // self.config.tubelet_size, -1)).mean(2)  # (N, t, width)
        else:
            steps = self._picture_means(tokens, inputs).unflatten(0, (len(clips), -1))
        rows = {"mean": steps.mean(1), "mean_steps": steps}
        if "cls" in self.views:
            rows["cls"] = output.pooler_output.float().unflatten(0, (len(clips), -1)).mean(1)
        return {view: value.cpu().numpy() for view, value in rows.items()}

    def _picture_means(self, tokens: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(pictures, width) means of the tokens (pictures, tokens, width) that stand for a piece of the picture."""
        if self.kind == "dinov3_vit":
            return tokens[:, 1 + self.config.num_register_tokens :].mean(1)
        if "pixel_attention_mask" in inputs:
            mask = inputs["pixel_attention_mask"].unsqueeze(-1)
            return (tokens * mask).sum(1) / mask.sum(1)
        return tokens.mean(1)


def without_weights(config: transformers.PretrainedConfig) -> torch.nn.Module:
    """The encoder of a configuration as the library makes it, its weights not read."""
    kind = CLASSES[config.model_type]
    if kind is AutoModel:
        return AutoModel.from_config(config, attn_implementation=checkpoint.ATTENTION)
    return kind._from_config(getattr(config, "vision_config", config), attn_implementation=checkpoint.ATTENTION)


def model_inputs(
    clips: Sequence[np.ndarray], kind: str, config: transformers.PretrainedConfig, how: pictures.Preparation
) -> dict[str, torch.Tensor]:
    """Float32 inputs for clips of one shape: videos (N, F, 3, h, w), or the frames of all clips one after another."""
    inputs = pictures.prepare(np.concatenate(clips), how)
    if kind not in VIDEO:
        return inputs
    videos = inputs["pixel_values"].unflatten(0, (len(clips), -1))
    if kind == "videomae" and videos.shape[1] != config.num_frames:
        raise AssertionError("VideoMAE's positions are those of its own number of frames")
    return {VIDEO[kind]: videos}


def frames_shown(kind: str, config: transformers.PretrainedConfig, count: int) -> np.ndarray:
    """(F,) indices of a clip's `count` frames that an encoder sees, evenly spread with the first and the last."""
    if kind == "videomae":
        wanted = config.num_frames
    elif kind == "vjepa2":
        pairs = -(-min(count, config.frames_per_clip) // config.tubelet_size)
        wanted = pairs * config.tubelet_size
    else:
        wanted = count
    return np.round(np.linspace(0, count - 1, wanted)).astype(np.int64)


def check_size(
    folder: Path, kind: str, config: transformers.PretrainedConfig, preparation: pictures.Preparation
) -> None:
    """Raise InputError unless the checkpoint's pictures come in the size that its weights' positions stand for."""
    if kind.startswith("siglip2"):
        if preparation.patch != config.patch_size:
            raise InputError(
                f"{folder}: its preprocessing cuts patches of {preparation.patch} px, its weights are for "
                f"{config.patch_size}"
            )
        return
    side = config.crop_size if kind == "vjepa2" else config.image_size
    found = preparation.crop or preparation.size
    fits = found is not None and all(length % config.patch_size == 0 for length in found)
    if kind != "dinov3_vit":  # which works at any multiple of its patches
        fits = found == (side, side)
    if not fits:
        raise InputError(f"{folder}: its preprocessing makes pictures of {found} px, which its weights are not for")
