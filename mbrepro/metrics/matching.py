"""Bouts of two labellings one to one, by three criteria side by side.

overlap: they share a frame. tiou: the frames they share are at least so large a part of the frames of either. edges:
both their onsets and their offsets lie within so many seconds, whether they share a frame or not.

Each criterion has its own matching: of the most bouts, and of those that with the most overlap (edges: the least total
shift). So F1 of overlap and tiou are those of `bouts` and, pooled, of BANOS' detection.
"""

from dataclasses import dataclass, fields

import numpy as np

from mbrepro.errors import InputError
from mbrepro.metrics.bouts import matched, tiou

CRITERIA = ("overlap", "tiou", "edges")
_ROUNDING = 1e-9  # of frames turned into seconds


@dataclass(frozen=True)
class Criteria:
    """tiou: from which overlap on bouts match, above 0 to 1. edges_s: how far their ends may lie apart, s.

    Raises InputError if a number is out of range.
    """

    tiou: float = 0.5
    edges_s: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value <= (1 if field.name == "tiou" else np.finfo(float).max):
                raise InputError(f"match criterion {field.name} must be above 0 and finite, tiou up to 1, not {value}")


def match_bouts(
    true: np.ndarray, predicted: np.ndarray, fps: float, criteria: Criteria
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By criterion, the places of the bouts (N, 2) and (M, 2), start and stop in frames, that go with each other."""
    overlap, shift = tiou(true, predicted), np.abs(true[:, None] - predicted).max(-1) / fps  # (N, M)
    near = shift <= criteria.edges_s + _ROUNDING
    allowed = {
        "overlap": (overlap > 0, overlap),
        "tiou": (overlap >= criteria.tiou, overlap),
        "edges": (near, -shift / criteria.edges_s),
    }
    few = len(true) + len(predicted)  # so many extras together weigh less than a pair
    return {name: matched(pairs * (few + extra)) for name, (pairs, extra) in allowed.items()}
