"""What asking a model is worth, as the numbers lie."""

import numpy as np
import pytest

from mbrepro.embedding.embedder import STAND_IN
from mbrepro.report import prose_video


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.1, 0.3, "asking names these clips better"),
        (-0.3, -0.1, "the head names these clips better"),
        (-0.1, 0.1, "these videos do not tell the two apart"),
        (np.nan, np.nan, "too few videos to tell the two apart"),
    ],
)
def test_asking_is_judged_by_its_interval_and_the_stand_in_is_told_as_one(low, high, said):
    told = {"value": 0.0, "low": low, "high": high, "n_videos": 9}
    text = prose_video.asked(told, "some/model")
    assert said in text and "stand-in" not in text
    assert "has never met these words" in prose_video.asked(told, STAND_IN)
    assert "cannot be asked" in prose_video.asked(None, STAND_IN)
