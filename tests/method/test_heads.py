import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.errors import InputError
from mbrepro.method.heads import HeadSettings, fit_head

KINDS = ("linear", "mlp", "knn")


def blobs(counts: dict[int, int], seed: int, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings in well separated groups: class k around 5 on axis k."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(list(counts), list(counts.values()))
    return (rng.normal(0, 1, (len(labels), width)) + 5 * np.eye(width)[labels]).astype(np.float32), labels


@pytest.mark.parametrize("kind", KINDS)
def test_scores_belong_to_their_classes_and_unseen_ones_get_nothing(kind):
    head = fit_head(*blobs({3: 30, 0: 20}, seed=0), 4, HeadSettings(kind), seed=0)
    embeddings, labels = blobs({0: 25, 3: 25}, seed=1)
    scores = head.scores(embeddings)
    assert scores.shape == (50, 4)
    assert np.allclose(scores.sum(1), 1)
    assert not scores[:, [1, 2]].any()
    assert (scores.argmax(1) == labels).mean() > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_training_of_one_class_always_gives_that_class(kind):
    embeddings, labels = blobs({2: 1}, seed=0)
    head = fit_head(embeddings, labels, 3, HeadSettings(kind), seed=0)
    assert head.scores(np.random.default_rng(0).normal(size=(4, 6))).tolist() == [[0, 0, 1]] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_head_and_no_clips_give_no_scores(kind):
    train, test = blobs({0: 12, 1: 12}, seed=0), blobs({0: 5, 1: 5}, seed=1)[0]
    one, again = (fit_head(*train, 2, HeadSettings(kind), seed=7).scores(test) for _ in range(2))
    assert np.array_equal(one, again)
    assert fit_head(*train, 2, HeadSettings(kind), seed=7).scores(test[:0]).shape == (0, 2)


def test_mlp_separates_what_a_line_cannot():
    rng = np.random.default_rng(0)
    embeddings = rng.uniform(-1, 1, (400, 2))
    labels = (embeddings[:, 0] * embeddings[:, 1] > 0).astype(int)
    settings = HeadSettings("mlp", hidden=32, regularisation=1e-3)
    mlp = fit_head(embeddings[:300], labels[:300], 2, settings, 0).scores(embeddings[300:]).argmax(1)
    line = fit_head(embeddings[:300], labels[:300], 2, HeadSettings(), 0).scores(embeddings[300:]).argmax(1)
    assert (mlp == labels[300:]).mean() > 0.9
    assert (line == labels[300:]).mean() < 0.7


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), neighbours=st.integers(1, 7), standardise=st.booleans())
def test_knn_is_the_share_of_the_nearest_votes(seed, neighbours, standardise):
    rng = np.random.default_rng(seed)
    train, test = rng.normal(0, [1, 10, 0.1], (20, 3)), rng.normal(0, [1, 10, 0.1], (5, 3))
    labels = np.r_[0, 1, rng.integers(0, 3, 18)]
    chosen = HeadSettings("knn", neighbours=neighbours, standardise=standardise)
    scale = train.std(0) if standardise else 1
    distances = np.linalg.norm((test[:, None] - train) / scale, axis=2)
    votes = labels[np.argsort(distances, axis=1)[:, :neighbours]]
    expected = np.stack([(votes == k).mean(1) for k in range(3)], axis=1)
    assert np.allclose(fit_head(train, labels, 3, chosen, 0).scores(test), expected)


def test_linear_is_penalised_logistic_regression():
    """At the optimum the gradient of log loss + (regularisation / 2) |w|², without the intercept's, is zero."""
    embeddings, labels = blobs({0: 15, 1: 15}, seed=3, width=2)
    head = fit_head(embeddings, labels, 2, HeadSettings(regularisation=2.0, standardise=False), 0)
    weights = head.model[-1].coef_[0]
    residual = head.scores(embeddings)[:, 1] - labels
    assert residual @ embeddings + 2.0 * weights == pytest.approx(np.zeros(2), abs=1e-2)
    assert residual.sum() == pytest.approx(0, abs=1e-2)


def test_what_does_not_fit_is_refused():
    embeddings, labels = blobs({0: 5, 1: 5}, seed=0)
    plain = HeadSettings()
    spoiled = embeddings.copy()
    spoiled[3, 1] = np.nan
    head = fit_head(embeddings, labels, 2, plain, 0)
    cases = {
        "embedding of clip 3": lambda: fit_head(spoiled, labels, 2, plain, 0),
        "clip 3 holds": lambda: head.scores(spoiled),
        "have 5 values; this head was fitted on 6": lambda: head.scores(embeddings[:, :5]),
        r"shape \(clips, values\)": lambda: head.scores(embeddings[0]),
        r"labels have shape \(9,\)": lambda: fit_head(embeddings, labels[:9], 2, plain, 0),
        "from 0 to 1": lambda: fit_head(embeddings, labels + 1, 2, plain, 0),
        "whole numbers": lambda: fit_head(embeddings, labels.astype(float), 2, plain, 0),
        "at least one training clip": lambda: fit_head(embeddings[:0], labels[:0], 2, plain, 0),
        "from 1 to the 10 training clips, not 11": lambda: fit_head(
            embeddings, labels, 2, HeadSettings("knn", neighbours=11), 0
        ),
    }
    for message, call in cases.items():
        with pytest.raises(InputError, match=message):
            call()
