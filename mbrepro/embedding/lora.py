"""Fine-tuning a Qwen-VL on labelled train clips with low-rank adapters (LoRA: Hu et al. 2021, arXiv 2106.09685)."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from mbrepro.artifacts import write_json
from mbrepro.data.recordings import split_by_animal
from mbrepro.embedding import embedder_class
from mbrepro.embedding.checkpoint import new_folder
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.qwen import VIDEO, QwenVLEmbedder
from mbrepro.errors import InputError

VIEWS = ("last_100", "video_100")
# The attention projections of the language layers and of the vision tower's blocks.
LANGUAGE = r".*language_model\.layers\.\d+\.self_attn\.[qkvo]_proj"
VISION = r".*visual\.blocks\.\d+\.attn\.(qkv|proj)"


@dataclass(frozen=True)
class LoraSettings:
    """How a model is fine-tuned: a linear classifier reads a view of each clip, adapters change what the view shows.

    view: "last_100", the last layer at the prompt's last token, or "video_100", its mean over the video tokens.
    rank, alpha: of the adapters; their product is scaled by alpha / rank. vision: adapt the vision tower's attention
    too. validation_fraction: share of the animals held out; the epoch with the least loss on them is kept.
    batch_size: clips in one step. seed: of the split, the adapters, the classifier and the clips' order.

    Raises InputError naming the setting that is wrong.
    """

    view: str = "video_100"
    rank: int = 8
    alpha: int = 16
    vision: bool = True
    epochs: int = 5
    batch_size: int = 4
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    validation_fraction: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise InputError(f"the view to fine-tune must be one of {', '.join(VIEWS)}, not {self.view!r}")
        for name in ("rank", "alpha", "epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"fine-tuning setting {name} must be positive, not {getattr(self, name)}")
        if not 0 < self.validation_fraction < 1:
            raise InputError(f"validation_fraction must lie between 0 and 1, not {self.validation_fraction}")


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """A train clip: (F, H, W, 3) uint8 frames, the index of its class, and the animal it shows."""

    frames: np.ndarray
    label: int
    animal: str


def fine_tune(
    model: EmbedderSettings, clips: Sequence[LabelledClip], classes: int, fps: float, folder: Path,
    settings: LoraSettings = LoraSettings(),
) -> Path:  # fmt: skip
    """Fine-tune a Qwen-VL on clips of the train animals, and write it into `folder`, a checkpoint like any other.

    The adapters are merged into the weights, so `load_embedder` reads the folder and every view comes from it. Beside
    them lie the classifier (`head.safetensors`) and what was done (`fine_tuning.json`: settings, losses by epoch,
    animals, the identity of the model begun with). The folder is written whole or not at all.

    Raises InputError if peft is not installed, the folder exists, the model is no Qwen-VL, there are fewer than two
    animals, or a label is none of the classes.
    """
    check_start(folder, model)
    labels = [clip.label for clip in clips]
    if not labels or min(labels) < 0 or max(labels) >= classes:
        raise InputError(f"labels to fine-tune on must be from 0 to {classes - 1}, and there must be some")
    fit, held_out = split_by_animal(clips, settings.validation_fraction, settings.seed)
    embedder = embedder_class(model.model)(model)
    adapted, head = add_adapters(embedder, classes, settings)
    history = list(train(embedder, adapted, head, fit, held_out, fps, settings))
    done = {
        "settings": dataclasses.asdict(settings),
        "begun_with": embedder.identity,
        "classes": classes,
        "animals": sorted({clip.animal for clip in fit}),
        "held_out_animals": sorted({clip.animal for clip in held_out}),
        "epochs": history,
    }
    return save(embedder, adapted, head, done, folder)


def check_start(folder: Path, model: EmbedderSettings) -> None:
    """Raise InputError if the folder exists, peft is not installed, or the model is not there or no Qwen-VL."""
    if folder.exists():
        raise InputError(f"{folder}: exists already; give a new folder for the fine-tuned model")
    _peft()
    kind = embedder_class(model.model)
    if not issubclass(kind, QwenVLEmbedder):
        raise InputError(f"{model.model}: only a Qwen-VL can be fine-tuned, and this is none")
    kind.check(model)


def _peft() -> ModuleType:
    try:
        import peft
    except ImportError:
        raise InputError("fine-tuning needs peft, which is not installed: run make extras") from None
    return peft


def add_adapters(embedder: QwenVLEmbedder, classes: int, settings: LoraSettings) -> tuple[nn.Module, nn.Linear]:
    """Put adapters into the embedder's model, and make a classifier; at first they change nothing."""
    peft = _peft()
    torch.manual_seed(settings.seed)
    target = f"{LANGUAGE}|{VISION}" if settings.vision else LANGUAGE
    config = peft.LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules=target)
    adapted = peft.get_peft_model(embedder.model, config)
    return adapted, nn.Linear(embedder.width, classes).to(embedder.device)


def train(
    embedder: QwenVLEmbedder, adapted: nn.Module, head: nn.Linear, fit: Sequence[LabelledClip],
    held_out: Sequence[LabelledClip], fps: float, settings: LoraSettings,
) -> Iterator[dict[str, float]]:  # fmt: skip
    """Train adapters and classifier in place; yields the losses after each epoch, and ends at the best one's weights.

    Epoch 0 is before training. Losses are cross-entropies in nats, means over clips.
    """
    weights, optimizer = learners(adapted, head, settings)
    rng = np.random.default_rng(settings.seed)
    best, least = [weight.detach().clone() for weight in weights], np.inf
    for epoch in range(settings.epochs + 1):
        order = rng.permutation(len(fit))
        if epoch:
            for start in range(0, len(fit), settings.batch_size):
                batch = [fit[i] for i in order[start : start + settings.batch_size]]
                step(embedder, head, batch, fps, settings, optimizer, weights)
        parts = (("train_loss", fit), ("validation_loss", held_out))
        losses = {name: mean_loss(embedder, head, part, fps, settings) for name, part in parts}
        if losses["validation_loss"] < least:
            least, best = losses["validation_loss"], [weight.detach().clone() for weight in weights]
        yield {"epoch": epoch, **losses}
    with torch.no_grad():
        for weight, kept in zip(weights, best, strict=True):
            weight.copy_(kept)


def learners(
    adapted: nn.Module, head: nn.Linear, settings: LoraSettings
) -> tuple[list[nn.Parameter], torch.optim.Optimizer]:
    """The weights that learn, and their optimizer."""
    weights = [weight for weight in [*adapted.parameters(), *head.parameters()] if weight.requires_grad]
    return weights, torch.optim.AdamW(weights, settings.learning_rate, weight_decay=settings.weight_decay)


def step(
    embedder: QwenVLEmbedder, head: nn.Linear, batch: Sequence[LabelledClip], fps: float, settings: LoraSettings,
    optimizer: torch.optim.Optimizer, weights: Sequence[nn.Parameter],
) -> float:  # fmt: skip
    """Learn from one batch; returns its mean loss before."""
    optimizer.zero_grad()
    loss = clip_losses(embedder, head, batch, fps, settings.view).mean()
    loss.backward()
    nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    return loss.item()


def clip_losses(
    embedder: QwenVLEmbedder, head: nn.Linear, clips: Sequence[LabelledClip], fps: float, view: str
) -> torch.Tensor:
    """(N,) cross-entropies of the classifier on one batch of clips."""
    inputs = embedder.prepare([clip.frames for clip in clips], fps)
    hidden = embedder.model.model(**inputs, use_cache=False).last_hidden_state.float()
    if view == "last_100":
        pooled = hidden[:, -1]
    else:
        mask = (inputs["mm_token_type_ids"] == VIDEO).unsqueeze(-1)
        pooled = (hidden * mask).sum(1) / mask.sum(1)
    labels = torch.tensor([clip.label for clip in clips], device=pooled.device)
    return F.cross_entropy(head(pooled), labels, reduction="none")


@torch.no_grad()
def mean_loss(
    embedder: QwenVLEmbedder, head: nn.Linear, clips: Sequence[LabelledClip], fps: float, settings: LoraSettings
) -> float:
    """Mean loss over clips, in batches of consecutive ones."""
    size = settings.batch_size
    batches = (clips[start : start + size] for start in range(0, len(clips), size))
    return float(torch.cat([clip_losses(embedder, head, batch, fps, settings.view) for batch in batches]).mean())


def save(embedder: QwenVLEmbedder, adapted: nn.Module, head: nn.Linear, done: dict[str, object], folder: Path) -> Path:
    """Merge the adapters and write model, tokenizer, classifier and record into a new folder; returns it."""
    merged = adapted.merge_and_unload()
    embedder.use_gpu(False)  # for weights of the shapes that its configuration tells
    with new_folder(folder) as temporary:
        merged.save_pretrained(temporary)
        embedder.tokenizer.save_pretrained(temporary)
        save_file({name: value.cpu() for name, value in head.state_dict().items()}, temporary / "head.safetensors")
        write_json(temporary / "fine_tuning.json", done)
    return folder
