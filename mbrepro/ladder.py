"""The published ladder of CalMS21 Task 1: how much each kind of context helps the official networks.

A demo on which methods rank and fail as on the real data has to give these figures with the official settings.
`python -m mbrepro.ladder` (`make ladder`) measures them on the demo's own split and records them with what they were
measured on; 00_dataset shows them.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from mbrepro import localizer as localizer_module
from mbrepro import paths, study
from mbrepro.artifacts import fingerprint, replacing, write_json
from mbrepro.errors import InputError
from mbrepro.localizer import FEATURES, LocalizerSettings, pose_features
from mbrepro.metrics import evaluate
from mbrepro.pipeline import one_thread
from mbrepro.profiles import training_epochs
from mbrepro.recordings import Dataset, Prediction
from mbrepro.results import Run
from mbrepro.sources.simulated import DemoSettings, behaviours, demo_dataset, motion, poses, schedule, wandering

SEEDS = 5
CAUSAL_EPOCHS = 15  # the official number: a window that ends at its frame is learnt slowest
TOLERANCE = {"localization": 0.02}  # nearer than .05
SOURCE = "official CalMS21 baseline, Task 1 test (Sun et al. 2021; github.com/dreamyang-liu/mab-e-opt-transport)"

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


def ladder(data: Dataset, seeds: int, folder: Path, epochs: int | None = None) -> pd.DataFrame:
    """Test scores of the ladder's networks: columns network, metric, mean, sd (population, over seeds), published.

    The networks and passes over the train recordings are those of the demo's rows "baseline" and "localization", and
    no more passes for a frame alone; the causal network makes the official 15. epochs: for all, in their place.
    Trained networks are kept in `folder` by what made them.
    """
    four = LocalizerSettings(classes=len(data.classes), epochs=epochs or training_epochs("demo", "baseline"))
    two = LocalizerSettings(classes=2, epochs=epochs or training_epochs("demo", "localizer"))
    causal = replace(four, context_after=0, epochs=epochs or CAUSAL_EPOCHS)
    runs = {
        "single frame": single_frame(data, SingleFrameSettings(epochs=four.epochs), seeds, folder),
        "causal": study.baseline(data, causal, 0.0, seeds, folder),
        "±100 frames": study.baseline(data, four, 0.0, seeds, folder),
        "localization": study.localization(data, two, 0.0, seeds, folder),
    }
    rows = []
    for network, made in runs.items():
        scores = pd.DataFrame([_scores(run) for run in made])
        for metric, published in PUBLISHED[network].items():
            rows.append((network, metric, scores[metric].mean(), scores[metric].std(ddof=0), published))
    return pd.DataFrame(rows, columns=["network", "metric", "mean", "sd", "published"])


def key() -> str:
    """What recorded figures depend on: the simulated recordings and the networks with their training."""
    simulator = (schedule, motion, wandering, behaviours, poses, schedule.STATISTICS)
    passes = [training_epochs("demo", network) for network in ("baseline", "localizer")]
    return fingerprint(*simulator, DemoSettings(), localizer_module, SingleFrameSettings(), passes, CAUSAL_EPOCHS)


def record(folder: Path) -> Path:
    """Measure the ladder on the demo's own split and record it; returns the file."""
    data = demo_dataset("task1", DemoSettings(), folder / "recordings", videos=False)
    measured = ladder(data, SEEDS, folder)
    rows = measured.round({"mean": 4, "sd": 4}).to_dict("records")
    write_json(_path(), {"measured_by": "make ladder", "data": "simulated", "seeds": SEEDS, "key": key(), "rows": rows})
    return _path()


def recorded() -> pd.DataFrame:
    """The recorded ladder, as of `ladder`.

    Raises InputError if it was measured on other recordings or networks than this version's.
    """
    try:
        content = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{_path()}: no recorded ladder ({error}); run make ladder") from error
    if content.get("key") != key():
        raise InputError(f"{_path()}: measured with another simulator or network; run make ladder")
    return pd.DataFrame(content["rows"])


def likeness_rows(measured: pd.DataFrame) -> pd.DataFrame:
    """The ladder as rows of likeness.csv: columns what, simulated, real, unit, source."""
    what = "ladder: " + measured["network"] + ", " + measured["metric"]
    return pd.DataFrame(
        {"what": what, "simulated": measured["mean"], "real": measured["published"], "unit": "score", "source": SOURCE}
    )


def beside_published(measured: pd.DataFrame) -> pd.DataFrame:
    """The ladder for a page: F1 and MAP of each network, simulated mean ± sd, published, and the difference."""
    shown = measured.copy()
    shown["simulated"] = [f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(shown["mean"], shown["sd"], strict=True)]
    shown["difference"] = shown["mean"] - shown["published"]
    return shown.set_index(["network", "metric"])[["simulated", "published", "difference"]]


def _path() -> Path:
    return paths.recorded() / "ladder.json"


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: python -m mbrepro.ladder."""
    if sys.argv[1:] if arguments is None else arguments:
        print("usage: python -m mbrepro.ladder", file=sys.stderr)
        return 2
    print(record(paths.artifacts("demo")))
    print(beside_published(recorded()).to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
