"""The official single-frame baseline of CalMS21: fully connected, it sees one frame's pose and nothing around it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from mbrepro.artifacts import fingerprint, replacing, versions
from mbrepro.data.processes import side_by_side
from mbrepro.data.recordings import Dataset, Prediction
from mbrepro.method.localizer import FEATURES, pose_features
from mbrepro.method.training import one_thread

VERSION = 1  # raise it when training gives other weights


@dataclass(frozen=True)
class SingleFrameSettings:
    """The official network on one frame (task1_singleframe): fully connected layers with BatchNorm → ReLU → Dropout."""

    classes: int = 4
    layers: tuple[int, ...] = (512, 256, 128, 64)
    learning_rate: float = 5e-3
    dropout: float = 0.2
    epochs: int = 15
    batch: int = 128


def single_frame(
    data: Dataset, settings: SingleFrameSettings, seeds: int, folder: Path
) -> list[tuple[Prediction, ...]]:
    """Test predictions, a tuple for each seed, of networks trained on single frames and kept in `folder`."""
    made_from = [settings, VERSION, versions(torch)]
    for recording in data.train:
        made_from += [recording.keypoints, recording.labels, recording.frame_size]
    made = [folder / "localizers" / f"single-{fingerprint(seed, *made_from)}.safetensors" for seed in range(seeds)]
    features = np.concatenate([pose_features(r) for r in data.train])
    labels = np.concatenate([r.labels for r in data.train])
    missing = [(_fit, features, labels, settings, k, path) for k, path in enumerate(made) if not path.exists()]
    side_by_side(missing, "train", "network")
    return [_predict(data, settings, path) for path in made]


def _predict(data: Dataset, settings: SingleFrameSettings, path: Path) -> tuple[Prediction, ...]:
    model = network(settings)
    model.load_state_dict(load_file(path))
    model.eval()
    videos = []
    for recording in data.test:
        with torch.inference_mode():
            scores = model(torch.from_numpy(pose_features(recording))).softmax(1).numpy()
        videos.append(Prediction(recording.name, recording.labels, scores.argmax(1), scores, recording.fps))
    return tuple(videos)


def network(settings: SingleFrameSettings) -> nn.Sequential:
    """The untrained network: initialised and normalised as Keras does, see `localizer.PoseCNN`."""
    layers: list[nn.Module] = [nn.BatchNorm1d(FEATURES, eps=1e-3)]
    width = FEATURES
    for size in settings.layers:
        layers += [nn.Linear(width, size), nn.BatchNorm1d(size, eps=1e-3), nn.ReLU(), nn.Dropout(settings.dropout)]
        width = size
    layers.append(nn.Linear(width, settings.classes))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def _fit(features: np.ndarray, labels: np.ndarray, settings: SingleFrameSettings, seed: int, path: Path) -> None:
    """Train a network on features (N, 28) and labels (N,) and write its weights."""
    features, labels = torch.from_numpy(features), torch.from_numpy(labels)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(settings)
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, eps=1e-7, fused=True)
        model.train()
        for _ in range(settings.epochs):
            for batch in torch.randperm(len(labels)).split(settings.batch):
                optimizer.zero_grad()
                F.cross_entropy(model(features[batch]), labels[batch]).backward()
                optimizer.step()
    with replacing(path) as temporary:
        save_file(model.state_dict(), temporary)
