"""Page 00: which statistics of the recordings are near enough to those of real ones."""

import pandas as pd

from mbrepro.demo import likeness


def near_and_off(medians: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    """How many pose statistics have a median near enough to the real one, and those that have not.

    medians: as of `likeness.pose_medians`. The second part is indexed by what each is and its unit.
    """
    near = (medians["ratio"] - 1).abs() <= likeness.POSE_TOLERANCE
    off = medians[~near]
    return int(near.sum()), off.set_index(off["what"] + ", " + off["unit"])[["simulated", "real", "ratio"]]
