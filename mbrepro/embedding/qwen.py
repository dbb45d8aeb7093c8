"""Stage 2 with Qwen2-VL or Qwen2.5-VL (Wang et al. 2024, arXiv 2409.12191; Bai et al. 2025, arXiv 2502.13923)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

from mbrepro.artifacts import fingerprint
from mbrepro.embedding import checkpoint, packing
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.packing import PatchLayout, pack_clips
from mbrepro.errors import InputError

SUPPORTED = ("qwen2_vl", "qwen2_5_vl")
VIDEO = 2  # the library's token type of a video token; text is 0


class QwenVLEmbedder:
    """Clip embeddings and captions from a Qwen2-VL or Qwen2.5-VL checkpoint, loaded once.

    Batches are consecutive clips of the sequence given, so what a clip is batched with depends on its index alone.
    Raises InputError if the checkpoint is missing, incomplete, unsupported, or its device is not there.
    """

    def __init__(self, settings: EmbedderSettings):
        self.settings = settings
        folder = checkpoint.find(settings.model)
        self.config = checkpoint.read_config(folder, SUPPORTED)
        self.device, self.dtype = checkpoint.choose_device(settings.device, settings.dtype)
        depth = self.config.get_text_config().num_hidden_layers
        if not -depth - 1 <= settings.layer <= depth:
            raise InputError(f"layer {settings.layer} is not one of {settings.model}'s layers 0 to {depth}")
        self.tokenizer = checkpoint.load_tokenizer(folder)
        self.model = checkpoint.load_model(folder, self.dtype).to(self.device)
        self.layout = patch_layout(self.config)
        self.width = int(self.config.get_text_config().hidden_size)
        chosen = {name: value for name, value in vars(settings).items() if name != "model"}
        self.identity = {
            **checkpoint.identity(folder),
            **chosen,
            "device": self.device,
            "dtype": self.dtype,
            "attention": checkpoint.ATTENTION,
            "code": fingerprint(Path(__file__), packing),
        }

    def embed(self, clips: Sequence[np.ndarray], fps: float) -> np.ndarray:
        """Embed clips of (F, H, W, 3) uint8 RGB frames sampled at `fps`; (N, width) float32, in the clips' order."""
        rows = [self._embed_batch(batch, fps) for batch in self._batches(clips)]
        return np.concatenate(rows) if rows else np.zeros((0, self.width), np.float32)

    def caption(self, clips: Sequence[np.ndarray], fps: float, max_new_tokens: int = 80) -> list[str]:
        """Answer the prompt for each clip, choosing the most probable token each time."""
        return [text for batch in self._batches(clips) for text in self._caption_batch(batch, fps, max_new_tokens)]

    def prepare(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, torch.Tensor]:
        """Model inputs for one batch: the prompt in the checkpoint's chat template, padded on the left, and the frames.

        Raises InputError if the template or the prompt leaves other than one place for the video.
        """
        if not (np.isfinite(fps) and fps > 0):
            raise InputError(f"the sampled frame rate must be a positive number, not {fps}")
        pixels, grids = pack_clips(clips, self.settings.max_pixels, self.layout)
        tokens = grids.prod(1) // self.layout.merge**2  # (N,) video tokens of each clip
        texts = [video_prompt(self.tokenizer, self.config, self.settings.prompt, int(count)) for count in tokens]
        text = self.tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
        video = text["input_ids"] == self.config.video_token_id
        check_video_tokens(video.sum(1), tokens)
        inputs = {
            "input_ids": text["input_ids"],
            "attention_mask": text["attention_mask"],
            # Without the types the library gives video tokens plain 1-D positions and says nothing.
            "mm_token_type_ids": video.int() * VIDEO,
            "pixel_values_videos": pixels.to(self.model.dtype),
            "video_grid_thw": grids,
        }
        # Qwen2.5-VL alone places frames by their seconds, in whole steps: above 4 frames a second pairs share a place.
        if self.config.model_type == "qwen2_5_vl":
            inputs["second_per_grid_ts"] = torch.full((len(clips),), self.layout.frames / fps)
        return {name: value.to(self.device) for name, value in inputs.items()}

    def _batches(self, clips: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
        size = self.settings.batch_size
        return (clips[start : start + size] for start in range(0, len(clips), size))

    @torch.inference_mode()
    def _embed_batch(self, clips: Sequence[np.ndarray], fps: float) -> np.ndarray:
        inputs = self.prepare(clips, fps)
        base = self.model.model  # without the language model's output layer, the largest product of all
        if self.settings.pooling == "vision":
            features = base.get_video_features(inputs["pixel_values_videos"], inputs["video_grid_thw"])
            # `last_hidden_state` would be in the order of the attention windows, before merging.
            rows = torch.stack([tokens.float().mean(0) for tokens in features.pooler_output])
        else:
            rows = self._pool(hidden_states(base, inputs, self.settings.layer), inputs)
        return rows.float().cpu().numpy()

    def _pool(self, hidden: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.settings.pooling == "last":
            return hidden[:, -1]  # padding is on the left, so this is the prompt's last token in every row
        mask = (inputs["mm_token_type_ids"] == VIDEO).unsqueeze(-1)
        return (hidden.float() * mask).sum(1) / mask.sum(1)

    @torch.inference_mode()
    def _caption_batch(self, clips: Sequence[np.ndarray], fps: float, max_new_tokens: int) -> list[str]:
        inputs = self.prepare(clips, fps)
        greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        tokens = self.model.generate(**inputs, max_new_tokens=max_new_tokens, **greedy)
        answers = tokens[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.tokenizer.batch_decode(answers, skip_special_tokens=True)]


def video_prompt(tokenizer, config: transformers.PretrainedConfig, prompt: str, video_tokens: int) -> str:
    """The prompt about one video in the checkpoint's own chat template, up to where the answer begins.

    Raises InputError if the template or the prompt leaves other than one place for the video.
    """
    content = [{"type": "video"}, {"type": "text", "text": prompt}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    pad = tokenizer.convert_ids_to_tokens(config.video_token_id)
    if pad is None or text.count(pad) != 1:
        raise InputError(
            f"the chat template and the prompt give {text.count(pad) if pad else 0} places for the video, and exactly "
            "one is needed: is this checkpoint's template one for videos?"
        )
    return text.replace(pad, pad * video_tokens)


def hidden_states(base: torch.nn.Module, inputs: dict[str, torch.Tensor], layer: int) -> torch.Tensor:
    """(N, tokens, width) hidden states of one layer; all layers are kept only when an inner one is asked for."""
    last = layer in (-1, base.config.get_text_config().num_hidden_layers)
    output = base(**inputs, use_cache=False, output_hidden_states=not last)
    return output.last_hidden_state if last else output.hidden_states[layer]


def check_video_tokens(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Raise InputError unless every row has as many video tokens as its clip fills, and at least one.

    A row without any would be answered from the text alone, and nothing else would show it.
    """
    if (found < 1).any() or not torch.equal(found.cpu(), expected.cpu()):
        raise InputError(
            f"the tokenizer made {found.tolist()} video tokens where the clips fill {expected.tolist()}: "
            "tokenizer and model configuration are not of one checkpoint"
        )


def patch_layout(config: transformers.PretrainedConfig) -> PatchLayout:
    """The patch sizes of a checkpoint's vision tower."""
    vision = config.vision_config
    return PatchLayout(patch=vision.patch_size, frames=vision.temporal_patch_size, merge=vision.spatial_merge_size)
