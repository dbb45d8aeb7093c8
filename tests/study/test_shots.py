"""Few-shot with made recordings: an embedding that tells the behaviour, poses that do not, and the floors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mbrepro.data.recordings import Dataset
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.method import protocols
from mbrepro.study import shots as study
from mbrepro.study.shots import ALWAYS, BOTH, HEADS, MAJORITY, POSES, RANDOM, SHUFFLED, VIDEO
from tests.fixtures.telling import CLASSES, Telling, recording

PROTOCOL = replace(protocols.corrected_few_shot(EmbedderSettings()), view="told")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    parts = [tuple(recording(f"mouse{k:03}", k) for k in part) for part in (range(4), range(10, 13))]
    task = Dataset("task3/groom", CLASSES, *parts, "made")
    action = np.tile(np.r_[np.zeros(60), np.ones(60)], 6).astype(np.float32)  # every other second and a half
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "train_localizers", lambda *_: [None])
        folder = tmp_path_factory.mktemp("store")
        made = study.shots(
            task, [task], PROTOCOL, Telling(), folder, counts=(1, 5), draws=6, localize=lambda *_: action
        )
        yield task, made


def test_clips_of_another_source_are_shots_of_it(table, monkeypatch, tmp_path):
    """Where stage 1 proposes the first second alone, less is found than where clips lie over everything."""
    task, _ = table
    early = (np.arange(720) < 120).astype(np.float32)
    monkeypatch.setattr(study, "train_localizers", lambda *_: [None])
    monkeypatch.setattr(study, "localize_action", lambda *_: early)
    monkeypatch.setattr(study, "boosted", lambda *_: lambda *_: 1 - early)
    by = study.by_source(task, [task], PROTOCOL, Telling(), tmp_path, count=5, draws=6)
    assert set(by["proposed by"]) == {"the network", "boosted features", "nothing"}
    f1 = by.set_index(["proposed by", "embedding"])["F1"]
    assert f1["the network", VIDEO] < 0.5 < f1["boosted features", VIDEO] < f1["nothing", VIDEO]


def test_every_head_over_every_embedding_at_every_number_of_shots_and_the_floors(table):
    _, found = table
    ways = found[found["shots"] > 0].set_index(["embedding", "head", "shots"]).index
    assert not ways.has_duplicates and len(found) == 2 * (3 * len(HEADS) + 2) - 3 + 2  # no lda of one clip a class
    assert {(e, h, s) for e in (VIDEO, POSES, BOTH) for h in HEADS for s in (1, 5) if (h, s) != ("lda", 1)} < set(ways)


def test_what_tells_the_behaviour_is_found_with_few_shots_and_the_floors_are_not_above_chance(table):
    _, found = table
    ap = found.set_index(["embedding", "head", "shots"])["AP"]
    best = max(ap[VIDEO, head, 5] for head in HEADS)
    assert best > 0.9 and best > max(ap[POSES, head, 5] for head in HEADS) + 0.2
    for floor in (RANDOM, SHUFFLED):
        assert ap[floor, "linear", 5] < best - 0.2


def test_floors_that_learn_nothing_have_their_closed_form(table):
    task, found = table
    share = np.concatenate([r.labels for r in task.test]).mean()
    floors = found[found["shots"] == 0].set_index("embedding")
    assert floors.loc[ALWAYS, ["F1", "AP"]].tolist() == pytest.approx([2 * share / (1 + share), share])
    assert floors.loc[MAJORITY, ["F1", "AP", "bout F1"]].tolist() == pytest.approx([0, share, 0])


def test_a_draw_has_as_many_of_each_side_as_there_are_up_to_its_number():
    labels = np.r_[np.ones(3, int), np.zeros(50, int)]
    drawn = [study._draw(labels, 5, seed) for seed in range(20)]
    assert all((labels[kept] == 1).sum() == 3 and (labels[kept] == 0).sum() == 5 for kept in drawn)
    assert len({tuple(kept) for kept in drawn}) > 15


def test_means_are_over_behaviours_and_the_best_head_is_of_most_shots(table):
    _, found = table
    other = found.assign(behaviour="dig", AP=found["AP"] / 2)
    both = pd.concat([found, other], ignore_index=True)
    line = study.means(both).set_index(["embedding", "head", "shots"]).loc[(VIDEO, "ridge", 5)]
    alone = found.set_index(["embedding", "head", "shots"]).loc[(VIDEO, "ridge", 5)]
    assert line["AP"] == pytest.approx(0.75 * alone["AP"]) and line["F1"] == pytest.approx(alone["F1"])
    best = study.best(both).set_index(["behaviour", "embedding"])
    assert len(best) == 8 and set(best["shots"]) == {5, 0}
    wanted = found[(found["embedding"] == POSES) & (found["shots"] == 5)]["AP"].max()
    assert best.loc[("groom", POSES), "AP"] == wanted and best.loc[("dig", POSES), "AP"] == wanted / 2
