"""Whether the train clips' evidence alone, with no head fitted, tells which embedding will serve best."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau
from sklearn.linear_model import BayesianRidge

from mbrepro.data.recordings import UNLABELLED, other_index
from mbrepro.embedding import load_embedder
from mbrepro.embedding.store import embed_recording
from mbrepro.method.heads import fit_head
from mbrepro.method.protocols import Protocol
from mbrepro.metrics.frames import evaluate
from mbrepro.study.clip_index import FoundClips, compared
from mbrepro.study.embedding_space import standardised


def logme(points: np.ndarray, labels: np.ndarray) -> float:
    """LogME of points (N, D): the largest log evidence a point of a linear model of each label's indicator, their mean.

    You et al. (2021, ICML, arXiv:2102.11005): precisions of weights and noise are those of most evidence, by the fixed
    point that scikit-learn's BayesianRidge iterates. Unlike there the model has an intercept, as heads have. NaN for
    one label.
    """
    if len(known := np.unique(labels)) < 2:
        return float("nan")
    model = BayesianRidge(compute_score=True, max_iter=1000, tol=1e-6)
    return float(np.mean([model.fit(points, (labels == label) * 1.0).scores_[-1] for label in known]) / len(labels))


def choices(
    found: Sequence[FoundClips], protocol: Protocol, folder: Path, twin_seed: int | None = 0
) -> pd.DataFrame:  # fmt: skip
    """LogME on the train clips, and F1 on the test clips of the protocol's head: a line for each view that each
    embedder of `clip_index.spaces` has, by falling LogME.

    Clips that hold a behaviour count, each dimension standardised over the train clips. Columns embedder, view, LogME,
    F1; F1 is NaN where no test clip holds a behaviour.
    """
    labels, classes = np.concatenate([f.labels for f in found]), found[0].recording.classes
    held = (labels != other_index(classes)) & (labels != UNLABELLED)
    train = np.concatenate([np.full(len(f.starts), f.split == "train") for f in found])
    fit, test, lines = held & train, held & ~train, []
    for name, chosen in compared(protocol, folder, twin_seed).items():
        embedder = load_embedder(chosen.embedder)
        parts = [embed_recording(f.recording, f.starts, chosen.clips, embedder, folder) for f in found]
        for view in embedder.views:
            points, f1 = np.concatenate([part[view] for part in parts]), np.nan
            if test.any():
                said = fit_head(points[fit], labels[fit], len(classes), chosen.head, 0).scores(points[test]).argmax(1)
                f1 = evaluate([labels[test]], [said], None, classes)["f1"]
            lines.append((name, view, logme(standardised(points[fit]), labels[fit]), f1))
    table = pd.DataFrame(lines, columns=["embedder", "view", "LogME", "F1"])
    return table.sort_values("LogME", ascending=False, kind="stable", ignore_index=True)


def verdict(table: pd.DataFrame) -> dict[str, float]:
    """Of `choices`: Kendall's rank correlation of LogME and F1, F1 of the line of highest LogME, and the best F1."""
    return {
        "correlation": float(kendalltau(table["LogME"], table["F1"]).statistic),
        "chosen": float(table["F1"].iloc[0]),
        "best": float(table["F1"].max()),
    }
