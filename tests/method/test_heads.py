import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.errors import InputError
from mbrepro.method.heads import HEADS, PENALTIES, SHARPNESS, HeadSettings, fit_head, head_settings


def blobs(counts: dict[int, int], seed: int, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings in well separated groups: class k around 5 on axis k."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(list(counts), list(counts.values()))
    return (rng.normal(0, 1, (len(labels), width)) + 5 * np.eye(width)[labels]).astype(np.float32), labels


@pytest.mark.parametrize("kind", HEADS)
def test_scores_belong_to_their_classes_and_unseen_ones_get_nothing(kind):
    head = fit_head(*blobs({3: 30, 0: 20}, seed=0), 4, HeadSettings(kind), seed=0)
    embeddings, labels = blobs({0: 25, 3: 25}, seed=1)
    scores = head.scores(embeddings)
    assert scores.shape == (50, 4)
    assert np.allclose(scores.sum(1), 1)
    assert not scores[:, [1, 2]].any()
    assert (scores.argmax(1) == labels).mean() > 0.95


@pytest.mark.parametrize("kind", HEADS)
def test_training_of_one_class_always_gives_that_class(kind):
    embeddings, labels = blobs({2: 1}, seed=0)
    head = fit_head(embeddings, labels, 3, HeadSettings(kind), seed=0)
    assert head.scores(np.random.default_rng(0).normal(size=(4, 6))).tolist() == [[0, 0, 1]] * 4


@pytest.mark.parametrize("kind", HEADS)
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


def test_ridge_takes_the_penalty_of_least_leave_one_out_error_and_gives_least_squares_answers():
    """By linear algebra, each clip left out in turn."""
    rng = np.random.default_rng(1)
    train, labels = rng.normal(size=(24, 5)), np.r_[0, 1, 2, rng.integers(0, 3, 21)]
    targets = np.where(np.eye(3)[labels] > 0, 1.0, -1.0)

    def answers(fit, wanted, test, penalty):
        middle, level = fit.mean(0), wanted.mean(0)
        inverse = np.linalg.inv((fit - middle).T @ (fit - middle) + penalty * np.eye(5))
        return (test - middle) @ inverse @ (fit - middle).T @ (wanted - level) + level

    def left_out(penalty):
        kept = ~np.eye(24, dtype=bool)
        parts = [answers(train[k], targets[k], train[~k], penalty) for k in kept]
        return ((np.concatenate(parts) - targets) ** 2).mean()

    head = fit_head(train, labels, 3, HeadSettings("ridge", standardise=False), 0)
    best = min(PENALTIES, key=left_out)
    assert head.model[-1].alpha_ == pytest.approx(best)
    test = rng.normal(size=(9, 5))
    shares = np.clip((1 + answers(train, targets, test, best)) / 2, 1e-6, 1)
    np.testing.assert_allclose(head.scores(test), shares / shares.sum(1, keepdims=True), atol=1e-6)


def test_prototypes_go_by_the_angle_alone():
    train, labels = np.array([[1.0, 0], [3, 0], [0, 2], [0, 5]]), np.array([0, 0, 1, 1])
    head = fit_head(train, labels, 2, HeadSettings("prototypes", standardise=False), 0)
    scores = head.scores(np.array([[2.0, 2], [30, 40]]))
    assert scores[0].tolist() == [0.5, 0.5]
    assert np.log(scores[1, 1] / scores[1, 0]) == pytest.approx(SHARPNESS * (0.8 - 0.6))


def test_lda_takes_a_class_of_one_clip_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = fit_head(*blobs({0: 1, 1: 5}, 0), 2, HeadSettings("lda"), 0)
    test, true = blobs({0: 20, 1: 20}, 1)
    assert (head.scores(test).argmax(1) == true).mean() > 0.7


def test_lda_finds_what_differs_across_a_direction_that_varies_more():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    points = rng.normal(size=(200, 2)) * [8, 0.3] + np.outer(labels, [0, 1])
    lda, near = (
        fit_head(points, labels, 2, HeadSettings(kind, standardise=False), 0) for kind in ("lda", "prototypes")
    )
    right = [(head.scores(points).argmax(1) == labels).mean() for head in (lda, near)]
    assert right[0] > 0.9 > 0.75 > right[1]


def test_a_name_says_how_many_neighbours_and_by_what():
    assert head_settings("knn") == HeadSettings("knn")
    assert head_settings("knn5_cosine") == HeadSettings("knn", 5, "cosine")
    assert head_settings("lda_early") == HeadSettings("lda", fusion="early")
    assert head_settings("knn3_late") == HeadSettings("knn", 3, fusion="late")
    for name in ("knn0", "knn_manhattan", "linear5", "early"):
        with pytest.raises(InputError, match=f"there is no head '{name}'"):
            head_settings(name)


@pytest.mark.parametrize("kind", HEADS)
def test_late_fusion_leans_on_the_part_that_knows_and_needs_animals(kind):
    """One part is the label, the other noise: calibrated, the noise is worth little."""
    rng = np.random.default_rng(0)
    (told, labels), (test, true) = blobs({0: 40, 1: 40, 2: 40}, 0), blobs({0: 30, 1: 30, 2: 30}, 1)
    noisy, unseen = (np.concatenate([rng.normal(size=(len(part), 8)), part], 1) for part in (told, test))
    animals = [f"mouse{k % 5}" for k in range(len(labels))]
    head = fit_head(noisy, labels, 4, HeadSettings(kind), 0, split=8, animals=animals)
    scores = head.scores(unseen)
    assert scores.shape == (90, 4) and np.allclose(scores.sum(1), 1) and not scores[:, 3].any()
    assert (scores.argmax(1) == true).mean() > 0.9
    with pytest.raises(InputError, match="late fusion calibrates in 3 folds by animal, and there are 2"):
        fit_head(noisy, labels, 4, HeadSettings(kind), 0, split=8, animals=[f"m{k % 2}" for k in range(len(labels))])


def test_late_fusion_of_a_part_with_itself_keeps_the_order_of_its_scores():
    """The mean of two equal heads of one temperature is that head's scores to a power."""
    rng = np.random.default_rng(0)
    labels, animals = rng.integers(0, 3, 90), [f"mouse{k % 6}" for k in range(90)]
    points, test = rng.normal(size=(90, 3)) + np.eye(3)[labels], rng.normal(size=(20, 3))
    fused = fit_head(np.tile(points, 2), labels, 3, HeadSettings(), 0, split=3, animals=animals).scores(
        np.tile(test, 2)
    )
    alone = fit_head(points, labels, 3, HeadSettings(), 0).scores(test)
    powers = np.log(fused[:, 0] / fused[:, 1]) / np.log(alone[:, 0] / alone[:, 1])
    assert np.allclose(powers, powers[0], rtol=1e-3) and 0.5 < powers[0] < 1.5


def test_late_fusion_bears_a_class_that_one_animal_alone_has():
    """Out of its fold it is never seen, and no warning comes of it (they are errors here)."""
    (points, labels), animals = blobs({0: 30, 1: 30, 2: 4}, 0), np.array([f"mouse{k % 5}" for k in range(64)])
    animals[labels == 2] = "mouse0"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = fit_head(np.tile(points, 2), labels, 3, HeadSettings(), 0, split=6, animals=animals)
    test, true = blobs({0: 10, 1: 10}, 1)
    scores = head.scores(np.tile(test, 2))
    assert np.isfinite(scores).all() and (scores.argmax(1) == true).mean() > 0.95


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
    cases["lda needs more training clips than classes, not 2 of 2"] = lambda: fit_head(
        embeddings[4:6], labels[4:6], 2, HeadSettings("lda"), 0
    )
    for message, call in cases.items():
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"kind": "tree"}, "no head 'tree'; take linear, mlp, knn, ridge, lda, prototypes"),
        ({"fusion": "middle"}, "fusion must be none or early or late, not 'middle'"),
        ({"metric": "city"}, "metric must be euclidean or cosine, not 'city'"),
        ({"neighbours": 0}, "neighbours must be at least 1, not 0"),
        ({"hidden": -3}, "hidden must be at least 1, not -3"),
        ({"regularisation": 0.0}, "regularisation must be a positive number, not 0.0"),
        ({"regularisation": float("nan")}, "regularisation must be a positive number, not nan"),
        ({"regularisation": float("inf")}, "regularisation must be a positive number, not inf"),
    ],
)
def test_settings_are_checked_at_once(setting, message):
    with pytest.raises(InputError, match=message):
        HeadSettings(**setting)
