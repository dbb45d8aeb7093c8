"""The palette: classes are told apart whatever a reader's eyes or printer, and their colours name nothing else."""

from itertools import combinations

import numpy as np
import pytest

from mbrepro.data.recordings import OTHER, TASK1_CLASSES, TASK3_BEHAVIOURS, UNLABELLED, Prediction
from mbrepro.report import plots, plots_space, real
from mbrepro.study.results import Run
from tests.fixtures.colours import NEAR, SIGHTS, lab


def test_lab_is_that_of_known_colours():
    assert lab("#ffffff") == pytest.approx([100, 0, 0], abs=0.1)
    assert lab("#ff0000") == pytest.approx([53.2, 80.1, 67.2], abs=0.2)  # Lindbloom's calculator
    assert lab("#ff0000", "protanope")[1] < 10 and np.allclose(lab("#808080", "deuteranope"), lab("#808080"), atol=0.1)


@pytest.mark.parametrize("sight", SIGHTS)
def test_classes_lie_apart_in_every_sight(sight):
    for one, other in combinations(plots.COLOURS, 2):
        apart = np.linalg.norm(lab(plots.COLOURS[one], sight) - lab(plots.COLOURS[other], sight))
        assert apart >= NEAR, (one, other, apart)


@pytest.mark.parametrize("names", [(*TASK1_CLASSES, "action"), (*TASK3_BEHAVIOURS, OTHER)])
def test_classes_of_a_task_are_told_apart_in_grey(names):
    lightness = sorted(lab(plots.COLOURS[name])[0] for name in names)
    assert np.diff(lightness).min() >= NEAR


def test_every_class_has_a_colour_of_its_own_and_no_method_has_it():
    assert set(plots.COLOURS) == {*TASK1_CLASSES, *TASK3_BEHAVIOURS, "action"}
    others = [*plots_space.HEAD_COLOURS.values(), *plots_space.CATEGORY_COLOURS.values(), *real.LINES.values()]
    others += [*plots_space.SPLIT_COLOURS.values(), *(colour for colour, *_ in plots.POLICIES.values())]
    assert set(others) == set(plots.METHODS)
    for one in plots.METHODS:
        for name, other in plots.COLOURS.items():
            assert np.linalg.norm(lab(one) - lab(other)) >= NEAR, (one, name)
    for sight in SIGHTS:
        for one, other in combinations(plots.METHODS, 2):
            assert np.linalg.norm(lab(one, sight) - lab(other, sight)) >= NEAR, (one, other)


@pytest.mark.parametrize("classes", [("sniffing", "rough", "attack", "chase", OTHER), ("rest", OTHER), TASK1_CLASSES])
def test_classes_of_ones_own_have_colours_apart_and_known_ones_their_own(classes):
    colours = plots.colours_of(classes)
    assert list(colours) == list(classes) and len(set(colours.values())) == len(classes)
    assert all(colours[name] == plots.COLOURS[name] for name in classes if name in plots.COLOURS)
    assert set(colours.values()) <= set(plots.COLOURS.values())


def test_what_nobody_labelled_is_counted_nowhere():
    labels = np.array([UNLABELLED, 0, 0, 1, UNLABELLED, UNLABELLED, 2, 2])
    found = np.array([0, 0, 1, 1, 1, 1, 2, 0])
    classes = ("near", "far", OTHER)
    scores = np.eye(3)[found]
    video = Prediction("v", labels, found, scores, 2.0)
    figure = plots.confusions({"p": [Run(0, "own", classes, (video,))]})
    shown = [float(text.get_text()) for text in figure.axes[0].texts]
    assert shown == [0.5, 0.5, 0, 0, 1, 0, 0.5, 0, 0.5]
