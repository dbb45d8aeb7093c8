"""Tables of results: a cell says what its row does, and no more."""

import numpy as np
import pandas as pd

from mbrepro.report.tables import by_protocol
from mbrepro.study.results import COLUMNS


def test_protocols_stand_below_each_other_with_spread_and_interval():
    lines = [
        ("baseline", "corrected", "f1", 0.8, 0.013, 0.7, 0.9, 5, 19, 0, 0.79, ""),
        ("baseline", "corrected", "accuracy", 0.9, 0.0, 0.8, 0.95, 5, 19, 0, np.nan, ""),
        ("baseline", "corrected", "map", np.nan, np.nan, np.nan, np.nan, 5, 19, 0, 0.85, ""),
        ("baseline", "boosting_raw", "f1", 0.91, 0.0, np.nan, np.nan, 1, 2, 0, 0.79, ""),
        ("baseline", "boosting_raw", "map", 0.95, 0.0, 0.9, 0.97, 1, 19, 0, 0.85, ""),
    ]
    found = by_protocol(pd.DataFrame(lines, columns=COLUMNS), {"f1": "F1", "map": "MAP"})
    assert found.to_dict("index") == {
        "corrected": {"F1": "0.800 ± 0.013 [0.70, 0.90]", "MAP": "not defined"},
        "boosting, raw": {"F1": "0.910", "MAP": "0.950 [0.90, 0.97]"},
    }
