"""Both stages and the gate between them, on made recordings whose best outcome is known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.demo.simulated import DemoSettings, simulate_recording
from mbrepro.embedding import embedder_class
from mbrepro.embedding.embedder import POSES, EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method import gate, protocols
from mbrepro.method.heads import head_settings
from mbrepro.metrics.frames import evaluate
from mbrepro.report import prose, prose_video
from mbrepro.study import gate_curves, gated, learned, results
from mbrepro.study.beyond import Scores
from mbrepro.study.gate_curves import DENSE, NONE, areas, curves

PROTOCOL = replace(protocols.corrected(EmbedderSettings(POSES)), view="pose")


class Telling:
    """Embeds a clip as its middle frame's class, but never tells mount from other."""

    takes, views, identity = "poses", ("pose",), {}
    settings = SimpleNamespace(batch_size=4, model="telling")

    def embed_poses(self, recording, clips):
        middle = np.array([recording.labels[frames[len(frames) // 2]] for frames in clips], int)
        told = np.where(middle == 2, 3, middle)
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


def most_probable(scores):
    return scores.argmax(1)


def staged(train, test, folder) -> tuple[Dataset, gated.Stages]:
    """Both stages of recordings with their scores, two seeds of the same."""
    parts = [tuple(r for r, _ in part) for part in (train, test)]
    scores = [[s for _, s in part] for part in (train, test)]
    data = Dataset("task1", TASK1_CLASSES, *parts, "made")
    found = Scores(scores[0], [scores[1]], [])
    return data, gated.both_stages(data, found, 2, most_probable, PROTOCOL, Telling(), folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both stages of the recordings of six train and ten test animals."""
    train, test = ([recorded(f"mouse{k:03}", k) for k in part] for part in (range(6), range(20, 30)))
    return staged(train, test, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def values(made):
    return gated.gate_values(made[1])


@pytest.fixture(scope="module")
def drawn(made, values):
    data, stages = made
    return curves(stages, values[1], data, PROTOCOL)


def test_stage_2_names_clips_of_train_animals_that_its_head_never_saw(made):
    data, stages = made
    assert [s.proposed.recording.name for s in stages.train] == [r.name for r in data.train]
    assert len(stages.test) == 2
    for one in (*stages.train, *stages.test[0]):
        assert one.named.shape == (len(one.proposed.proposals), 4) and len(one.spans) == len(one.named)
        assert (np.diff(one.spans, axis=1) == 60).all()
        right = one.named.argmax(1) == one.proposed.labels
        assert right[one.proposed.labels != 2].mean() > 0.9
    assert head_settings(stages.head).kind in ("linear", "ridge", "lda", "prototypes", "knn")


def test_what_is_not_shown_stays_as_stage_1_has_it_and_the_rest_is_better(made):
    _, stages = made
    for one in stages.test[0]:
        shown = np.arange(len(one.spans)) == 1
        found = gated.joined(one, stages.joint, shown)
        under = np.zeros(len(found), bool)
        under[slice(*one.spans[1])] = True
        np.testing.assert_array_equal(found[~under], one.scores[~under])
        assert np.allclose(found.sum(1), 1) and np.isfinite(found).all()
    everything = [gated.joined(one, stages.joint, np.ones(len(one.spans), bool)) for one in stages.test[0]]
    true = [one.proposed.recording.labels for one in stages.test[0]]
    f1 = [evaluate(true, None, part, TASK1_CLASSES)["f1"] for part in ([s.scores for s in stages.test[0]], everything)]
    assert f1[1] > f1[0] + 0.03


def test_a_second_stage_that_tells_nothing_or_not_of_all_classes_leaves_stage_1_as_it_is(made):
    """The joint of stage 2's with scores at random, and of a head that never saw a mount."""
    _, stages = made
    rng = np.random.default_rng(0)
    train = [replace(s, named=rng.dirichlet(np.ones(4), len(s.named))) for s in stages.train]
    joint = gated.fit_joint(train)
    assert 0 <= joint.trust < 0.05
    blind = [replace(s, named=np.where(np.arange(4) == 2, 0, s.named)) for s in stages.test[0]]
    found = [gated.joined(s, joint, np.ones(len(s.spans), bool)).argmax(1) for s in blind]
    for one, labels in zip(stages.test[0], found, strict=True):
        np.testing.assert_array_equal(labels, one.scores.argmax(1))


def test_the_joint_is_the_pool_of_least_penalised_loss(made):
    _, stages = made
    rng = np.random.default_rng(1)

    def loss(joint):
        told = []
        for one in stages.train:
            clips = gate.average_over_time(one.spans, one.named, len(one.scores))
            kept = np.flatnonzero(~np.isnan(clips[:, 0]))[:: gated.EVERY]
            pooled = one.scores[kept] * (0.9 * clips[kept] + 0.025) ** joint.trust * np.exp(joint.bias)
            told.append(pooled[np.arange(len(kept)), one.proposed.recording.labels[kept]] / pooled.sum(1))
        return -np.log(np.concatenate(told)).mean() + gated.RIDGE * (joint.trust**2 + (joint.bias**2).sum())

    least = loss(stages.joint)
    for _ in range(20):
        moved = gated.Joint(stages.joint.trust + rng.normal(0, 0.05), stages.joint.bias + rng.normal(0, 0.05, 4))
        assert loss(moved) > least


def test_gates_spend_the_same_on_different_clips_and_the_difference_beats_confidence(made, drawn):
    table, runs = drawn
    inner = len(gate_curves.BUDGETS) - 2
    assert list(table.columns) == gate_curves.COLUMNS and len(table) == inner * len(gate.GATES) + 2 == len(runs)
    ends = table[table["gate"] == NONE].set_index("variant")
    assert ends.loc["poses alone", ["share_of_video", "passes", "tflop_per_hour"]].tolist() == [0, 0, 0]
    by_gate = {name: part["f1"].to_numpy() for name, part in table.groupby("gate")}
    assert (by_gate["oracle"] >= by_gate["confidence"] - 1e-9).all()
    found = areas(table)
    assert found.loc["oracle", "f1"] >= found.loc["difference", "f1"] > found.loc["confidence", "f1"]
    assert found.loc["difference", "f1"] > found.loc["random", "f1"]
    true = [v.true for v in runs[NONE, 1.0][0].videos]
    by_hand = [
        evaluate(true, [v.labels for v in runs[NONE, budget][0].videos], None, TASK1_CLASSES)["f1"] for budget in (0, 1)
    ]
    assert ends["f1"].tolist() == pytest.approx(by_hand)


def test_gains_over_other_gates_are_the_differences_of_the_areas(drawn):
    table, runs = drawn
    found, gains = areas(table)["f1"], gate_curves.area_gains(table, runs)
    assert set(gains) == set(found.index) - {"difference"}
    for name, told in gains.items():
        assert told["value"] == pytest.approx(found["difference"] - found[name])
        assert told["n_videos"] == len(runs[NONE, 0.0][0].videos)
    gain = gate_curves.gain(runs, 0.4)
    ends = table.set_index(["gate", "share_of_video"])["f1"]
    by_hand = np.mean(
        [evaluate(*zip(*[(v.true, v.labels) for v in run.videos], strict=True), None, TASK1_CLASSES)["f1"]
         for run in runs["difference", 0.4]]
    )  # fmt: skip
    assert gain["value"] == pytest.approx(by_hand - ends["none", 0.0])


def test_the_budget_is_the_best_on_train_animals_that_shows_no_more_than_it_may(made, values):
    data, stages = made
    held_out, _ = values
    f1 = {}
    for budget in gate_curves.BUDGETS:
        shown = gated.shown_at(stages.train, held_out, budget)
        seen = [np.zeros(len(one.scores), bool) for one in stages.train]
        for one, kept, under in zip(stages.train, shown, seen, strict=True):
            for start, stop in one.spans[kept]:
                under[start:stop] = True
        run = gated.run_at(stages.train, shown, stages, data)
        score = evaluate(*([getattr(v, name) for v in run.videos] for name in ("true", "labels")), None, TASK1_CLASSES)
        f1[budget] = (np.concatenate(seen).mean(), score["f1"])
    for share in (0.05, 0.15, 0.3, 0.9):
        allowed = {budget: score for budget, (seen, score) in f1.items() if seen <= share}
        assert gate_curves.choose_budget(stages, held_out, data, PROTOCOL, share) == max(allowed, key=allowed.get)
    with pytest.raises(InputError, match="share must lie between 0 and 1, not 1"):
        gate_curves.choose_budget(stages, held_out, data, PROTOCOL, 1)


def test_costs_are_counted_from_the_clips_that_are_shown(made, values, drawn):
    data, stages = made
    table = drawn[0][drawn[0]["gate"].isin(["random", NONE])].set_index("variant")
    frames = sum(len(r) for r in data.test)
    clips = sum(len(s.spans) for s in stages.test[0])
    assert table.loc[DENSE, "passes"] == pytest.approx(60 * clips / frames)
    assert table.loc[DENSE, "share_of_video"] <= table.loc[DENSE, "passes"]
    assert (
        table.loc["gated", "passes"] <= np.array(gate_curves.BUDGETS[1:-1]) * table.loc[DENSE, "passes"] + 1e-9
    ).all()
    dear = replace(PROTOCOL, embedder=EmbedderSettings())
    _, each = embedder_class(dear.embedder.model).cost(dear.embedder, dear.clips, (570, 1024))
    found = curves(stages, values[1], data, dear, budgets=(0.0, 1.0))[0]["tflop_per_hour"].iloc[-1]
    assert found == pytest.approx(clips * each / sum(r.seconds for r in data.test) * 3600)


def test_what_a_page_holds_of_each_stop_is_enough_for_the_curves_own_numbers(made, values, drawn):
    data, stages = made
    held, table = gate_curves.stops(stages, values[1], data, PROTOCOL)
    curve = drawn[0][drawn[0]["gate"].isin([gate_curves.CHOSEN, NONE])].reset_index(drop=True)
    same = table.iloc[[gate_curves.STOPS.index(budget) for budget in gate_curves.BUDGETS]].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, curve)

    def track(flat):
        return np.repeat(flat[1::2], flat[::2])

    assert [r["name"] for r in held["recordings"]] == [r.name for r in data.test]
    true = [track(r["true"]) for r in held["recordings"]]
    for stop, line in enumerate(table.itertuples()):
        f1, share, spent = [], [], []
        for seed in range(2):
            labels = [track(r["labels"][seed][stop]) for r in held["recordings"]]
            f1.append(evaluate(true, labels, None, TASK1_CLASSES)["f1"])
            share.append((np.concatenate([track(r["first"][seed]) for r in held["recordings"]]) <= stop).mean())
            spent.append(held["clips"][seed][stop] * held["tflop"] / held["seconds"] * 3600)
        assert [line.f1, line.share_of_video, line.tflop_per_hour] == pytest.approx(np.mean([f1, share, spent], 1))


def test_ten_videos_certify_nothing_and_risk_falls_with_what_a_good_gate_takes_away(made, values, drawn):
    data, stages = made
    told = gate_curves.guarantee(drawn[1], data)
    assert (told.place, told.videos, told.needed) == (None, 10, 230)
    found = gate_curves.risk_coverage(stages, values[1][0])
    assert found["oracle"][0][-1] == pytest.approx(1)
    assert found["oracle"][1][-1] == pytest.approx(found["confidence"][1][-1])
    areas_under = {name: np.trapezoid(risk, coverage) for name, (coverage, risk) in found.items()}
    assert areas_under["oracle"] < areas_under["confidence"]


def test_a_perfect_namer_wins_back_what_a_second_stage_that_tells_nothing_cannot(made, drawn):
    data, stages = made
    test = [[replace(s, named=np.full_like(s.named, 0.25)) for s in part] for part in stages.test]
    mute = replace(stages, test=tuple(map(tuple, test)))
    kinds = {"mute": mute, "clips": gated.perfect(mute), "frames": gated.perfect(mute, True), "true poses": None}
    table = gate_curves.bounds(data, drawn[1][NONE, 0.0], kinds, {"dense": drawn[1][NONE, 1.0]})
    assert list(table.index) == ["poses alone", "dense", "mute", "clips", "frames"]
    f1 = table["F1"]
    assert f1["frames"] == f1["clips"] == f1["dense"] == 1 > f1["mute"] == pytest.approx(f1["poses alone"], abs=0.02)
    more, low = (float(number.strip("[,")) for number in table.loc["dense", "F1 more"].split()[:2])
    assert more == pytest.approx(1 - table.loc["poses alone", "F1"], abs=5e-4) and low > 0
    assert table.loc["poses alone", "F1 more"] == ""


def test_rows_are_stored_and_taken_out_again(made, drawn, tmp_path, monkeypatch):
    data, _ = made
    monkeypatch.setattr(results.paths, "results", lambda *_: tmp_path)
    rows = gate_curves.record(drawn[1], 0.4, data, "demo")
    assert rows.groupby("protocol").size().index.tolist() == ["beyond", "beyond_dense"]
    f1 = rows[rows["metric"] == "f1"].set_index("protocol")["mean"]
    table = drawn[0].set_index(["gate", "share_of_video"])["f1"]
    assert f1["beyond_dense"] == pytest.approx(table[NONE].iloc[-1]) and f1["beyond"] in table["difference"].to_numpy()
    results.write_csv(drawn[0], "sparsity", "demo")
    assert set(results.verify("demo")["row"]) == {"pose_vlm"} and (tmp_path / "sparsity.csv").exists()
    assert gate_curves.leave_out("demo")["mean"].isna().all()
    assert not (tmp_path / "sparsity.csv").exists() and not list((tmp_path / "rows").iterdir())
    text = prose.two_stages(drawn[1], 0.4, drawn[0])
    assert "40% of the clips" in text and "the gated two stages minus poses alone is +" in text


def test_with_two_train_animals_each_is_held_out_and_with_one_nothing_is_fitted(tmp_path):
    test = [recorded("mouse020", 20)]
    data, stages = staged([recorded("mouse000", 0), recorded("mouse001", 1)], test, tmp_path)
    held_out, values = gated.gate_values(stages)
    assert len(held_out) == sum(len(one.spans) for one in stages.train) and len(values) == 2
    table, _ = curves(stages, values, data, PROTOCOL)
    assert table[["low", "high"]].isna().all(axis=None) and table["f1"].notna().all()
    with pytest.raises(InputError, match="2 folds by animal need as many animals, and there are 1"):
        staged([recorded("mouse000", 0)], test, tmp_path)
    assert not gated.enough(data)  # none of them has video
    assert "nothing of stage 2 can be fitted here" in prose.held_out(data, "dilated", "raw", None)


REACH_S = (0.5, 0.25, 0.9, 0.7)  # before and after a frame of each class


@pytest.fixture(scope="module")
def lasting(made, tmp_path_factory):
    """The same stages with clips as long as a reach that differs from class to class, so that lengths are mixed."""
    data, stages = made
    scores = [[s.scores for s in part] for part in (stages.train, stages.test[0])]
    reach = {r.name: np.repeat(np.array(REACH_S)[r.labels][:, None], 2, 1) for r in data.recordings}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned, "_reaches", lambda *_: [reach] * 3)
        found = Scores(scores[0], [scores[1]], [])
        folder = tmp_path_factory.mktemp("lasting")
        return learned.learned_stages(data, data, found, stages, PROTOCOL, Telling(), folder)


def test_each_whole_proposal_has_a_clip_as_long_as_it_is_expected_to_reach(made, lasting):
    """In half seconds, round its middle, named by the head of the other clips from its own frames."""
    _, stages = made
    assert lasting.fitted is stages.fitted and lasting.joint.trust > 0.1
    for one in (*lasting.train, *lasting.test[1]):
        recording = one.proposed.recording
        middles = np.array([(p.start + p.stop - 1) // 2 for p in one.proposed.proposals])
        wanted = {0: 1.0, 1: 0.5, 2: 2.0, 3: 1.5}  # twice the reach, to half a second
        assert one.seconds.tolist() == [wanted[label] for label in recording.labels[middles]]
        assert np.diff(one.spans, axis=1)[:, 0].tolist() == (one.seconds * 30).tolist()
        assert np.abs(one.spans.mean(1) - middles).max() <= 1
        seen = recording.labels[one.spans.mean(1).astype(int)]
        told = one.named.argmax(1)
        assert len(set(one.seconds)) > 2 and (told == seen)[seen < 2].mean() > 0.9


def test_both_kinds_of_clips_are_scored_at_as_many_frames_shown(made, lasting, values):
    data, stages = made
    table, pairs = learned.beside(stages, lasting, values[1], data, PROTOCOL)
    assert table["variant"].tolist() == [learned.LEARNED, learned.FIXED] * len(pairs)
    totals = [sum(np.diff(one.spans, axis=1).sum() for one in kind.test[0]) for kind in (lasting, stages)]
    ratio = totals[0] / totals[1]
    assert 0.2 < ratio < 0.4 and list(pairs) == pytest.approx([0.1, 0.2, ratio])
    frames = sum(len(r) for r in data.test)
    for (budget, (ours, theirs)), (one, other) in zip(
        pairs.items(), table["passes"].to_numpy().reshape(-1, 2), strict=True
    ):
        longest = 60 / frames  # a clip that is not bought leaves so much unspent
        assert budget * totals[1] / frames - longest < one <= budget * totals[1] / frames + 1e-9
        assert budget * totals[1] / frames - longest < other <= budget * totals[1] / frames + 1e-9
        true = [v.true for v in ours[1].videos]
        f1 = evaluate(true, [v.labels for v in ours[1].videos], None, TASK1_CLASSES)["f1"]
        line = table[table["variant"] == learned.LEARNED].iloc[list(pairs).index(budget)]
        assert line["f1"] == pytest.approx(f1, abs=0.01)  # both seeds have the same scores and clips
        assert len(ours) == len(theirs) == 2
    assert learned.more(pairs)[1::2] == [""] * len(pairs) and learned.more(pairs)[0][0] in "+-"
    text = prose_video.extents(pairs, lasting, stages)
    assert (
        "Learned extent" in text and f"There are {len(np.concatenate([s.seconds for s in lasting.test[0]]))} of" in text
    )


def test_passes_of_clips_of_several_lengths_cost_what_each_does(made, lasting):
    data, _ = made
    dear = replace(PROTOCOL, embedder=EmbedderSettings())
    every = [[np.ones(len(one.spans), bool) for one in part] for part in lasting.test]
    line = gate_curves.line("all", NONE, lasting, every, gated.runs_at(lasting, every, data), dear)
    each = [
        embedder_class(dear.embedder.model).cost(dear.embedder, replace(dear.clips, seconds=s), (570, 1024))[1]
        for one in lasting.test[0]
        for s in one.seconds
    ]
    found = dict(zip(gate_curves.COLUMNS, line, strict=True))["tflop_per_hour"]
    assert found == pytest.approx(sum(each) / sum(r.seconds for r in data.test) * 3600)


def test_no_network_is_asked_how_far_bouts_of_an_animal_reach_that_it_saw(made, monkeypatch, tmp_path):
    data, _ = made
    asked = []

    def reaches(job, _):
        asked.append(job)
        return [np.full((len(r), 2), job.seed) for r in job.others]

    monkeypatch.setattr(learned.stage1, "reaches", reaches)
    train, *test = learned._reaches(data, 2, tmp_path)
    assert list(train) == [r.name for r in data.train] and [part[data.test[0].name][0, 0] for part in test] == [0, 1]
    assert all(not {r.animal for r in job.train} & {r.animal for r in job.others} for job in asked)
    assert {job.name for job in asked} == {"dilated"}


def test_true_poses_are_those_that_were_simulated(tmp_path):
    settings = DemoSettings().scaled(0.05)
    names = ["mouse001_task1_annotator1", "mouse002_task1_annotator1", "mouse005_task1_annotator1"]
    made = [simulate_recording("task1", name, settings)[0] for name in names]
    data = Dataset("task1", TASK1_CLASSES, tuple(made[:2]), tuple(made[2:]), "simulated")
    scores = [(0.85 * np.eye(4)[r.labels] + 0.0375).astype(np.float32) for r in made]
    found = gated.by_true_poses(
        data,
        Scores(scores[:2], [scores[2:]], []),
        1,
        most_probable,
        protocols.corrected(EmbedderSettings()),
        tmp_path,
        0.05,
    )
    for one, recording in zip((*found.train, *found.test[0]), made, strict=True):
        true = simulate_recording("task1", recording.name, settings)[1]
        np.testing.assert_array_equal(one.proposed.recording.keypoints, true)
        assert not np.array_equal(true, recording.keypoints)
    assert found.view == "pose" and found.head in gated.HEADS
