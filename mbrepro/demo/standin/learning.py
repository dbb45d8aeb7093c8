"""How the stand-in learns: captions through the language model, poses from the vision tower's tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import Qwen2_5_VLForConditionalGeneration as Model
from transformers import Qwen2Tokenizer

from mbrepro.demo.standin.examples import Example
from mbrepro.demo.standin.model import END_OF_TURN
from mbrepro.embedding.embedder import PROMPT
from mbrepro.embedding.packing import PatchLayout, patchify
from mbrepro.embedding.qwen import VIDEO, video_prompt

LAYOUT = PatchLayout()
POINTS = 14  # keypoints of both mice
IGNORED = -100  # targets that torch's cross-entropy leaves out


@dataclass(frozen=True)
class TrainSettings:
    """Of the training run; `steps` rather than minutes, so that the weights do not depend on the machine's speed.

    pose_weight: of the pose loss beside the caption loss. exposure: sd of the random gain and offset of the pixels.
    """

    steps: int = 2400
    batch: int = 8
    learning_rate: float = 1.5e-3
    warmup: int = 50
    weight_decay: float = 0.01
    pose_weight: float = 0.5
    exposure: float = 0.1
    vocabulary: int = 640
    seed: int = 0


class PoseReader(nn.Module):
    """Reads keypoints from the vision tower's merged tokens: which cell each is in, and where in the cell."""

    def __init__(self, width: int, frames: int = LAYOUT.frames):
        super().__init__()
        self.outputs = frames * POINTS
        self.cells = nn.Linear(width, self.outputs)
        self.places = nn.Linear(width, 2 * self.outputs)

    def loss(self, tokens: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the cell plus mean absolute error of the place in it, in cells.

        tokens: (N, t, rows, columns, width). points: (N, t, frames, POINTS, 2) in shares of the view.
        """
        n, t, rows, columns, _ = tokens.shape
        points = points.reshape(n * t, self.outputs, 2).clamp(0, 1 - 1e-4) * torch.tensor([columns, rows])
        cell = points.floor().long()
        target = cell[..., 1] * columns + cell[..., 0]  # (N * t, outputs)
        scores = self.cells(tokens).view(n * t, rows * columns, self.outputs)
        where = self.places(tokens).view(n * t, rows * columns, self.outputs, 2)
        chosen = where.gather(1, target[:, None, :, None].expand(-1, 1, -1, 2))[:, 0]
        return F.cross_entropy(scores, target) + F.l1_loss(chosen, points - cell)


def use_linear_patches(model: Model) -> None:
    """Embed patches by a matrix product with the Conv3d's own weights: the same values, at half the training time."""
    embed = model.model.visual.patch_embed
    embed.forward = lambda blocks: F.linear(blocks, embed.proj.weight.flatten(1))


def batches(examples: Sequence[Example], size: int, rng: np.random.Generator) -> Iterator[list[Example]]:
    """Batches of examples of one shape without end, every example once before any comes again."""
    shapes: dict[tuple, list[Example]] = {}
    for example in examples:
        shapes.setdefault((tuple(example.frames.shape), example.rate), []).append(example)
    while True:
        drawn = []
        for group in shapes.values():
            order = rng.permutation(len(group))
            drawn += [[group[i] for i in order[k : k + size]] for k in range(0, len(group), size)]
        for index in rng.permutation(len(drawn)):
            yield drawn[index]


def flipped(example: Example, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames and points, mirrored at random in each direction; the captions know neither left nor right."""
    frames, points = torch.from_numpy(example.frames), torch.tensor(example.points)
    for axis, dimension in ((0, 3), (1, 2)):  # x is the picture's last dimension
        if rng.random() < 0.5:
            frames = frames.flip(dimension)
            points[..., axis] = 1 - points[..., axis]
    return frames, points


def text_inputs(batch: Sequence[Example], tokenizer: Qwen2Tokenizer, model: Model, tokens: int) -> dict:
    """The prompt and each example's caption, and (N, L) targets: the caption's tokens, the rest ignored."""
    before = video_prompt(tokenizer, model.config, PROMPT, tokens)
    said = tokenizer([before + e.caption + END_OF_TURN for e in batch], padding_side="right", padding=True)
    ids, mask = torch.tensor(said["input_ids"]), torch.tensor(said["attention_mask"])
    targets = ids.masked_fill(mask == 0, IGNORED)
    targets[:, : len(tokenizer(before)["input_ids"])] = IGNORED
    types = (ids == model.config.video_token_id).int() * VIDEO
    return {"input_ids": ids, "attention_mask": mask, "mm_token_type_ids": types, "targets": targets}


def losses(
    model: Model,
    reader: PoseReader,
    tokenizer: Qwen2Tokenizer,
    batch: Sequence[Example],
    exposure: float,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Caption and pose loss of a batch of examples of one shape."""
    views = [flipped(example, rng) for example in batch]
    packed = [patchify(frames, LAYOUT) for frames, _ in views]
    light = torch.tensor(rng.normal((1, 0), exposure, (len(batch), 2)), dtype=torch.float32)
    pixels = torch.cat([blocks * gain + offset for (blocks, _), (gain, offset) in zip(packed, light, strict=True)])
    grids = torch.stack([grid for _, grid in packed])
    t, rows, columns = (grids[0] // torch.tensor([1, LAYOUT.merge, LAYOUT.merge])).tolist()
    features = model.model.get_video_features(pixels, grids)
    tokens = torch.stack(features.pooler_output).view(len(batch), t, rows, columns, -1)
    points = torch.stack([points for _, points in views]).view(len(batch), t, LAYOUT.frames, POINTS, 2)
    text = text_inputs(batch, tokenizer, model, t * rows * columns)
    targets = text.pop("targets")[:, 1:]
    hidden = model.model(
        **text,
        video_grid_thw=grids,
        second_per_grid_ts=torch.full((len(batch),), LAYOUT.frames / batch[0].rate),
        mm_encoder_outputs={"video": features},
        use_cache=False,
    ).last_hidden_state[:, :-1]
    said = targets != IGNORED
    return F.cross_entropy(model.lm_head(hidden[said]), targets[said]), reader.loss(tokens, points)


def learn(
    model: Model, tokenizer: Qwen2Tokenizer, examples: Sequence[Example], settings: TrainSettings
) -> Iterator[tuple[int, float, float]]:
    """Train the model in place; yields step, caption loss and pose loss after each step."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    use_linear_patches(model)
    reader = PoseReader(model.config.get_text_config().hidden_size)
    weights = [*model.parameters(), *reader.parameters()]
    optimizer = torch.optim.AdamW(weights, settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, settings.steps, pct_start=min(0.5, settings.warmup / settings.steps)
    )
    drawn = batches(examples, settings.batch, rng)
    model.train()
    for step in range(1, settings.steps + 1):
        said, posed = losses(model, reader, tokenizer, next(drawn), settings.exposure, rng)
        optimizer.zero_grad()
        (said + settings.pose_weight * posed).backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        yield step, said.item(), posed.item()
    model.eval()
