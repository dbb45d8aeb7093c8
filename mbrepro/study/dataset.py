"""Page 00: how the recordings are compared with what they stand for."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mbrepro.data.labels import bout_seconds
from mbrepro.data.recordings import Recording
from mbrepro.demo import likeness


def share_of_bouts_under(recordings: Sequence[Recording], seconds: float) -> float:
    """Share of all behaviour bouts that last less than this many seconds."""
    return float((np.concatenate(bout_seconds(recordings)) < seconds).mean())


def near_and_off(medians: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    """How many pose statistics have a median near enough to the real one, and those that have not.

    medians: as of `likeness.pose_medians`. The second part is indexed by what each is and its unit.
    """
    near = (medians["ratio"] - 1).abs() <= likeness.POSE_TOLERANCE
    off = medians[~near]
    return int(near.sum()), off.set_index(off["what"] + ", " + off["unit"])[["simulated", "real", "ratio"]]
