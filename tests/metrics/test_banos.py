"""BANOS' measures against its own package, and by hand where the package's conventions decide."""

import banos
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from mbrepro.metrics.banos import MEASURES, banos_metrics
from tests.fixtures.labellings import CLASSES, human_pairs, pairs

THEIRS = dict(zip(MEASURES, ("f1_score", "so", "tp", "ic"), strict=True))


def table(labels):
    return pd.DataFrame({name: (np.asarray(labels) == k).astype(int) for k, name in enumerate(CLASSES[:3])})


@settings(max_examples=100, deadline=None)
@given(pairs())
def test_measures_are_the_packages(made):
    data = {f"v{k}": (table(p), table(t)) for k, (t, p) in enumerate(zip(*made, strict=True))}
    by_behaviour, overall = banos.score(data)
    found = banos_metrics(*made, CLASSES)
    for name, theirs in THEIRS.items():
        assert found[name][0] == pytest.approx(overall[theirs], nan_ok=True), name
        for behaviour in CLASSES[:3]:
            expected = by_behaviour[behaviour][theirs]
            assert found[f"{name}_{behaviour}"][0] == pytest.approx(expected, nan_ok=True), (name, behaviour)
    in_neither = [k not in t and k not in p for t, p in zip(*made, strict=True) for k in range(3)]
    assert found["banos_absent"][0] == pytest.approx(np.mean(in_neither))


def test_absent_behaviours_and_whole_misses_by_hand():
    """Attack found late by two frames, then missed; mount in neither; investigation predicted where there is none."""
    true = [np.array([0, 0, 0, 0, 3, 3]), np.array([3, 0, 0, 3, 3, 3])]
    pred = [np.array([3, 3, 0, 0, 3, 1]), np.array([3, 3, 3, 0, 0, 3])]
    found = {name: values[0] for name, values in banos_metrics(true, pred, CLASSES).items()}
    assert (found["da_attack"], found["so_attack"]) == (1, 0.5)  # the miss is undefined in both
    assert found["tp_attack"] == pytest.approx(1 / 3)
    assert found["ic_attack"] == pytest.approx((1 - 1 / 3 + 1) / 2)  # one change over three steps; none in the miss
    assert found["da_investigation"] == 0.5  # 0 where only predicted, 1 where in neither
    assert found["da_mount"] == found["ic_mount"] == 1
    assert found["da"] == pytest.approx((1 + 0 + 1 + 1 + 1) / 5)
    assert found["da_occurring"] == pytest.approx((1 + 0) / 2)
    assert (found["banos_absent"], found["banos_missed"]) == pytest.approx((3 / 6, 1 / 6))
    assert found["f1_by_recording_banos"] == pytest.approx(((2 / 3 + 0 + 1) / 3 + (1 + 1) / 2) / 2)


def test_two_people_by_banos(real_data):
    found = {name: values[0] for name, values in banos_metrics(*human_pairs(real_data), CLASSES).items()}
    known = {"da": 0.774, "so": 0.698, "tp": 0.338, "ic": 0.995, "f1_by_recording_banos": 0.815}
    assert {name: found[name] for name in known} == pytest.approx(known, abs=5e-4)
    assert found["banos_absent"] == pytest.approx(9 / 30)
    assert found["tp_occurring"] == pytest.approx(0.040, abs=5e-4)  # most of .338 is behaviours that nobody saw
