"""Training of stage 1: each frame visited once, a seed gives one network, what is held out is scored as rows are."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from mbrepro.data.recordings import UNLABELLED, Recording
from mbrepro.errors import InputError
from mbrepro.method import training
from mbrepro.method.localizer import LOCALIZER_CLASSES, PoseCNN, action_labels, localize, pose_features
from mbrepro.method.training import fit_localizer
from mbrepro.metrics.frames import evaluate
from tests.fixtures.near_and_far import SMALL


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    spread=st.sampled_from([1, 2, 4]),
)
def test_an_epoch_visits_every_frame_once_with_its_own_context(lengths, seed, spread):
    rng = np.random.default_rng(seed)
    recordings = [Recording(f"r{k}", rng.uniform(1, 500, (n, 2, 7, 2))) for k, n in enumerate(lengths)]
    firsts = np.cumsum([0, *lengths])
    targets = [np.arange(a, b) for a, b in pairwise(firsts)]  # each frame its own target
    by_frame = {}
    for x, y in training._batches(recordings, targets, replace(SMALL, spread=spread), rng):
        assert x.shape[1:] == (28, 16 * spread + SMALL.samples - 1) and y.shape[1] == 16
        for crop, target in zip(x.numpy(), y.numpy(), strict=True):
            for k in np.flatnonzero(target >= 0):
                assert int(target[k]) not in by_frame
                by_frame[int(target[k])] = crop[:, k * spread : k * spread + SMALL.samples]
    assert sorted(by_frame) == list(range(sum(lengths)))
    for recording, target in zip(recordings, targets, strict=True):
        padded = np.pad(pose_features(recording), ((10, 10), (0, 0)))
        for t, frame in enumerate(target):
            assert np.array_equal(by_frame[int(frame)], padded[t : t + 21 : 2].T)


@settings(max_examples=30, deadline=None)
@given(spans=st.lists(st.integers(0, 60), min_size=3, max_size=3), seed=st.integers(0, 99))
def test_an_epoch_visits_every_labelled_frame_once_and_no_crop_of_unlabelled_ones(spans, seed):
    first, labelled, rest = spans[0] + 1, *spans[1:]  # without an unlabelled frame, crops are as they always were
    frames, rng = first + labelled + rest + 1, np.random.default_rng(seed)
    recording = Recording("r", rng.uniform(1, 500, (frames, 2, 7, 2)))
    target = np.full(frames, UNLABELLED)
    target[first : first + labelled + 1] = np.arange(labelled + 1)
    batches = list(training._batches([recording], [target], SMALL, rng))
    assert all((crop >= 0).any() for _, y in batches for crop in y.numpy())
    visited = np.concatenate([y.numpy().ravel() for _, y in batches])
    assert sorted(visited[visited >= 0]) == list(range(labelled + 1))


def test_unlabelled_frames_teach_and_count_nothing(made):
    half = np.arange(600) < 300
    targets = [np.where(half, action_labels(r.labels, r.classes), UNLABELLED) for r in made[:4]]
    held_out = [(made[4], np.where(half, action_labels(made[4].labels, made[4].classes), UNLABELLED))]
    model, history = fit_localizer(made[:4], targets, replace(SMALL, epochs=8), 0, held_out)
    said = localize(model, made[4]).argmax(1)
    assert history[-1]["validation_f1"] == pytest.approx(f1_score(made[4].action[half], said[half] == 0))
    assert history[-1]["validation_f1"] > 0.9 and np.isfinite([row["loss"] for row in history]).all()


def test_localizer_learns_a_pattern_and_gives_probabilities(made, fitted):
    model, history = fitted
    assert not model.training
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    probabilities = localize(model, made[4])
    assert probabilities.shape == (600, 2)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(1) == pytest.approx(np.ones(600), abs=1e-6)
    assert f1_score(made[4].action, probabilities[:, 0] > 0.5) > 0.9


def test_one_seed_gives_one_network_and_leaves_the_global_seed_alone(made, fitted):
    torch.manual_seed(11)
    expected_draw = torch.rand(3)
    torch.manual_seed(11)
    again, history = fit_localizer(made[:4], [action_labels(r.labels, r.classes) for r in made[:4]], SMALL, seed=3)
    assert torch.equal(torch.rand(3), expected_draw)
    assert history == fitted[1]
    for name, value in fitted[0].state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    other, _ = fit_localizer(
        made[:4], [action_labels(r.labels, r.classes) for r in made[:4]], replace(SMALL, epochs=1), seed=4
    )
    assert not torch.equal(other.convs[0].weight, fitted[0].convs[0].weight)


@pytest.mark.parametrize(
    ("classes", "targets"), [(2, lambda r: action_labels(r.labels, r.classes)), (4, lambda r: r.labels)]
)
def test_validation_f1_is_the_metric_of_the_networks_row_of_the_table(made, classes, targets):
    train, held_out = [targets(r) for r in made[:2]], [(r, targets(r)) for r in made[3:5]]
    model, history = fit_localizer(made[:2], train, replace(SMALL, classes=classes, epochs=2), 0, held_out)
    names = LOCALIZER_CLASSES if classes == 2 else made[0].classes
    told = evaluate([target for _, target in held_out], None, [localize(model, r) for r, _ in held_out], names)
    assert history[-1]["validation_f1"] == pytest.approx(told["f1"])
    assert told["f1"] != pytest.approx(told["macro_f1"])  # it is not a mean over all classes


def test_after_each_epoch_the_network_is_that_of_so_many_epochs(made):
    targets, after = [action_labels(r.labels, r.classes) for r in made[:2]], {}

    def keep(epoch: int, model: PoseCNN) -> None:
        after[epoch] = {name: value.clone() for name, value in model.state_dict().items()}

    fit_localizer(made[:2], targets, replace(SMALL, epochs=3), 0, after_epoch=keep)
    assert list(after) == [1, 2, 3]
    shorter, _ = fit_localizer(made[:2], targets, replace(SMALL, epochs=2), 0)
    for name, value in shorter.state_dict().items():
        assert torch.equal(after[2][name], value), name


def test_input_is_normalised_by_all_train_frames(made):
    model, _ = fit_localizer(
        made[:2], [action_labels(r.labels, r.classes) for r in made[:2]], replace(SMALL, epochs=1), 0
    )
    pooled = np.concatenate([pose_features(r) for r in made[:2]])
    assert model.input_norm.running_mean.numpy() == pytest.approx(pooled.mean(0), rel=1e-5)
    assert model.input_norm.running_var.numpy() == pytest.approx(pooled.var(0), rel=1e-3)
    assert not model.train().input_norm.training and model.convs[0].training


def test_targets_that_do_not_fit_are_refused(made):
    with pytest.raises(InputError, match=r"r0: targets have shape \(5,\), not \(600,\)"):
        fit_localizer(made[:1], [np.zeros(5, int)], SMALL, seed=0)
    with pytest.raises(InputError, match="r0: targets must be from 0 to 1"):
        fit_localizer(made[:1], [made[0].labels], SMALL, seed=0)
    with pytest.raises(InputError, match="at least one training recording"):
        fit_localizer([], [], SMALL, seed=0)
