"""Which statistics of the recordings count as near enough."""

import pandas as pd
import pytest

from mbrepro.demo import likeness
from mbrepro.study.dataset import near_and_off


def test_medians_within_the_tolerance_are_near_on_either_side_and_the_others_are_listed():
    reach = likeness.POSE_TOLERANCE
    ratios = [1, 1 + 0.99 * reach, 1 - 0.99 * reach, 1 + 1.01 * reach, 1 - 1.01 * reach]
    medians = pd.DataFrame(
        {"what": list("abcde"), "unit": "px", "simulated": 2.0, "real": 1.0, "ratio": ratios, "source": "x"}
    )
    near, off = near_and_off(medians)
    assert near == 3 and off.index.tolist() == ["d, px", "e, px"]
    assert off.columns.tolist() == ["simulated", "real", "ratio"]
    assert off["ratio"].tolist() == pytest.approx(ratios[3:])
