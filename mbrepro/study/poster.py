"""What the poster reports: Audrey Douglas, "Fast Localization and Slow Classification of Mouse Behavior using Sparse
Video with Pose Estimation", poster, University of Michigan, 8 December 2025, and its public code."""

import numpy as np

from mbrepro.data.recordings import TASK1_CLASSES
from mbrepro.metrics.frames import count_metrics

ROWS = ("baseline", "localization", "clip", "pose_vlm", "few_shot")

TITLES = {
    "baseline": "Baseline classification",
    "localization": "Localization",
    "clip": "Clip classification",
    "pose_vlm": "Pose + VLM, end to end",
    "few_shot": "Few-shot",
}

# The poster's table. What it calls MAP is average precision in the first row and precision in the others.
TABLE = {
    "baseline": {"f1": 0.79, "map": 0.85},
    "localization": {"f1": 0.92, "map": 0.88},
    "clip": {"f1": 0.39, "map": 0.39},
    "pose_vlm": {"f1": 0.52, "map": 0.52},
    "few_shot": {"f1": 0.02, "map": 0.01},
}

# End to end, rows true attack, investigation, mount, other; each normalised to the frames of its class.
CONFUSION = (
    (0.18, 0.67, 0.13, 0.017),
    (0.22, 0.59, 0.14, 0.058),
    (0.12, 0.46, 0.41, 0.013),
    (0.015, 0.049, 0.019, 0.92),
)

FEW_SHOT_BEHAVIOUR = "sniff_face"

# Frames of attack, investigation, mount and other in CalMS21's 19 Task 1 test videos (Sun et al. 2021).
TEST_FRAMES = (12_630, 61_275, 31_848, 156_354)


def readings() -> dict[str, float]:
    """What the poster's confusion matrix is worth, weighted with the real number of test frames of each class.

    Means over all four classes (the poster's F1 and, under the name MAP, precision) and over the three behaviours
    (CalMS21's F1). The matrix is rounded to two digits, so that its rows sum to 1 only about: recall is its diagonal.
    """
    frames = np.array(TEST_FRAMES)
    metrics = count_metrics(np.array(CONFUSION) * frames[:, None], TASK1_CLASSES, frames)
    names = ("macro_f1", "macro_precision", "macro_recall", "f1", "precision", "recall")
    return {name: float(metrics[name]) for name in names}
