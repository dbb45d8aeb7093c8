"""The published ladder of CalMS21 Task 1: how much each kind of context helps the official networks.

A demo on which methods rank and fail as on the real data has to give these figures with the official settings.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from mbrepro import study
from mbrepro.artifacts import fingerprint, replacing
from mbrepro.localizer import FEATURES, LocalizerSettings, pose_features
from mbrepro.metrics import evaluate
from mbrepro.pipeline import _one_thread as one_thread
from mbrepro.recordings import Dataset, Prediction
from mbrepro.results import Run

# Sun et al. 2021, trained on all train recordings, mean of 5 seeds; per class from the official results
# (github.com/dreamyang-liu/mab-e-opt-transport, results/task1_*_train_full_data).
PUBLISHED = {
    "single frame": {"f1": 0.614, "map": 0.663, "f1_attack": 0.159, "f1_investigation": 0.792, "f1_mount": 0.890,
                     "f1_other": 0.947},
    "causal": {"f1": 0.713, "map": 0.753, "f1_attack": 0.534, "f1_investigation": 0.767, "f1_mount": 0.839,
               "f1_other": 0.928},
    "±100 frames": {"f1": 0.793, "map": 0.856, "f1_attack": 0.664, "f1_investigation": 0.814, "f1_mount": 0.900,
                    "f1_other": 0.945},
    "localization": {"f1": 0.923},
}  # fmt: skip


@dataclass(frozen=True)
class SingleFrameSettings:
    """The official network on one frame (task1_singleframe): fully connected layers with BatchNorm → ReLU → Dropout."""

    classes: int = 4
    layers: tuple[int, ...] = (512, 256, 128, 64)
    learning_rate: float = 5e-3
    dropout: float = 0.2
    epochs: int = 15
    batch: int = 128


def ladder(
    data: Dataset,
    official: LocalizerSettings,
    localizer: LocalizerSettings,
    single: SingleFrameSettings,
    seeds: int,
    folder: Path,
) -> pd.DataFrame:
    """Test scores of the ladder's networks: columns network, metric, mean, sd (population, over seeds), published.

    official: the ±100-frame network on the task's classes, which the causal one repeats without frames to come;
    localizer: the same on two classes; single: the one on a frame alone. Trained networks are kept in `folder` by what
    made them.
    """
    runs = {
        "single frame": single_frame(data, single, seeds, folder),
        "causal": study.baseline(data, replace(official, context_after=0), 0.0, seeds, folder),
        "±100 frames": study.baseline(data, official, 0.0, seeds, folder),
        "localization": study.localization(data, localizer, 0.0, seeds, folder),
    }
    rows = []
    for network, made in runs.items():
        scores = pd.DataFrame([_scores(run) for run in made])
        for metric, published in PUBLISHED[network].items():
            rows.append((network, metric, scores[metric].mean(), scores[metric].std(ddof=0), published))
    return pd.DataFrame(rows, columns=["network", "metric", "mean", "sd", "published"])


def _scores(run: Run) -> dict[str, float]:
    true, labels, scores = ([getattr(video, field) for video in run.videos] for field in ("true", "labels", "scores"))
    return evaluate(true, labels, scores, run.classes)


def single_frame(data: Dataset, settings: SingleFrameSettings, seeds: int, folder: Path) -> list[Run]:
    """The network that sees one frame's pose at a time, for each seed."""
    made_from = [settings, Path(__file__), torch.__version__]
    for recording in data.train:
        made_from += [recording.keypoints, recording.labels, recording.frame_size]
    runs = []
    for seed in range(seeds):
        path = folder / "localizers" / f"single-{fingerprint(seed, *made_from)}.safetensors"
        with one_thread():
            if not path.exists():
                trained = _fit_single_frame(data, settings, seed)
                with replacing(path) as temporary:
                    save_file(trained.state_dict(), temporary)
            model = _network(settings)
            model.load_state_dict(load_file(path))
            model.eval()
            videos = []
            for recording in data.test:
                with torch.inference_mode():
                    scores = model(torch.from_numpy(pose_features(recording))).softmax(1).numpy()
                videos.append(Prediction(recording.name, recording.labels, scores.argmax(1), scores))
        runs.append(Run(seed, data.task, data.classes, tuple(videos)))
    return runs


def _network(settings: SingleFrameSettings) -> nn.Sequential:
    """Initialised and normalised as Keras does, see `localizer.PoseCNN`."""
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


def _fit_single_frame(data: Dataset, settings: SingleFrameSettings, seed: int) -> nn.Sequential:
    features = torch.from_numpy(np.concatenate([pose_features(r) for r in data.train]))
    labels = torch.from_numpy(np.concatenate([r.labels for r in data.train]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _network(settings)
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, eps=1e-7)
        model.train()
        for _ in range(settings.epochs):
            for batch in torch.randperm(len(labels)).split(settings.batch):
                optimizer.zero_grad()
                F.cross_entropy(model(features[batch]), labels[batch]).backward()
                optimizer.step()
    return model.eval()
