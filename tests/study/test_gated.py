"""Both stages and the gate between them, on made recordings whose best outcome is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.embedding import embedder_class
from mbrepro.embedding.embedder import POSES, EmbedderSettings
from mbrepro.method import gate, protocols
from mbrepro.method.heads import head_settings
from mbrepro.metrics.frames import evaluate
from mbrepro.study import gate_curves, gated
from mbrepro.study.gate_curves import DENSE, NONE, areas, curves, gained

PROTOCOL = replace(protocols.corrected(EmbedderSettings(POSES)), view="pose")
BUDGETS = (0.0, 0.25, 0.5, 1.0)


class Telling:
    """Embeds a clip as its middle frame's class, but never tells mount from other."""

    takes, views, identity = "poses", ("pose",), {}
    settings = SimpleNamespace(batch_size=4, model="telling")

    def embed_poses(self, recording, clips):
        middle = [recording.labels[frames[len(frames) // 2]] for frames in clips]
        told = np.where(np.array(middle, int) == 2, 3, middle)
        rng = np.random.default_rng(0)
        return {"pose": (np.eye(4)[told] + rng.normal(0, 0.1, (len(told), 4))).astype(np.float32).reshape(-1, 4)}


def recorded(name: str, seed: int) -> tuple[Recording, np.ndarray]:
    """A recording of 40 s and stage 1's scores: sure and right about mount, sure and wrong about a third of attacks."""
    rng = np.random.default_rng(seed)
    bouts = rng.permutation([0, 0, 0, 1, 1, 2, 2, 2])
    labels = np.concatenate([np.r_[np.full(90, 3), np.full(60, b)] for b in bouts])
    points = rng.uniform(200, 300, (len(labels), 2, 7, 2))
    said = labels.copy()
    starts = np.flatnonzero((labels == 0) & (np.roll(labels, 1) != 0))
    for start in starts[: rng.integers(1, 3)]:
        said[start : start + 60] = 1
        points[start : start + 60, 1] += 300  # what the gate can see of it
    scores = 0.85 * np.eye(4)[said] + 0.05
    return Recording(name, points, labels=labels), (scores / scores.sum(1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both stages of the recordings of six train and ten test animals."""
    train, test = ([recorded(f"mouse{k:03}", k) for k in part] for part in (range(6), range(20, 30)))
    data = Dataset("task1", TASK1_CLASSES, *(tuple(r for r, _ in part) for part in (train, test)), "made")
    scores = ([s for _, s in part] for part in (train, test))
    return data, gated.both_stages(data, *scores, PROTOCOL, Telling(), tmp_path_factory.mktemp("store"), seed=0)


def test_stage_2_names_clips_of_train_animals_that_its_head_never_saw(made):
    data, stages = made
    assert [s.proposed.recording.name for s in stages.train] == [r.name for r in data.train]
    for one in (*stages.train, *stages.test):
        assert one.named.shape == (len(one.proposed.proposals), 4) and len(one.spans) == len(one.named)
        assert (np.diff(one.spans, axis=1) == 60).all()
        right = one.named.argmax(1) == one.proposed.labels
        assert right[one.proposed.labels != 2].mean() > 0.9
    assert head_settings(stages.head).kind in ("linear", "ridge", "lda", "prototypes", "knn")


def test_what_is_not_shown_stays_as_stage_1_has_it_and_the_rest_is_better(made):
    _, stages = made
    for one in stages.test:
        shown = np.arange(len(one.spans)) == 1
        found = gated.joined(one, stages.joint, shown)
        under = np.zeros(len(found), bool)
        under[slice(*one.spans[1])] = True
        np.testing.assert_array_equal(found[~under], one.scores[~under])
        assert np.allclose(found.sum(1), 1) and np.isfinite(found).all()
    everything = [gated.joined(one, stages.joint, np.ones(len(one.spans), bool)) for one in stages.test]
    true = [one.proposed.recording.labels for one in stages.test]
    f1 = [evaluate(true, None, part, TASK1_CLASSES)["f1"] for part in ([s.scores for s in stages.test], everything)]
    assert f1[1] > f1[0] + 0.03


def test_gates_spend_the_same_on_different_clips_and_the_difference_beats_confidence(made):
    data, stages = made
    table, runs = curves([stages], data, PROTOCOL, budgets=BUDGETS, share=0.5)
    assert list(table.columns) == gate_curves.COLUMNS and len(table) == 2 * len(gate.GATES) + 2
    ends = table[table["gate"] == NONE].set_index("variant")
    assert ends.loc["poses alone", ["share_of_video", "passes", "tflop_per_hour"]].tolist() == [0, 0, 0]
    f1 = table.set_index(["gate", "share_of_video"])["f1"]
    assert (f1["oracle"].to_numpy() >= f1["confidence"].to_numpy() - 1e-9).all()
    found = areas(table)
    assert found.loc["oracle", "f1"] >= found.loc["difference", "f1"] > found.loc["confidence", "f1"]
    assert found.loc["difference", "f1"] > found.loc["random", "f1"]
    told = gained(runs, ("difference",), 0.5)
    assert told.loc[DENSE, "value"] == pytest.approx(ends["f1"]["dense"] - ends["f1"]["poses alone"])
    assert told["n_videos"].tolist() == [10, 10] and (told["low"] > 0).all()


def test_costs_are_counted_from_the_clips_that_are_shown(made):
    data, stages = made
    table, _ = curves([stages], data, PROTOCOL, gates=("random",), budgets=BUDGETS, share=0.5)
    table = table.set_index("variant")
    frames = sum(len(r) for r in data.test)
    clips = sum(len(s.spans) for s in stages.test)
    assert table.loc[DENSE, "passes"] == pytest.approx(60 * clips / frames)
    assert table.loc[DENSE, "share_of_video"] <= table.loc[DENSE, "passes"]
    assert (table.loc["gated", "passes"] <= np.array([0.25, 0.5]) * table.loc[DENSE, "passes"] + 1e-9).all()
    dear = replace(PROTOCOL, embedder=EmbedderSettings())
    _, each = embedder_class(dear.embedder.model).cost(dear.embedder, dear.clips, (570, 1024))
    found = curves([stages], data, dear, gates=("random",), budgets=(0.0, 1.0))[0]["tflop_per_hour"].iloc[-1]
    assert found == pytest.approx(clips * each / sum(r.seconds for r in data.test) * 3600)


def test_ten_videos_certify_nothing_and_risk_falls_with_what_a_good_gate_takes_away(made):
    data, stages = made
    told = gate_curves.guarantee(stages, "difference", data)
    assert (told.place, told.videos, told.needed) == (None, 10, 230)
    found = gate_curves.risk_coverage(stages, ("oracle", "confidence"))
    assert found["oracle"][0][-1] == pytest.approx(1) and found["oracle"][1][-1] == pytest.approx(
        found["confidence"][1][-1]
    )
    areas_under = {name: np.trapezoid(risk, coverage) for name, (coverage, risk) in found.items()}
    assert areas_under["oracle"] < areas_under["confidence"]
