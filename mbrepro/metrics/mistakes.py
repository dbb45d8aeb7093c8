"""What kind of mistake each frame is, after Ward, Lukowicz & Gellersen (2011, doi 10.1145/1889681.1889687).

A behaviour's frames are compared bout by bout: a true bout of which no frame was found is a miss, a predicted one that
meets none a false alarm. In bouts that were met, what lacks or is too much before the first shared frame or after the
last is a shifted edge; between these a gap in a true bout is a split, and what joins true bouts a merge.
"""

from collections.abc import Sequence

import numpy as np

from mbrepro.metrics.bouts import bouts
from mbrepro.metrics.frames import Arrays, behaviours, check_arrays

KINDS = ("hit", "miss", "false alarm", "split", "merge", "shifted edge", "another behaviour")
HIT, MISS, FALSE_ALARM, SPLIT, MERGE, SHIFTED, ANOTHER = range(len(KINDS))
NEITHER = -1  # "other" in both


def mistakes(true: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """(T,) place in `KINDS` of each frame of two labellings (T,), or `NEITHER`.

    A frame of two different behaviours is "another behaviour", whatever it is of their bouts.
    """
    kinds, labels = np.full(len(true), NEITHER), [classes.index(name) for name in behaviours(classes)]
    for label in labels:
        for one, other, alone, inside in ((true, predicted, MISS, SPLIT), (predicted, true, FALSE_ALARM, MERGE)):
            for start, stop in bouts(one, label):
                met = start + np.flatnonzero(other[start:stop] == label)
                kinds[start:stop] = SHIFTED if len(met) else alone
                if len(met):
                    kinds[met[0] : met[-1]] = inside
    kinds[np.isin(true, labels) & np.isin(predicted, labels)] = ANOTHER
    kinds[(true == predicted) & np.isin(true, labels)] = HIT
    return kinds


def shares_of_kinds(true: Arrays, predicted: Arrays, classes: Sequence[str]) -> dict[str, float]:
    """Share of each of `KINDS` among the frames of all videos that have a behaviour in either labelling; NaN of none.

    Raises InputError if the arrays do not fit each other or the classes.
    """
    check_arrays(true, predicted, None, classes)
    found = np.concatenate([mistakes(t, p, classes) for t, p in zip(true, predicted, strict=True)])
    counts = np.bincount(found[found != NEITHER], minlength=len(KINDS))
    with np.errstate(invalid="ignore"):
        return dict(zip(KINDS, (counts / counts.sum()).tolist(), strict=True))
