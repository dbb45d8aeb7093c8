"""How stage 1 is trained: on dense crops, in place of the published single windows."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score

from mbrepro.data.recordings import UNLABELLED, Recording, other_index
from mbrepro.errors import InputError
from mbrepro.method.localizer import LocalizerSettings, PoseCNN, localize, pose_features

VERSION = 1  # raise it when training gives other weights
_IGNORED = UNLABELLED  # also the target of frames outside the recording


def fit_localizer(
    recordings: Sequence[Recording], targets: Sequence[np.ndarray], settings: LocalizerSettings, seed: int,
    validation: Sequence[tuple[Recording, np.ndarray]] = (), after_epoch: Callable[[int, PoseCNN], None] | None = None,
) -> tuple[PoseCNN, list[dict]]:  # fmt: skip
    """Train the network with Adam on cross-entropy; the same seed gives the same weights.

    targets: a (T,) int64 array for each recording. An epoch tiles each recording with crops from a random first frame
    and shuffles the crops of all recordings; a crop holds every `step`-th frame, as neighbouring frames teach little
    more than one, and the frames between are in crops of their own, so every frame is visited once. The published
    training draws 128 separate windows a step; its learning rate (see `LocalizerSettings`) and missing class weights
    are kept. Crops are many and short, as what a step teaches depends on how many places it sees. Unlabelled frames
    teach nothing, but are seen as the context of others; crops of them alone are left out.

    Returns the network in evaluation mode and one dict an epoch: epoch (from 1), loss, and with validation recordings
    validation_f1, as the rows of the table are scored: of action with 2 classes, else the mean over the behaviours. The
    last epoch's weights are kept.
    `after_epoch` is called with each epoch's number and the network as it is then. Raises InputError if targets do not
    fit the recordings or the classes.
    """
    _check_targets([*zip(recordings, targets, strict=True), *validation], settings.classes)
    history = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        features = [pose_features(recording) for recording in recordings]
        model = PoseCNN(settings, features[0].shape[1])
        model.normalise_input(features)
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.step_rate, eps=1e-7, fused=True)  # Keras's eps
        for epoch in range(1, settings.epochs + 1):
            row = {"epoch": epoch, "loss": train_epoch(model, optimizer, recordings, targets, rng)}
            if validation:
                row["validation_f1"] = _validation_f1(model, validation)
            history.append(row)
            if after_epoch:
                after_epoch(epoch, model)
    return model.eval(), history


def _check_targets(pairs: Sequence[tuple[Recording, np.ndarray]], classes: int) -> None:
    if not pairs:
        raise InputError("the localizer needs at least one training recording")
    for recording, target in pairs:
        if np.shape(target) != (len(recording),):
            raise InputError(f"{recording.name}: targets have shape {np.shape(target)}, not ({len(recording)},)")
        if np.min(target) < UNLABELLED or np.max(target) >= classes:
            raise InputError(f"{recording.name}: targets must be from 0 to {classes - 1}")


def train_epoch(
    model: PoseCNN, optimizer: torch.optim.Optimizer, recordings: Sequence[Recording], targets: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> float:  # fmt: skip
    """One epoch on dense crops; returns the mean loss of its steps."""
    model.train()
    losses = []
    for x, y in _batches(recordings, targets, model.settings, rng):
        optimizer.zero_grad()
        loss = F.cross_entropy(model.forward_samples(x, model.settings.spread), y, ignore_index=_IGNORED)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _batches(
    recordings: Sequence[Recording], targets: Sequence[np.ndarray], s: LocalizerSettings, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled batches of thinned crops: features (B, 28, crop + samples - 1) and targets (B, crop), `step` apart."""
    stride = s.step * s.spread
    span = s.crop_samples * stride
    edges = (s.context_before + span, s.context_after + span + stride)  # crops may reach beyond either end
    features = [np.pad(pose_features(r), (edges, (0, 0))) for r in recordings]
    padded = [np.pad(target, (span, span + stride), constant_values=_IGNORED) for target in targets]
    partly = {i for i, target in enumerate(targets) if (target == UNLABELLED).any()}
    tiles = []
    for i, recording in enumerate(recordings):
        first = 1 + int(rng.integers(span))
        tiles += [(i, a + k) for a in range(first, len(recording) + span, span) for k in range(stride)]
    tiles = [(i, a) for i, a in tiles if i not in partly or (padded[i][a : a + span : stride] != _IGNORED).any()]
    tiles = [tiles[k] for k in rng.permutation(len(tiles))]
    window = span + (s.samples - 1) * s.step
    for first in range(0, len(tiles), s.batch_crops):
        batch = tiles[first : first + s.batch_crops]
        x = np.stack([features[i][a : a + window : s.step].T for i, a in batch])
        y = np.stack([padded[i][a : a + span : stride] for i, a in batch])
        yield torch.from_numpy(x), torch.from_numpy(y)


def _validation_f1(model: PoseCNN, validation: Sequence[tuple[Recording, np.ndarray]]) -> float:
    predicted = np.concatenate([localize(model, recording).argmax(1) for recording, _ in validation])
    true = np.concatenate([target for _, target in validation])
    true, predicted = true[true != UNLABELLED], predicted[true != UNLABELLED]
    classes = model.settings.classes
    kept = [0] if classes == 2 else [k for k in range(classes) if k != other_index(validation[0][0].classes)]
    return float(f1_score(true, predicted, labels=kept, average="macro", zero_division=0))


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread while the block runs, for sums that do not depend on the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
