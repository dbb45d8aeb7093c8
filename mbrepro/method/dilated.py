"""Stage 1 by a small dilated network on pose features: sees long and near at once, and learns where bouts begin.

Residual layers of convolutions whose steps widen twofold, and the loss that keeps neighbouring frames alike, are
MS-TCN's (Farha and Gall 2019, CVPR); outputs that are trained along and tell boundaries are as in ASRF (Ishikawa et
al. 2021, WACV). The frame's own features go in, no windows of them: the network makes its own.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mbrepro.data.recordings import UNLABELLED, Recording, runs
from mbrepro.errors import InputError
from mbrepro.method import extent
from mbrepro.method.features import frame_features, posture_features

VERSION = 1  # raise it when the same recordings give other scores
SMOOTHING, LARGEST = 0.15, 4.0  # weight of MS-TCN's loss between neighbours, and the difference it is cut at
BOUNDARY_S = 0.2  # frames so near to an onset or offset are taught as such
CLIPPED = 5.0  # of standardised features: a tracker's slip is no speed


@dataclass(frozen=True)
class DilatedSettings:
    """The network and its training.

    step: every so-manieth frame is seen; the frames between form sequences of their own. width, layers: channels, and
    residual layers, whose reach is 2^layers - 1 steps. crop: steps of a stretch learned from, `batch` stretches at a
    time. epochs: passes over one of the `step` sequences of each recording. rate: Adam's highest, rising and falling
    once (one cycle). rare: classes weigh by their share of frames to the power of minus this.
    Raises InputError if a number is out of range.
    """

    step: int = 3
    width: int = 48
    layers: int = 6
    dropout: float = 0.3
    crop: int = 200
    batch: int = 16
    epochs: int = 10
    rate: float = 4e-3
    rare: float = 0.5

    def __post_init__(self) -> None:
        for name in ("step", "width", "layers", "crop", "batch", "epochs"):
            if getattr(self, name) < 1:
                raise InputError(f"dilated setting {name} must be at least 1, not {getattr(self, name)}")
        if not (0 <= self.dropout < 1 and self.rate > 0 and self.rare >= 0):
            raise InputError("dilated settings: dropout from 0 to below 1, rate above 0, rare at least 0")


class Dilated(nn.Module):
    """Features (B, F, L) → logits (B, outputs, L): classes, onset and offset near, and both distances' bins."""

    def __init__(self, features: int, classes: int, settings: DilatedSettings):
        super().__init__()
        self.classes, self.settings = classes, settings
        self.register_buffer("middle", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        width = settings.width
        self.into = nn.Conv1d(features, width, 1)
        self.near = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=2**k, dilation=2**k) for k in range(settings.layers)
        )
        self.mix = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(settings.layers))
        self.out = nn.Conv1d(width, classes + 2 + 2 * extent.COUNT, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.into(x)
        for near, mix in zip(self.near, self.mix, strict=True):
            x = x + F.dropout(mix(F.relu(near(x))), self.settings.dropout, self.training)
        return self.out(F.relu(x))

    def scores(self, recording: Recording) -> np.ndarray:
        """(T, C) float32 probabilities of the classes of every frame."""
        return self._logits(recording)[:, : self.classes].softmax(1).numpy()

    def reach(self, recording: Recording) -> np.ndarray:
        """(T, 2) seconds from every frame back to its bout's onset and on to its offset, were it in one."""
        bins = self._logits(recording)[:, self.classes + 2 :].unflatten(1, (2, extent.COUNT))
        return extent.expected(bins.softmax(2).numpy())

    def standardise(self, features: np.ndarray) -> np.ndarray:
        """(T, F) float32 with mean 0 and variance 1 over the frames learned from; 0 where nothing was seen."""
        scaled = (features - self.middle.numpy()) / self.spread.numpy()
        return np.nan_to_num(np.clip(scaled, -CLIPPED, CLIPPED), nan=0.0)

    def _logits(self, recording: Recording) -> torch.Tensor:
        """(T, outputs); every sequence of frames `step` apart by itself."""
        x = torch.from_numpy(self.standardise(inputs(recording)))
        step, found = self.settings.step, torch.empty(len(x), self.out.out_channels)
        self.eval()
        with torch.inference_mode():
            for first in range(min(step, len(x))):
                found[first::step] = self(x[first::step].T[None])[0].T
        return found


def inputs(recording: Recording) -> np.ndarray:
    """(T, F) float32: features of single frames, NaN where the points were not seen, and which points were."""
    parts = [
        np.where(seen, values, np.nan) for values, seen in (frame_features(recording), posture_features(recording))
    ]
    return np.concatenate([*parts, recording.tracked.reshape(len(recording), -1)], 1, dtype=np.float32)


def targets(labels: np.ndarray, classes: Sequence[str], fps: float) -> np.ndarray:
    """(T, 5) int64: class, whether an onset and an offset of a run is near, and the bins of the distances to them.

    `UNLABELLED` where nothing is to be learned.
    """
    near = np.zeros((len(labels), 2), np.int64)
    reach = round(BOUNDARY_S * fps)
    for start, stop, value in runs(labels):
        if value != UNLABELLED:
            near[max(0, start - reach) : start + reach + 1, 0] = 1
            near[max(0, stop - reach) : stop + reach + 1, 1] = 1
    near[labels == UNLABELLED] = UNLABELLED
    return np.concatenate([labels[:, None], near, extent.bins(extent.distances(labels, classes, fps))], 1)


def fit_dilated(
    recordings: Sequence[Recording], labels: Sequence[np.ndarray], classes: int, settings: DilatedSettings, seed: int
) -> Dilated:
    """The network trained on recordings of one skeleton, in evaluation mode; one seed gives one network on one thread.

    labels: (T,) int64 class index or `UNLABELLED` for each recording. Raises InputError if no frame is labelled, or the
    recordings' parts differ.
    """
    if len({recording.skeleton for recording in recordings}) > 1:
        raise InputError("recordings learned from together must have the same parts, front and rear")
    counts = sum(np.bincount(part[part != UNLABELLED], minlength=classes) for part in labels)
    if not counts.sum():
        raise InputError("there is no labelled frame to learn from")
    weights = np.where(counts, np.maximum(counts, 1) / counts.sum(), 1) ** -settings.rare
    weights = torch.tensor(weights / (weights * counts).sum() * counts.sum(), dtype=torch.float32)
    features = [inputs(recording) for recording in recordings]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        model = Dilated(features[0].shape[1], classes, settings)
        pooled = np.ma.masked_invalid(np.concatenate(features))
        model.middle.copy_(torch.from_numpy(pooled.mean(0).filled(0)))
        model.spread.copy_(torch.from_numpy(pooled.std(0).filled(1)).clamp(min=1e-3))
        features = [model.standardise(values) for values in features]
        taught = [targets(part, r.classes, r.fps) for part, r in zip(labels, recordings, strict=True)]
        _train(model, features, taught, weights, rng)
    return model.eval()


def _train(
    model: Dilated, features: Sequence[np.ndarray], taught: Sequence[np.ndarray], weights: torch.Tensor,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    s = model.settings
    tiles = sum(math.ceil(len(values) / (s.step * s.crop)) + 1 for values in features)
    steps = s.epochs * math.ceil(tiles / s.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=s.rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, s.rate, total_steps=steps)
    model.train()
    for _ in range(s.epochs):
        for x, y in _batches(features, taught, s, rng):
            optimizer.zero_grad()
            _loss(model(x), y, weights).backward()
            optimizer.step()
            schedule.step()


def _batches(
    features: Sequence[np.ndarray], taught: Sequence[np.ndarray], s: DilatedSettings, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled batches of stretches: features (B, F, crop) and targets (B, 5, crop), `step` frames apart.

    Every recording is tiled from a random frame before its start, so that no frame is always at an edge.
    """
    span, tiles = s.step * s.crop, []
    for values, known in zip(features, taught, strict=True):
        count = math.ceil(len(values) / span) + 1
        before = int(rng.integers(span))
        sizes = (before, count * span - before - len(values))
        x = np.pad(values, (sizes, (0, 0)))[:: s.step]
        y = np.pad(known, (sizes, (0, 0)), constant_values=UNLABELLED)[:: s.step]
        tiles += list(zip(np.split(x, count), np.split(y, count), strict=True))
    order = rng.permutation(len(tiles))
    for first in range(0, len(order), s.batch):
        x, y = zip(*(tiles[k] for k in order[first : first + s.batch]), strict=True)
        yield torch.from_numpy(np.stack(x)).transpose(1, 2), torch.from_numpy(np.stack(y)).transpose(1, 2)


def _loss(logits: torch.Tensor, y: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Of classes, of neighbours, of boundaries and of distances; what is `UNLABELLED` counts nowhere."""
    classes = len(weights)
    named, known = logits[:, :classes], y[:, 0] != UNLABELLED
    if not known.any():
        return logits.sum() * 0
    loss = F.cross_entropy(named, y[:, 0], weights, ignore_index=UNLABELLED)
    told = named.log_softmax(1)
    change = (told[..., 1:] - told[..., :-1].detach()).abs().clamp(max=LARGEST)
    loss = loss + SMOOTHING * (change**2).mean()
    near = logits[:, classes : classes + 2]
    wanted = y[:, 1:3].to(near.dtype)
    loss = loss + F.binary_cross_entropy_with_logits(near, wanted, weight=known[:, None].to(near.dtype))
    reach = logits[:, classes + 2 :].unflatten(1, (2, extent.COUNT)).transpose(1, 2)  # (B, bins, 2, L)
    if (y[:, 3:] != UNLABELLED).any():
        loss = loss + 0.5 * F.cross_entropy(reach, y[:, 3:], ignore_index=UNLABELLED)
    return loss
