"""Labels of real mice that are no part of CalMS21's release: two people's of the same videos, and a video model's.

The files lie in the folder of `paths.real_data`; their sources and licences are `HUMAN` and `FERAL`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mbrepro.data.labels import LabelTrack
from mbrepro.errors import InputError

HUMAN = {
    "data": "ten recordings derived from CalMS21, each labelled by two people; which people is not said",
    "source": "github.com/BelloneLab/BANOS, commit 83a1c33, data/dataset_human_vs_human (MIT)",
}
FERAL = {
    "data": "FERAL's hard frame predictions on the 19 Task 1 test videos of CalMS21: a video model that sees every "
    "frame (doi 10.1101/2025.11.16.688666)",
    "source": "github.com/Skovorp/feral_figures, commit cbaf6fe9, data/calms.json (no licence)",
}
PEOPLE = "human_pairs/labels.npz"
PREDICTIONS = "feral_test/predictions.npz"


def human_pairs(folder: Path) -> tuple[tuple[LabelTrack, ...], tuple[LabelTrack, ...]]:
    """The two people's labels of the same recordings, as two lists of tracks in one order; InputError if damaged."""
    arrays = _arrays(folder / PEOPLE)
    wrong = [name for name, labels in arrays.items() if labels.ndim != 2 or len(labels) != 2]
    if wrong:
        raise InputError(f"{folder / PEOPLE}: {wrong[0]} is not two people's labels, of shape (2, frames)")
    first, second = (tuple(LabelTrack(name, labels[who]) for name, labels in arrays.items()) for who in (0, 1))
    return first, second


def feral_predictions(folder: Path, test: Sequence[LabelTrack]) -> tuple[LabelTrack, ...]:
    """FERAL's labels of the videos of `test`, in that order; InputError if one is missing or of another length."""
    path = folder / PREDICTIONS
    arrays = _arrays(path)
    for track in test:
        found = arrays.get(f"test/{track.name}")
        if found is None or len(found) != len(track):
            told = "is not in it" if found is None else f"has {len(found)} predictions for {len(track)} frames"
            raise InputError(f"{path}: {track.name} {told}; copy it again")
    return tuple(LabelTrack(track.name, arrays[f"test/{track.name}"]) for track in test)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in sorted(stored.files)}
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy it again") from error
