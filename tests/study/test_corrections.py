"""The ladder from the published protocol to the corrected one: its ends, its single steps, and their scores."""

from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from mbrepro.data.recordings import TASK1_CLASSES, Prediction
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.method import protocols
from mbrepro.method.proposals import HysteresisRule
from mbrepro.study import corrections as module
from mbrepro.study.corrections import PUBLISHED, STEPS, correction_scores, corrections
from mbrepro.study.results import Run

ONE = EmbedderSettings(model="one")
OTHER = EmbedderSettings(model="other")


def fields(protocol) -> dict:
    """Every setting by name, those of the clips singly, the protocol's own name left out."""
    values = asdict(protocol)
    clips = values.pop("clips")
    del values["name"]
    return values | {f"clips.{name}": value for name, value in clips.items()}


def different(one, other) -> set[str]:
    return {name for name, value in fields(one).items() if value != fields(other)[name]}


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (protocols.published(ONE), protocols.corrected(ONE)),
        (protocols.published(ONE, 3), protocols.corrected(OTHER, 5, 1.0, 4.0, "frame", "vision", "knn")),
    ],
)
def test_neighbours_differ_in_one_named_step_and_the_ends_are_the_two_protocols(first, last):
    made = corrections(first, last)
    steps = list(made)
    assert made[PUBLISHED] == first and made[steps[-1]] == last
    for before, after in pairwise(steps):
        changed = different(made[before], made[after])
        assert changed and changed <= set(STEPS[after])
    assert steps[1:] == [step for step in STEPS if step in steps]


def test_every_setting_of_a_protocol_belongs_to_one_step():
    named = [name for names in STEPS.values() for name in names]
    assert sorted(named) == sorted(fields(protocols.published(ONE)))


def test_clips_are_first_cut_at_their_true_time_then_shown_in_more_frames():
    made = corrections(protocols.published(ONE), protocols.corrected(ONE))
    clips = made["clips at their true time"].clips
    assert (clips.assumed_fps, clips.seconds, clips.sampled_fps) == (None, 5.0, 0.1)
    assert made["more frames a second"].clips == replace(clips, sampled_fps=8.0)
    short = made["short proposals, clips in their middle"]
    assert isinstance(short.rule, HysteresisRule) and (short.clips.seconds, short.anchor) == (2.0, "middle")
    assert (short.head_clips, short.written) == ("localized", "action")


def test_scores_are_means_over_seeds_and_gains_to_the_line_before(monkeypatch):
    true = np.array([0, 1, 2, 3])
    said = {"published": [[3, 3, 3, 3], [3, 1, 3, 3]], "corrected": [[0, 1, 2, 3], [0, 1, 3, 3]]}
    loaded = []

    def two_stages(data, protocol, embedder, seeds, folder):
        assert embedder == protocol.embedder.model
        runs = [
            Run(seed, "task1", TASK1_CLASSES, (Prediction("v", true, np.array(labels), np.eye(4)[labels]),))
            for seed, labels in enumerate(said[protocol.name][:seeds])
        ]
        return [], runs

    monkeypatch.setattr(module, "two_stages", two_stages)
    first = protocols.published(ONE)
    made = {PUBLISHED: first, "again": first, "last": protocols.corrected(OTHER)}
    table = correction_scores(None, made, 2, None, lambda s: loaded.append(s.model) or s.model).set_index("step")
    assert loaded == ["one", "other"]
    assert table["F1"].tolist() == pytest.approx([1 / 6, 1 / 6, 5 / 6])
    assert table["F1 sd"].tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6])
    assert np.isnan(table.loc[PUBLISHED, "F1 gain"])
    assert table["F1 gain"].tolist()[1:] == pytest.approx([0, 2 / 3])
    assert isinstance(table, pd.DataFrame) and table["MAP"].is_monotonic_increasing
