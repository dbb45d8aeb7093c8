"""Stage 1: poses → probability of each class at each frame.

The network is the 1D-CNN of the official CalMS21 baseline (github.com/dreamyang-liu/mab-e-opt-transport, a fork of the
CalMS21 baselines; Sun et al. 2021, arXiv:2104.02710): four classes and a window of ±200 frames make it that baseline
(`BASELINE`), two classes and ±100 frames the poster's localizer (`LOCALIZER`). It is published as a network on a
window; here one pass over a recording gives every frame's output, equal to the published network on that frame's
window.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from mbrepro.artifacts import replacing
from mbrepro.data.recordings import UNLABELLED, Recording, other_index
from mbrepro.errors import InputError

VERSION = 1  # raise it when training or inference gives other values

LOCALIZER_CLASSES: tuple[str, ...] = ("action", "other")  # the poster's coding: 0 is action
PUBLISHED_BATCH = 128  # windows a step in the official baseline
FEATURES = 28  # 2 mice x 7 keypoints x (x, y); of other animals, 2 x K x (x, y)
_FRAMES_AT_ONCE = 50_000  # bounds the memory of `localize` on long recordings


@dataclass(frozen=True)
class LocalizerSettings:
    """The network and its training, the official baseline's but for crops (see `fit_localizer`).

    classes: 2 for the localizer (`LOCALIZER_CLASSES`), 4 for the CalMS21 Task 1 baseline.
    context_before, context_after, step: a frame's window is its frames -before, -before + step, … up to +after.
    channels, kernel, dropout: of the convolution blocks, each followed by a maximum over pairs of samples.
    learning_rate: of Adam for a step that sees 128 frames, as published; it grows with the root of their number, which
    keeps the noise of Adam's steps the same (Malladi et al. 2022, arXiv:2205.10287).
    batch_crops, crop_samples, spread: an optimizer step sees this many stretches, of each this many frames, `step` x
    `spread` apart; spread is 1, 2, 4 … up to 2 to the number of poolings.

    Raises InputError if the window is too short for the convolutions or a number is out of range.
    """

    classes: int = 2
    context_before: int = 100
    context_after: int = 100
    step: int = 2
    channels: tuple[int, ...] = (128, 64, 32)
    kernel: int = 5
    dropout: float = 0.5
    learning_rate: float = 1e-3
    epochs: int = 15
    batch_crops: int = 32
    crop_samples: int = 16
    spread: int = 1

    def __post_init__(self) -> None:
        for name in ("classes", "step", "kernel", "epochs", "batch_crops", "crop_samples"):
            if getattr(self, name) < 1:
                raise InputError(f"localizer setting {name} must be at least 1, not {getattr(self, name)}")
        if min(self.context_before, self.context_after) < 0:
            raise InputError("localizer settings context_before and context_after must not be negative")
        if not 0 <= self.dropout < 1:
            raise InputError(f"localizer setting dropout must be at least 0 and below 1, not {self.dropout}")
        if self.spread not in [2**k for k in range(len(self.channels) + 1)]:
            raise InputError(f"localizer setting spread must be 1, 2, … up to {2 ** len(self.channels)}")
        if self.pooled_samples < 1:
            raise InputError(
                f"a window of {self.samples} samples is too short for {len(self.channels)} convolutions of kernel "
                f"{self.kernel}: raise context_before or context_after, or lower step"
            )

    @property
    def step_rate(self) -> float:
        """Adam's learning rate for steps of `batch_crops` x `crop_samples` frames."""
        return self.learning_rate * math.sqrt(self.batch_crops * self.crop_samples / PUBLISHED_BATCH)

    @property
    def samples(self) -> int:
        """Samples in a frame's window: 101 for ±100 frames, every 2nd."""
        return (self.context_before + self.context_after) // self.step + 1

    @property
    def pooled_samples(self) -> int:
        """Samples left of a window after the last pooling, which drops an odd sample as Keras does."""
        samples = self.samples
        for _ in self.channels:
            samples = (samples - self.kernel + 1) // 2
        return samples


LOCALIZER = LocalizerSettings(classes=2, context_before=100, context_after=100)  # the poster's: 50 samples each way
# The official generator steps past_frames and future_frames (100 each) by frame_skip (2); its causal form looks back.
# Spread crops make an epoch of the long window a third cheaper, and held-out train animals are named no worse.
BASELINE = LocalizerSettings(classes=4, context_before=200, context_after=200, spread=2)
CAUSAL = replace(BASELINE, context_after=0, spread=1)


class _Pool(torch.autograd.Function):
    """ReLU → maximum of each two neighbours → dropout; the pairs from an even and from an odd start are two phases.

    x: (B, C, L). Of one phase it is what F.relu, F.max_pool1d and F.dropout give, (B, C, L // 2), from the same draws;
    of two (2 B, C, (L - 1) // 2). The library's own functions take three times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, phases: int, dropout: float) -> torch.Tensor:
        pairs = (x.shape[-1] - phases + 1) // 2
        larger = x.new_empty(phases * x.shape[0], x.shape[1], pairs)
        ahead = torch.empty_like(larger)
        for k, (top, lead) in enumerate(zip(larger.chunk(phases), ahead.chunk(phases), strict=True)):
            left, right = x[..., k : k + 2 * pairs : 2], x[..., k + 1 : k + 1 + 2 * pairs : 2]
            torch.maximum(left, right, out=top)
            torch.sub(right, left, out=lead)
        larger.relu_()
        ctx.shape, ctx.phases, ctx.scale = x.shape, phases, 1 / (1 - dropout)
        if dropout:
            larger.mul_(_kept(larger, phases, dropout).mul_(ctx.scale))
        ctx.save_for_backward(larger, ahead)
        return larger

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        larger, ahead = ctx.saved_tensors
        left = _where_positive(gradient * ctx.scale, larger, 0)
        right = _where_positive(left, ahead, 0)  # of two that are equal, the left one
        left -= right
        out, width = gradient.new_zeros(ctx.shape), 2 * gradient.shape[-1]
        for k, (a, b) in enumerate(zip(left.chunk(ctx.phases), right.chunk(ctx.phases), strict=True)):
            out[..., k : k + width : 2].add_(a)
            out[..., k + 1 : k + 1 + width : 2].add_(b)
        return out, None, None


_where_positive = torch.ops.aten.threshold_backward  # gradient, where, 0


def _kept(x: torch.Tensor, phases: int, dropout: float) -> torch.Tensor:
    """1 where dropout keeps an element of x, else 0; of one phase from the very draws of F.dropout."""
    if phases == 1:  # what bernoulli_ draws, in a third of its time
        return torch.rand_like(x, dtype=torch.float64).lt_(1 - dropout).to(x.dtype)
    drawn = torch.rand(len(x) // 2, x.shape[1], 2 * x.shape[2], dtype=x.dtype, device=x.device)
    return torch.cat([drawn[..., ::2], drawn[..., 1::2]]).ge_(dropout)


class PoseCNN(nn.Module):
    """BatchNorm → n x [Conv1d, valid → BatchNorm → ReLU → MaxPool 2 → Dropout] → Flatten → Linear, in two equal forms.

    features: coordinates a frame, below written as the 28 of two mice.
    Weights start as Keras starts them (Glorot uniform, zero bias) and BatchNorm has Keras's epsilon, 1e-3. Its momentum
    is PyTorch's .1 and not Keras's .99 (.01 in PyTorch's terms): a dense epoch has far fewer, larger steps than the
    published one, and running statistics that average 100 of them would lag behind the weights.
    """

    def __init__(self, settings: LocalizerSettings, features: int = FEATURES):
        super().__init__()
        self.settings = settings
        self.input_norm = nn.BatchNorm1d(features, eps=1e-3)
        widths = (features, *settings.channels)
        self.convs = nn.ModuleList(nn.Conv1d(a, b, settings.kernel) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width, eps=1e-3) for width in settings.channels)
        self.classify = nn.Linear(widths[-1] * settings.pooled_samples, settings.classes)
        for layer in (*self.convs, self.classify):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def normalise_input(self, features: Sequence[np.ndarray]) -> None:
        """Take the mean and variance that the first BatchNorm uses from all features, each (T, 28), once and for all.

        In the published training a step's 128 windows lie all over the train recordings, their statistics near those of
        all frames. A step of crops lies in few places; normalised by its own, where the mice are would be lost.
        """
        pooled = np.concatenate(features)
        self.input_norm.running_mean.copy_(torch.from_numpy(pooled.mean(0)))
        self.input_norm.running_var.copy_(torch.from_numpy(pooled.var(0)))

    def train(self, mode: bool = True) -> "PoseCNN":
        """As of torch.nn.Module, but the input's statistics stay those of `normalise_input`."""
        super().train(mode)
        self.input_norm.eval()
        return self

    def forward_windows(self, windows: torch.Tensor) -> torch.Tensor:
        """The published form: windows (B, 28, samples) → logits (B, classes)."""
        x = self.input_norm(windows)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self._pool(norm(conv(x)), 1)
        return self.classify(x.flatten(1))

    def scores(self, recording: Recording) -> np.ndarray:
        """As `localize`."""
        return localize(self, recording)

    def _pool(self, x: torch.Tensor, phases: int) -> torch.Tensor:
        return _Pool.apply(x, phases, self.settings.dropout if self.training else 0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The dense form: x (B, 28, context_before + T + context_after) → logits (B, classes, T).

        Neighbouring frames' windows share almost all their samples, but each window keeps only every `step`-th frame
        and pools its own pairs. So frames are folded into phases on the batch axis (P, B): within phase p, element l
        belongs to frame l P + p, and convolving a phase convolves all its windows at once. A pooling may pair elements
        from an even or an odd start; both are kept, as 2 P phases. Nothing is computed twice.
        """
        s = self.settings
        return self._dense(x, x.shape[-1] - s.context_before - s.context_after, s.step)

    def forward_samples(self, x: torch.Tensor, spread: int = 1) -> torch.Tensor:
        """The dense form for every `step` x `spread`-th frame: x (B, 28, spread T + samples - 1) → (B, classes, T).

        x holds every `step`-th frame only. The first poolings are then those of a single window, as each window's pairs
        are the next one's.
        """
        return self._dense(x, (x.shape[-1] - self.settings.samples + 1) // spread, 1, spread)

    def _dense(self, x: torch.Tensor, frames: int, step: int, spread: int = 1) -> torch.Tensor:
        s = self.settings
        phases = step * 2 ** len(self.convs) // spread
        length = -(-frames // phases) * phases * spread + step * (s.samples - 1)
        x = F.pad(self.input_norm(x), (0, length - x.shape[-1]))
        x = x.unflatten(-1, (-1, step)).permute(3, 0, 1, 2).flatten(0, 1)  # (step B, 28, length / step)
        for k, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = self._pool(norm(conv(x)), 1 if 2**k < spread else 2)  # (P B, C, pairs), or (2 P B, …)
        kernel = self.classify.weight.unflatten(1, (-1, s.pooled_samples))  # Linear on a window = kernel of its length
        x = F.conv1d(x, kernel, self.classify.bias)  # (P B, classes, frames / P)
        return x.unflatten(0, (phases, -1)).permute(1, 2, 3, 0).flatten(2)[..., :frames]


def pose_features(recording: Recording) -> np.ndarray:
    """The network's input: (T, 28) float32 in the order animal, part, (x, y), as fractions of the frame's size."""
    scaled = recording.keypoints / np.asarray(recording.frame_size, np.float32)
    return scaled.reshape(len(recording), -1)


def action_labels(labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """(T,) int64 labels of classes as those of `LOCALIZER_CLASSES`: 0 any behaviour, 1 other, or `UNLABELLED`."""
    return np.where(labels == UNLABELLED, labels, labels == other_index(classes)).astype(np.int64)


def localize(model: PoseCNN, recording: Recording) -> np.ndarray:
    """Softmax probabilities (T, classes) of every frame, in the precision of the network's weights.

    Raises InputError if the network was trained on animals of another number of points.
    """
    context = (model.settings.context_before, model.settings.context_after)
    features = np.pad(pose_features(recording), (context, (0, 0)))
    if features.shape[1] != (known := model.input_norm.num_features):
        raise InputError(f"{recording.name}: {features.shape[1]} coordinates a frame, and the network knows {known}")
    parts = []
    model.eval()
    with torch.inference_mode():
        for first in range(0, len(recording), _FRAMES_AT_ONCE):
            x = torch.from_numpy(features[first : first + _FRAMES_AT_ONCE + sum(context)].T.copy())
            parts.append(model(x[None].to(model.classify.weight.dtype))[0].softmax(0).T.numpy())
    return np.concatenate(parts)


def action_probability(scores: np.ndarray) -> np.ndarray:
    """(T,) P(action) of class probabilities (T, C), whose last class is "other": the sum of all before it."""
    return np.minimum(scores[:, :-1].sum(1), 1)


def save_localizer(path: Path, model: PoseCNN) -> None:
    """Write weights and settings as one safetensors file, whole or not at all."""
    with replacing(Path(path)) as temporary:
        save_file(model.state_dict(), temporary, metadata={"settings": json.dumps(asdict(model.settings))})


def load_localizer(path: Path) -> PoseCNN:
    """Read what `save_localizer` wrote, in evaluation mode; InputError if the file is absent or something else."""
    try:
        with safe_open(path, "pt") as file:
            stored = json.loads((file.metadata() or {})["settings"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, the file is no dict
        tuples = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
        model = PoseCNN(LocalizerSettings(**{**stored, **tuples}), len(weights["input_norm.weight"]))
        model.load_state_dict(weights)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such localizer file") from error
    except (
        SafetensorError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        raise InputError(f"{path}: this is not a localizer that mbrepro saved; train it again") from error
    return model.eval()
