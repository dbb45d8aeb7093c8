"""Stage 2 with an encoder of video or pictures alone: no language, no prompt.

V-JEPA 2 (Assran et al. 2025, arXiv 2506.09985), VideoMAE (Tong et al. 2022, arXiv 2203.12602), SigLIP and SigLIP 2
(Tschannen et al. 2025, arXiv 2502.14786), DINOv2 (Oquab et al. 2024, arXiv 2304.07193) and DINOv3 (Siméoni et al. 2025,
arXiv 2508.10104).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, Siglip2VisionModel, SiglipVisionModel

from mbrepro.artifacts import versions
from mbrepro.data.clips import ClipSettings, frame_count
from mbrepro.embedding import checkpoint, pictures
from mbrepro.embedding.embedder import EmbedderSettings, picture_shape
from mbrepro.embedding.packing import check_clip
from mbrepro.embedding.pictures import Preparation, read_preparation
from mbrepro.errors import InputError

VERSION = 1  # raise it when a view holds other values


class EncoderEmbedder(checkpoint.CheckpointEmbedder):
    """Clip embeddings from an encoder of pictures; prompt and pixel bound of the settings go unused.

    How pictures are made ready and how large they are is the checkpoint's own choice. The encoders are not told the
    frame rate. Views: "mean" over all tokens, and for encoders of pictures that have one the mean over frames of "cls",
    DINO's class token and SigLIP's attention-pooled output. A class for encoders of video names their model's input,
    `video`; options: of their model's call.
    """

    library: Any = AutoModel
    code: ClassVar[dict[str, str]] = {__name__: str(VERSION), **versions(pictures)}
    video: str | None = None
    options: ClassVar[dict[str, object]] = {}

    def read(self, folder: Path) -> None:
        self.kind, self.config = self.config.model_type, vision_config(self.config)
        self.preparation = read_preparation(folder, self.kind)
        self.check_size(folder, self.preparation)
        self.width = int(self.config.hidden_size)
        pooled = not self.video and getattr(self.config, "vision_use_head", True)
        self.views = ("mean", *(["cls"] if pooled else []))

    def check_size(self, folder: Path, preparation: Preparation) -> None:
        """Raise InputError unless the checkpoint's pictures come in the size that its weights' positions stand for."""
        found = preparation.crop or preparation.size
        if not self.fits(found):
            raise InputError(f"{folder}: its preprocessing makes pictures of {found} px, which its weights are not for")

    def fits(self, size: tuple[int, int] | None) -> bool:
        """Whether the weights are for pictures of (height, width) px."""
        return size == (self.config.image_size, self.config.image_size)

    @staticmethod
    def frames_shown(config: transformers.PretrainedConfig, count: int) -> np.ndarray:
        """(F,) indices of a clip's `count` frames that an encoder sees: of pictures, each."""
        return np.arange(count)

    @classmethod
    def model_inputs(cls, clips: Sequence[np.ndarray], how: Preparation) -> dict[str, torch.Tensor]:
        """Float32 inputs for clips of one shape: videos (N, F, 3, h, w), or all clips' frames one after another."""
        inputs = pictures.prepare(np.concatenate(clips), how)
        return {cls.video: inputs["pixel_values"].unflatten(0, (len(clips), -1))} if cls.video else inputs

    @classmethod
    def untrained(cls, config: transformers.PretrainedConfig) -> torch.nn.Module:
        """See `CheckpointEmbedder.untrained`; of a pair of towers the one that looks."""
        if cls.library is AutoModel:
            return super().untrained(config)
        return cls.library._from_config(vision_config(config), attn_implementation=checkpoint.ATTENTION).eval()

    @classmethod
    def cost(cls, settings: EmbedderSettings, clips: ClipSettings, frame: tuple[int, int]) -> tuple[int, float]:
        """See `ClipEmbedder.cost`: counted in a pass that computes shapes and no values; encoders are not told text.

        Tokens are all that the encoder carries, class and register tokens and SigLIP 2's empty places among them.
        """
        folder = checkpoint.find_config(settings.model)
        config = checkpoint.read_config(folder)
        shown = len(cls.frames_shown(vision_config(config), frame_count(clips)))
        passes, black = (1, shown) if cls.video else (shown, 1)  # pictures are looked at one by one
        clip = np.zeros((black, *picture_shape(clips, frame), 3), np.uint8)
        inputs = cls.model_inputs([clip], read_preparation(folder, config.model_type))
        with torch.device("meta"):
            model = cls.untrained(config)
        pixels = model.main_input_name
        inputs[pixels] = inputs[pixels].to("meta")
        if "pixel_attention_mask" in inputs:
            inputs["pixel_attention_mask"] = None  # whose values decide how; empty places cost as much as others
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            tokens = model(**inputs, **cls.options).last_hidden_state.shape[1]
        return passes * tokens, passes * counter.get_total_flops() / 1e12

    def embed(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, np.ndarray]:
        """See `ClipEmbedder`; InputError for what is no clip, and clips of different numbers of frames or sizes."""
        for clip in clips:
            check_clip(clip)
        shown = [clip[self.frames_shown(self.config, len(clip))] for clip in clips]
        counts = {len(clip) for clip in shown}
        if len(counts) > 1:
            raise InputError(f"clips embedded together must have as many frames each, not {sorted(counts)}")
        return self.gather([self._embed_batch(batch) for batch in self.batches(shown)])

    def prepare(self, clips: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Model inputs for one batch of clips of one shape, on the model's device; see `model_inputs`."""
        inputs = self.model_inputs(clips, self.preparation)
        pixels = self.model.main_input_name
        inputs[pixels] = inputs[pixels].to(self.model.dtype)
        return {name: value.to(self.device) for name, value in inputs.items()}

    @torch.inference_mode()
    def _embed_batch(self, clips: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        if len({clip.shape for clip in clips}) > 1:
            raise InputError(f"clips embedded together must be of one size, not {sorted({c.shape for c in clips})}")
        inputs = self.prepare(clips)
        output = self.model(**inputs, **self.options)
        means = self.mean_token(output.last_hidden_state.float(), inputs)  # (N, width), or a row for each picture
        rows = {"mean": means.unflatten(0, (len(clips), -1)).mean(1)}
        if "cls" in self.views:
            rows["cls"] = output.pooler_output.float().unflatten(0, (len(clips), -1)).mean(1)
        return {view: value.cpu().numpy() for view, value in rows.items()}

    def mean_token(self, tokens: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(N, width) means of the tokens (N, tokens, width) that stand for a piece of a picture or video."""
        return tokens.mean(1)


class VJEPA2Embedder(EncoderEmbedder):
    """V-JEPA 2 sees video, whose positions are relative: the clip's own frames in whole pairs, and at most those it was
    trained on (16 or 64). Where the clip has others, its frames are taken evenly, first and last included."""

    video = "pixel_values_videos"
    options: ClassVar = {"skip_predictor": True}

    def fits(self, size: tuple[int, int] | None) -> bool:
        return size == (self.config.crop_size, self.config.crop_size)

    @staticmethod
    def frames_shown(config: transformers.PretrainedConfig, count: int) -> np.ndarray:
        pairs = -(-min(count, config.frames_per_clip) // config.tubelet_size)
        return evenly(count, pairs * config.tubelet_size)


class VideoMAEEmbedder(EncoderEmbedder):
    """VideoMAE sees as many frames as it was trained on (16), taken evenly, and repeated if there are too few."""

    video = "pixel_values"

    @staticmethod
    def frames_shown(config: transformers.PretrainedConfig, count: int) -> np.ndarray:
        return evenly(count, config.num_frames)


class SiglipEmbedder(EncoderEmbedder):
    """SigLIP: of its pair of towers only the one that looks."""

    library = SiglipVisionModel


class Siglip2Embedder(EncoderEmbedder):
    """SigLIP 2 keeps a picture's aspect; places for patches that it does not fill count in no mean."""

    library = Siglip2VisionModel

    def check_size(self, folder: Path, preparation: Preparation) -> None:
        """Raise InputError unless the checkpoint's patches come in the size that its weights are for."""
        found, wanted = preparation.patch, self.config.patch_size
        if found != wanted:
            raise InputError(f"{folder}: its preprocessing cuts patches of {found} px, its weights are for {wanted}")

    def mean_token(self, tokens: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        mask = inputs["pixel_attention_mask"].unsqueeze(-1)
        return (tokens * mask).sum(1) / mask.sum(1)


class DINOEmbedder(EncoderEmbedder):
    """DINOv2 and DINOv3 take pictures of any multiple of their patches; class and register tokens, which DINOv2 has
    none of, stand for no piece of them."""

    def fits(self, size: tuple[int, int] | None) -> bool:
        return size is not None and all(length % self.config.patch_size == 0 for length in size)

    def mean_token(self, tokens: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return tokens[:, 1 + getattr(self.config, "num_register_tokens", 0) :].mean(1)


def vision_config(config: transformers.PretrainedConfig) -> transformers.PretrainedConfig:
    """The part of a configuration that is about what looks."""
    return getattr(config, "vision_config", config)


def evenly(count: int, wanted: int) -> np.ndarray:
    """(wanted,) indices of `count` frames, evenly spread with the first and the last."""
    return np.round(np.linspace(0, count - 1, wanted)).astype(np.int64)
