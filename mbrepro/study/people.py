"""How far labels of real mice agree: two people's of the same videos, and a video model's with the released ones.

The two people's recordings are none of CalMS21's 89, so what they reach is a ceiling by analogy.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mbrepro import paths
from mbrepro.artifacts import file_hash
from mbrepro.data import labels as level
from mbrepro.data import real
from mbrepro.data.labels import Track
from mbrepro.method.localizer import LOCALIZER_CLASSES
from mbrepro.metrics import resampling
from mbrepro.metrics.frames import confusion

Pair = tuple[Sequence[Track], Sequence[Track]]  # true and predicted tracks of the same videos


def read_human() -> Pair | None:
    """The two people's labels, or None where this machine has none."""
    folder = paths.real_data()
    return real.human_pairs(folder) if folder and (folder / real.PEOPLE).exists() else None


def read_feral() -> Pair | None:
    """CalMS21's test labels and FERAL's predictions, or None unless this machine has both."""
    labels, folder = level.real_labels(), paths.real_data()
    if labels is None or folder is None or not (folder / real.PREDICTIONS).exists():
        return None
    return labels.test, real.feral_predictions(folder, labels.test)


def human(pair: Pair) -> dict[str, object]:
    """Every metric of the two people, either being the truth: "first" and "second", as of `compared`."""
    return {"first": compared(*pair), "second": compared(*pair[::-1])}


def compared(true: Sequence[Track], predicted: Sequence[Track]) -> dict[str, object]:
    """Two labellings: "metrics" of the classes and "action" of action against other, as of `resampling.estimates`.

    "confusion": frames by true and predicted class.
    """
    classes, fps = true[0].classes, [t.fps for t in true]
    labels, named = ([t.true for t in tracks] for tracks in (true, predicted))
    action, found = ([np.where(t.action, 0, 1) for t in tracks] for tracks in (true, predicted))
    return {
        "videos": len(true),
        "frames": sum(map(len, true)),
        "metrics": resampling.estimates(labels, named, classes, fps),
        "action": resampling.estimates(action, found, LOCALIZER_CLASSES, fps),
        "confusion": np.sum([confusion(t, p, len(classes)) for t, p in zip(labels, named, strict=True)], 0).tolist(),
    }


def provenance(told: Mapping[str, str], name: str, function: str) -> dict[str, str]:
    """What is recorded beside what a function here gives: what is `told` of a file of real data, by its name."""
    return {
        **told,
        "sha256": file_hash(paths.real_folder() / name),
        "computed_by": f"mbrepro.study.people.{function}",
        "intervals": resampling.BY_VIDEO,
    }
