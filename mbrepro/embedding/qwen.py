"""Stage 2 with Qwen2-VL (Wang et al. 2024, arXiv 2409.12191) or Qwen2.5-VL (Bai et al. 2025, arXiv 2502.13923)."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from transformers import AutoModelForImageTextToText

from mbrepro.artifacts import versions
from mbrepro.data.clips import ClipSettings, frame_count
from mbrepro.embedding import checkpoint, cuda, packing
from mbrepro.embedding.embedder import EmbedderSettings, picture_shape
from mbrepro.embedding.packing import PatchLayout, Space, pack_clips, resized_shape
from mbrepro.embedding.store import ahead
from mbrepro.errors import InputError

VERSION = 1  # raise it when a view holds other values
VIDEO = 2  # the library's token type of a video token; text is 0
DEPTHS = (25, 50, 75, 100)  # per cent of the language layers
VIEWS = ("vision", *(f"last_{d}" for d in DEPTHS), *(f"video_{d}" for d in DEPTHS))
PROMPT_TOKENS = 30  # the poster's question in the chat template


class QwenVLEmbedder(checkpoint.CheckpointEmbedder):
    """Clip embeddings and captions from a Qwen2-VL checkpoint, and what its successors have in common with it.

    Views: "vision" is the mean of the vision tower's merged tokens, before the language model; "last_K" is the state of
    the prompt's last token after K % of the language layers and "video_K" the mean state of the video tokens there, 100
    being after the final norm.
    """

    views = VIEWS
    chosen = ("prompt", "max_pixels", "batch_size")
    code: ClassVar[dict[str, str]] = {__name__: str(VERSION), **versions(packing)}

    def __init__(self, settings: EmbedderSettings):
        super().__init__(settings)
        self.on_gpu = False
        if self.device != "cpu":
            self.use_gpu()

    def use_gpu(self, use: bool = True) -> None:
        """Pack, attend and place as a GPU does it quickly, see `cuda`, or as on a CPU."""
        self.on_gpu = use
        self.model.set_attn_implementation({"vision_config": cuda.ATTENTION if use else checkpoint.ATTENTION})
        own = getattr(self.config.vision_config, "intermediate_size", 0)
        cuda.widen_hidden(self.model.model.visual, -(-own // cuda.WIDTH) * cuda.WIDTH if use else own)
        self.identity |= versions(cuda) if use else {}

    def read(self, folder: Path) -> None:
        self.tokenizer = checkpoint.load_tokenizer(folder)
        self.layout = self.patch_layout(self.config)
        self.width = int(self.config.get_text_config().hidden_size)

    @staticmethod
    def patch_layout(config: transformers.PretrainedConfig) -> PatchLayout:
        """The patch sizes of a checkpoint's vision tower."""
        vision = config.vision_config
        return PatchLayout(vision.patch_size, vision.temporal_patch_size, vision.spatial_merge_size)

    @classmethod
    def cost(cls, settings: EmbedderSettings, clips: ClipSettings, frame: tuple[int, int]) -> tuple[int, float]:
        """See `ClipEmbedder.cost`; tokens are the video's."""
        config = checkpoint.read_config(checkpoint.find_config(settings.model))
        layout = cls.patch_layout(config)
        height, width = resized_shape(*picture_shape(clips, frame), settings.max_pixels, layout)
        pairs = -(-frame_count(clips) // layout.frames)
        tokens = pairs * height * width // (layout.patch * layout.merge) ** 2
        return tokens, clip_tflop(config, tokens)

    def embed(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, np.ndarray]:
        """Every view from one pass, see `ClipEmbedder`; InputError for clips of different numbers of frame pairs."""
        pairs = sorted({-(-len(clip) // self.layout.frames) for clip in clips})
        if len(pairs) > 1:
            raise InputError(f"clips embedded together must be as long as each other, not {pairs} pairs of frames")
        return self.gather(list(self.embed_each(self.batches(clips), fps)))

    def embed_each(self, batches: Iterable[Sequence[np.ndarray]], fps: float) -> Iterator[dict[str, np.ndarray]]:
        """See `CheckpointEmbedder.embed_each`; the next batch is packed meanwhile."""
        spaces = cycle([Space(), Space()])  # one is filled while the model looks at the other
        return map(self.forward, ahead(self.prepare(batch, fps, next(spaces)) for batch in batches))

    @torch.inference_mode()
    def caption(self, clips: Sequence[np.ndarray], fps: float, max_new_tokens: int = 80) -> list[str]:
        """Answer the prompt for each clip, choosing the most probable token each time."""
        greedy, captions = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}, []
        for batch in self.batches(clips):
            inputs = self.prepare(batch, fps)
            inputs.pop("position_ids", None)  # here the library's own go on with each token
            tokens = self.model.generate(**inputs, max_new_tokens=max_new_tokens, **greedy)
            answers = tokens[:, inputs["input_ids"].shape[1] :]
            captions += map(str.strip, self.tokenizer.batch_decode(answers, skip_special_tokens=True))
        return captions

    def prepare(self, clips: Sequence[np.ndarray], fps: float, space: Space | None = None) -> dict[str, torch.Tensor]:
        """Model inputs for one batch: the prompt in the checkpoint's chat template, padded on the left, and the frames.

        space: where the frames are put, see `pack_clips`.
        Raises InputError if the template or the prompt leaves other than one place for the video.
        """
        if not (np.isfinite(fps) and fps > 0):
            raise InputError(f"the sampled frame rate must be a positive number, not {fps}")
        size = clips, self.settings.max_pixels, self.layout
        pixels, grids = cuda.pack_clips_on(self.device, *size) if self.on_gpu else pack_clips(*size, space)
        tokens = grids.prod(1) // self.layout.merge**2  # (N,) video tokens of each clip
        kinds, kind_of = grids.unique(dim=0, return_inverse=True)  # clips of one size have one text
        texts = [self.text(grid, self.layout.frames / fps) for grid in kinds.tolist()]
        text = self.tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
        ids, attended = text["input_ids"][kind_of], text["attention_mask"][kind_of]
        video = ids == self.config.video_token_id
        check_video_tokens(video.sum(1), tokens)
        inputs = {
            "input_ids": ids,
            "attention_mask": attended,
            # Without the types the library gives video tokens plain 1-D positions and says nothing.
            "mm_token_type_ids": video.int() * VIDEO,
            "video_grid_thw": grids,
        }
        inputs |= self.times(len(clips), self.layout.frames / fps)
        if self.on_gpu:  # here, as hundreds of small steps there would each be waited for
            inputs["position_ids"], _ = self.model.model.get_rope_index(**inputs)
        inputs = {name: cuda.put(value, self.device) for name, value in inputs.items()}
        return inputs | {"pixel_values_videos": pixels.to(self.device, self.model.dtype)}

    def times(self, clips: int, step_seconds: float) -> dict[str, torch.Tensor]:
        """Inputs that tell when frames were filmed: none."""
        return {}

    def text(self, grid: Sequence[int], step_seconds: float) -> str:
        """The prompt about a clip of this many blocks in time, `step_seconds` apart, down and across."""
        return video_prompt(self.tokenizer, self.config, self.settings.prompt, prod(grid) // self.layout.merge**2)

    @torch.inference_mode()
    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
        """Every view of one batch that `prepare` made, (N, D) float32; only pooled states are kept."""
        base = self.model.model  # without the language model's output layer, the largest product of all
        mask = (inputs["mm_token_type_ids"] == VIDEO).unsqueeze(-1)
        found = {}

        def pool(percent: int, hidden: torch.Tensor) -> None:
            found[f"last_{percent}"] = hidden[:, -1].float()  # the prompt's last token, as padding is on the left
            found[f"video_{percent}"] = (hidden.float() * mask).sum(1) / mask.sum(1)

        def look(tokens: torch.Tensor) -> None:
            clips = tokens.float().split((inputs["video_grid_thw"].prod(1) // self.layout.merge**2).tolist())
            found["vision"] = torch.stack([clip.mean(0) for clip in clips])

        with watched(base, look, pool):
            pool(100, base(**inputs, use_cache=False).last_hidden_state)
        return {view: found[view].cpu().numpy() for view in VIEWS}


class Qwen25VLEmbedder(QwenVLEmbedder):
    """Qwen2.5-VL, which alone places frames by their seconds, in whole steps: above 4 a second pairs share a place."""

    def times(self, clips: int, step_seconds: float) -> dict[str, torch.Tensor]:
        """Seconds between the pairs of frames of each clip."""
        return {"second_per_grid_ts": torch.full((clips,), step_seconds)}


def video_prompt(
    tokenizer: transformers.PreTrainedTokenizerBase, config: transformers.PretrainedConfig, prompt: str,
    *video_tokens: int, said: Sequence[str] = (),
) -> str:  # fmt: skip
    """The prompt about each of some videos in the checkpoint's chat template, all but the last answered as `said`.

    video_tokens: of each video. Raises InputError unless the template has a place for each.
    """
    asked = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": prompt}]}
    answers = [{"role": "assistant", "content": [{"type": "text", "text": answer}]} for answer in said]
    turns = [turn for answer in answers for turn in (asked, answer)]
    text = tokenizer.apply_chat_template([*turns, asked], tokenize=False, add_generation_prompt=True)
    pad = tokenizer.convert_ids_to_tokens(config.video_token_id)
    first, *rest = text.split(pad) if pad else [text]
    if len(rest) != len(video_tokens):
        raise InputError(
            f"the chat template and the prompt give {len(rest)} places for the video, and exactly {len(video_tokens)} "
            "is needed: is this checkpoint's template one for videos?"
        )
    return first + "".join(pad * count + part for count, part in zip(video_tokens, rest, strict=True))


def layer_at(percent: int, layers: int) -> int:
    """How many of the language layers a state has passed at this share of the depth: at least one."""
    return max(1, layers * percent // 100)


@contextlib.contextmanager
def watched(
    base: torch.nn.Module, look: Callable[[torch.Tensor], None], pool: Callable[[int, torch.Tensor], None]
) -> Iterator[None]:
    """While the block runs, hand on the vision tower's merged tokens and the states after each chosen inner layer.

    Of the tower the pooled output is taken: its last hidden state is not merged and in the order of attention windows.
    """
    layers = base.language_model.layers
    hooks = [base.visual.register_forward_hook(lambda _, __, output: look(output.pooler_output))]
    for percent in DEPTHS[:-1]:

        def after(_: object, __: object, output: Any, percent: int = percent) -> None:
            pool(percent, output[0] if isinstance(output, tuple) else output)

        hooks.append(layers[layer_at(percent, len(layers)) - 1].register_forward_hook(after))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def check_video_tokens(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Raise InputError unless each row has its clip's video tokens: without any, the text alone is answered."""
    if (found < 1).any() or not torch.equal(found.cpu(), expected.cpu()):
        raise InputError(
            f"the tokenizer made {found.tolist()} video tokens where the clips fill {expected.tolist()}: "
            "tokenizer and model configuration are not of one checkpoint"
        )


def clip_tflop(config: transformers.PretrainedConfig, tokens: int) -> float:
    """10^12 operations of one forward pass over a clip of this many video tokens.

    Counted are two for every weight and place it is used at (patches in the vision tower, tokens from its merger on,
    without the embedding table) and the language model's attention; windowed attention among patches is left out.
    """
    with torch.device("meta"):  # shapes without memory
        base = AutoModelForImageTextToText.from_config(config).model
    text, parts = config.get_text_config(), (base.visual, base.visual.merger, base.language_model)
    tower, merger, language = (sum(weight.numel() for weight in part.parameters()) for part in parts)
    patches = tokens * config.vision_config.spatial_merge_size**2
    places = tokens + PROMPT_TOKENS
    products = (tower - merger) * patches + merger * tokens
    products += (language - base.language_model.embed_tokens.weight.numel()) * places
    products += 2 * text.num_hidden_layers * text.hidden_size * places**2
    return 2 * products / 1e12
