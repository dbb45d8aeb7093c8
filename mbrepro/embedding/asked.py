"""A vision-language model asked directly: how likely it finds each of some answers about a clip, in one pass."""

from collections.abc import Sequence

import numpy as np
import torch

from mbrepro.artifacts import fingerprint
from mbrepro.embedding.packing import pack_clips
from mbrepro.embedding.qwen import VIDEO, QwenVLEmbedder, check_video_tokens, video_prompt
from mbrepro.errors import InputError

VERSION = 1  # raise it when answers get other values
CAN_BE_ASKED = ("qwen2_vl", "qwen2_5_vl")  # model_type; Qwen3-VL puts times between the pictures of a clip
GREY = 127


class Asked:
    """Log-probabilities of answers about clips, as a `ClipEmbedder`, so that they are stored as embeddings are.

    Views, (N, C) of C answers: "answers" is the log-probability of an answer's tokens and of the end of the turn;
    "calibrated" is that less what a clip without content, all grey, gives (contextual calibration: Zhao et al. 2021,
    ICML, arXiv:2102.09690).

    All answers share one pass: they stand behind the question one after another, each where it would stand alone, and
    the attention mask hides them from each other. shown: clips (F, H, W, 3) with their answers, which come before as
    turns of the conversation. Raises InputError for a model that cannot be asked so, and without answers.
    """

    takes, views, small = "pixels", ("answers", "calibrated"), False

    def __init__(
        self, model: QwenVLEmbedder, question: str, answers: Sequence[str],
        shown: Sequence[tuple[np.ndarray, str]] = (),
    ):  # fmt: skip
        if not can_be_asked(model):
            raise InputError(f"{model.settings.model} cannot be asked; take a Qwen2-VL or Qwen2.5-VL checkpoint")
        if not answers:
            raise InputError("answers are missing: name the classes that the model is asked about")
        self.model, self.settings, self.question, self.shown = model, model.settings, question, list(shown)
        tokens = [[*model.tokenizer(a).input_ids, model.tokenizer.eos_token_id] for a in answers]
        self.tokens = torch.tensor([token for answer in tokens for token in answer])  # (A,)
        self.owner = torch.tensor([place for place, answer in enumerate(tokens) for _ in answer])
        self.step = torch.tensor([step for answer in tokens for step in range(len(answer))])
        told = {"question": question, "answers": list(answers), "shown": fingerprint(*map(list, shown))}
        self.identity = model.identity | told | {__name__: str(VERSION)}

    def embed(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, np.ndarray]:
        """See `ClipEmbedder`; the clip without content is as large as the first."""
        if not len(clips):
            return dict.fromkeys(self.views, np.zeros((0, int(self.owner.max()) + 1), np.float32))
        answers = np.concatenate([self.log_probabilities(batch, fps) for batch in self.model.batches(clips)])
        nothing = self.log_probabilities([np.full_like(clips[0], GREY)], fps)
        return {"answers": answers, "calibrated": answers - nothing}

    @torch.inference_mode()
    def log_probabilities(self, clips: Sequence[np.ndarray], fps: float) -> np.ndarray:
        """(N, C) float32: log-probability of each answer, given each clip."""
        inputs, model = self.prepare(clips, fps), self.model.model
        before = inputs["input_ids"].shape[1] - len(self.tokens)  # the question's length
        hidden = model.model(**inputs, use_cache=False).last_hidden_state
        places = torch.where(self.step == 0, before - 1, before - 1 + torch.arange(len(self.tokens)))
        found = model.lm_head(hidden[:, places]).float().log_softmax(-1)  # (N, A, vocabulary)
        each = found.gather(2, self.tokens.to(found.device).expand(len(clips), -1)[..., None])[..., 0].cpu()
        return torch.zeros(len(clips), int(self.owner.max()) + 1).index_add_(1, self.owner, each).numpy()

    def prepare(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, torch.Tensor]:
        """Inputs of one pass over a batch: each clip's conversation, padded on the left, and all answers behind it."""
        own, examples = self.model, [clip for clip, _ in self.shown]
        videos = [video for clip in clips for video in (*examples, clip)]
        pixels, grids = pack_clips(videos, own.settings.max_pixels, own.layout)
        tokens = (grids.prod(1) // own.layout.merge**2).view(len(clips), -1)
        said = [answer for _, answer in self.shown]
        texts = [video_prompt(own.tokenizer, own.config, self.question, *row, said=said) for row in tokens.tolist()]
        text = own.tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
        ids, attended = text["input_ids"], text["attention_mask"]
        video = ids == own.config.video_token_id
        check_video_tokens(video.sum(1), tokens.sum(1))
        seen = {"video_grid_thw": grids} | own.times(len(videos), own.layout.frames / fps)
        kinds = {"attention_mask": attended, "mm_token_type_ids": video.int() * VIDEO}
        positions, _ = own.model.model.get_rope_index(ids, **kinds, **seen)  # (3, N, L)
        behind = self.tokens.expand(len(clips), -1)
        inputs = seen | {
            "input_ids": torch.cat([ids, behind], 1),
            "mm_token_type_ids": torch.cat([kinds["mm_token_type_ids"], torch.zeros_like(behind)], 1).int(),
            "attention_mask": branching(attended, self.owner),
            "position_ids": torch.cat([positions, positions[..., -1:] + 1 + self.step], 2),
            "pixel_values_videos": pixels.to(own.model.dtype),
        }
        return {name: value.to(own.device) for name, value in inputs.items()}


def can_be_asked(model: object) -> bool:
    """Whether an embedder is one that `Asked` takes."""
    return isinstance(model, QwenVLEmbedder) and model.config.model_type in CAN_BE_ASKED


def branching(attended: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """(N, 1, L + A, L + A) bool, what each token sees: what came before it, of the answers (A,) its own alone.

    attended: (N, L), 0 at padding, which sees itself alone.
    """
    rows, length = attended.shape
    whole = torch.cat([attended.bool(), torch.ones(rows, len(owner), dtype=torch.bool)], 1)
    seen = whole[:, None] & torch.ones(whole.shape[1], whole.shape[1], dtype=torch.bool).tril()
    seen[:, length:, length:] &= owner[:, None] == owner
    return (seen | torch.eye(whole.shape[1], dtype=torch.bool))[:, None]
