"""What the stand-in's embeddings tell about behaviours it was never told of, beside its untrained twin's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, sampled_rate
from mbrepro.data.recordings import Recording, runs
from mbrepro.demo.standin.phrases import measure
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import POSES, EmbedderSettings
from mbrepro.embedding.pose import PoseEmbedder
from mbrepro.embedding.standin import STAND_IN_PIXELS

SHOWN = {
    "frame": ClipSettings(seconds=2.0, sampled_fps=4.0),
    "mice": ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice"),
}
FUSED, READ = "mice and poses", "video_100"
FOLDS = 5


def labelled_starts(recording: Recording, settings: ClipSettings, longest: int = 3) -> tuple[list[int], list[int]]:
    """Starts and labels of up to `longest` clips centred on bouts of each class, the longest bouts first."""
    length = round(settings.seconds * recording.fps)
    bouts = sorted(runs(recording.labels), key=lambda bout: bout[0] - bout[1])
    chosen = []
    for label in np.unique(recording.labels):
        chosen += [bout for bout in bouts if bout[2] == label][:longest]
    starts = [int(np.clip((a + b - length) // 2, 0, len(recording) - length)) for a, b, _ in chosen]
    return starts, [label for _, _, label in chosen]


def score(embeddings: np.ndarray, labels: np.ndarray, animals: np.ndarray) -> tuple[float, float]:
    """Accuracy and balanced accuracy of logistic regression on animals it has not seen, over folds of animals."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
    predicted = cross_val_predict(classifier, embeddings, labels, groups=animals, cv=GroupKFold(FOLDS))
    return float((predicted == labels).mean()), float(balanced_accuracy_score(labels, predicted))


def evaluate(models: dict[str, Path], recordings: Sequence[Recording]) -> pd.DataFrame:
    """Score every model, picture shown and view on labelled clips of held-out animals, one row each.

    The first row is the yardstick: the poses' own geometry, which is all that the captions speak of. Shown `FUSED`, the
    features of the clips' poses stand beside the view that stage 2 reads.
    """
    cut = {crop: [labelled_starts(recording, settings) for recording in recordings] for crop, settings in SHOWN.items()}
    rows = [("geometry", "poses", "", *_row(_geometry(recordings, cut["mice"]), recordings, cut["mice"]))]
    for crop, settings in SHOWN.items():
        clips = []
        for recording, (starts, _) in zip(recordings, cut[crop], strict=True):
            clips += cut_clips(recording, starts, settings)
        rate = sampled_rate(settings, len(clips[0]))
        for name, folder in models.items():
            embedder = load_embedder(EmbedderSettings(model=str(folder), max_pixels=STAND_IN_PIXELS))
            embeddings = embedder.embed(clips, rate)
            for view in embedder.views:
                rows.append((name, crop, view, *_row(embeddings[view], recordings, cut[crop])))
            if crop == "mice":
                both = np.concatenate([embeddings[READ], _poses(recordings, cut[crop], settings)], 1)
                rows.append((name, FUSED, READ, *_row(both, recordings, cut[crop])))
    return pd.DataFrame(rows, columns=["model", "shown", "view", "clips", "accuracy", "balanced_accuracy"])


def _row(embeddings: np.ndarray, recordings: Sequence[Recording], cut: Sequence[tuple]) -> tuple[int, float, float]:
    labels = np.concatenate([found for _, found in cut])
    animals = np.repeat([recording.animal for recording in recordings], [len(found) for _, found in cut])
    accuracy, balanced = score(embeddings, labels, animals)
    return len(labels), round(accuracy, 3), round(balanced, 3)


def _poses(recordings: Sequence[Recording], cut: Sequence[tuple], settings: ClipSettings) -> np.ndarray:
    embedder, found = PoseEmbedder(EmbedderSettings(POSES)), []
    for recording, (starts, _) in zip(recordings, cut, strict=True):
        frames = [clip_frames(start, recording, settings) for start in starts]
        found.append(embedder.embed_poses(recording, frames)["pose"])
    return np.concatenate(found)


def _geometry(recordings: Sequence[Recording], cut: Sequence[tuple]) -> np.ndarray:
    rows = []
    for recording, (starts, _) in zip(recordings, cut, strict=True):
        length = round(SHOWN["mice"].seconds * recording.fps)
        for start in starts:
            g = measure(recording.keypoints[start : start + length], recording.fps, recording.frame_size)
            rows.append((g.distance, g.change, *g.speeds, *g.facing, g.parallel, g.edge))
    return np.array(rows)
