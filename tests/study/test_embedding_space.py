"""Measures of a space, against hand-computed values, second implementations and spaces whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import balanced_accuracy_score, silhouette_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mbrepro.errors import InputError
from mbrepro.method.training import one_thread
from mbrepro.study import embedding_space as space

RNG = np.random.default_rng(0)
LINE = np.array([[0.0], [1], [3], [10], [11], [13]])
TWO = np.array(["a", "a", "a", "b", "b", "b"])


def clusters(per=30, width=6, apart=20.0, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per)
    return rng.standard_normal((len(labels), width)) + apart * np.eye(classes, width)[labels], labels


def test_neighbours_by_hand():
    assert space.neighbours(LINE, 1).ravel().tolist() == [1, 0, 1, 4, 3, 4]
    others = space.neighbours(LINE, 2, np.array([0, 1, 0, 1, 0, 1]))
    assert others.tolist() == [[1, 3], [0, 2], [1, 3], [4, 2], [3, 5], [4, 2]]


def test_coinciding_points_are_not_their_own_neighbours():
    found = space.neighbours(np.zeros((5, 2)), 2)
    assert all(point not in row for point, row in enumerate(found.tolist()))


def test_purity_by_hand_is_a_mean_over_classes():
    labels = np.array(["a", "a", "b", "b", "b", "b"])
    # 1-NN: 0 → 1 same, 1 → 0 same, 2 → 1 other, the rest same: a 1, b 3/4
    assert space.purity(LINE, labels, 1) == pytest.approx((1 + 3 / 4) / 2)
    # chance: an a has 1 of 5 others alike, a b 3 of 5
    assert space.chance_purity(labels) == pytest.approx((1 / 5 + 3 / 5) / 2)
    groups = np.array([0, 0, 0, 1, 1, 1])  # an a may meet b b b; the first b likewise; the others a a b
    assert space.chance_purity(labels, groups) == pytest.approx((0 + (1 + 1 / 3 * 3) / 4) / 2)


def test_planted_clusters_are_pure_and_far_apart():
    points, labels = clusters()
    recordings = np.tile(np.arange(5), 18)
    made = space.arrangement(points, labels, recordings, 5)
    assert made["purity"] == made["purity, other recordings"] == 1
    assert made["silhouette of classes"] > 0.8 and made["variance between classes"] > 0.95
    assert abs(made["variance between recordings"]) < 0.06 and made["silhouette of recordings"] < 0


def test_shuffled_labels_are_as_pure_as_chance():
    points, labels = clusters(per=150)
    shuffled = np.random.default_rng(1).permutation(labels)
    assert space.purity(points, shuffled, 10) == pytest.approx(space.chance_purity(shuffled), abs=0.03)
    assert space.variance_between(points, shuffled) == pytest.approx(0, abs=0.02)


def test_recordings_that_differ_are_found_where_classes_do_not():
    rng = np.random.default_rng(2)
    recordings = np.repeat(np.arange(8), 20)
    points = rng.standard_normal((160, 4)) + 5 * rng.standard_normal((8, 4))[recordings]
    labels = np.tile([0, 1], 80)
    assert space.variance_between(points, recordings) > 0.8 and space.variance_between(points, labels) < 0.02
    assert space.purity(points, recordings, 5) > 0.9


def test_silhouette_is_scikit_learns_and_undefined_for_one_label():
    points, labels = clusters(apart=2)
    assert space.silhouette(points, labels) == silhouette_score(points, labels)
    assert np.isnan(space.silhouette(points, np.zeros(len(points))))


def test_variance_between_by_hand():
    # means 1 and 11 of (0, 2) and (10, 12): within 4, total 104; epsilon² = 1 - (4 / 2) / (104 / 3)
    assert space.variance_between(np.array([[0.0], [2], [10], [12]]), [0, 0, 1, 1]) == pytest.approx(1 - 2 / (104 / 3))
    assert np.isnan(space.variance_between(LINE, np.zeros(6))) and np.isnan(space.variance_between(LINE, np.arange(6)))


def test_hubness_is_the_skewness_of_how_often_a_point_is_a_neighbour():
    points = RNG.standard_normal((80, 12))
    often = np.zeros(80)
    for index, point in enumerate(points):
        order = np.argsort(((points - point) ** 2).sum(1))
        for other in [k for k in order if k != index][:7]:
            often[other] += 1
    assert space.hubness(points, 7) == pytest.approx(skew(often))
    ring = np.exp(2j * np.pi * np.arange(12) / 12)
    assert space.hubness(np.stack([ring.real, ring.imag], 1), 2) == 0  # everybody is a neighbour twice


def test_a_point_in_the_middle_of_a_sphere_is_a_hub():
    shell = RNG.standard_normal((100, 50))
    shell /= np.linalg.norm(shell, axis=1, keepdims=True)
    assert space.hubness(np.vstack([shell, np.zeros(50)]), 1) > 5


def test_relative_contrast_by_hand():
    # of 0, 1, 3: (3-1)/1, (2-1)/1, (3-2)/2
    assert space.relative_contrast(LINE[:3]) == 1.0
    assert space.relative_contrast(np.zeros((3, 2))) == np.inf


def test_distances_of_independent_noise_concentrate_and_hubs_appear_as_it_gets_wider():
    made = [space.concentration(RNG.standard_normal((300, width)), 10) for width in (2, 20, 200, 2000)]
    for name, sign in (("relative contrast", -1), ("hubness (k = 10)", 1), ("intrinsic dimension", 1)):
        assert (np.diff([m[name] for m in made]) * sign > 0).all(), name
    assert made[0]["relative contrast"] > 10 and made[-1]["relative contrast"] < 0.2


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_intrinsic_dimension_is_that_of_the_surface_not_of_the_width(dimension):
    points = np.random.default_rng(3).uniform(size=(1500, dimension))
    wide = space.at_width(points, 300, "rotated", 0)
    assert space.intrinsic_dimension(points) == pytest.approx(dimension, rel=0.12)
    assert space.intrinsic_dimension(wide) == pytest.approx(space.intrinsic_dimension(points), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 100))
def test_turning_into_another_width_keeps_distances_and_fewer_dimensions_are_some_of_them(width, seed):
    points = np.random.default_rng(seed).standard_normal((9, 5))
    wide = space.at_width(points, width, "rotated", seed)
    assert wide.shape == (9, width)
    if width > 5:
        np.testing.assert_allclose(wide @ wide.T, points @ points.T, atol=1e-9)
    else:
        assert all(any(np.array_equal(column, own) for own in points.T) for column in wide.T)
    noisy = space.at_width(points, 5 + width, "noise", seed)
    np.testing.assert_array_equal(noisy[:, :5], points)


def test_added_noise_is_as_spread_as_the_points():
    points = RNG.standard_normal((2000, 4)) * [1, 2, 3, 4]
    assert space.at_width(points, 6, "noise", 0)[:, 4:].var(0) == pytest.approx([7.5, 7.5], rel=0.1)


def test_sweep_without_pca_is_scikit_learns_leave_one_group_out():
    points, labels = clusters(apart=1.5, width=8)
    points = points * np.arange(1, 9)
    recordings = np.tile([f"mouse{k}" for k in range(6)], 15)
    made = space.sweep_components(points, labels, recordings, [0, 2, 8]).set_index(["head", "components"])["accuracy"]
    models = {"1-NN": KNeighborsClassifier(1), "10-NN": KNeighborsClassifier(10)}
    models["ridge"] = RidgeClassifierCV(np.logspace(-1, 5, 7), class_weight="balanced")
    for head, model in models.items():
        pipeline = make_pipeline(StandardScaler(), model)
        said = cross_val_predict(pipeline, points, labels, groups=recordings, cv=LeaveOneGroupOut())
        assert made[head, 0] == pytest.approx(balanced_accuracy_score(labels, said)), head
        assert made[head, 8] == pytest.approx(made[head, 0])  # all components: distances stay
        assert made[head, 2] < made[head, 0]


def test_sweep_learns_nothing_from_the_recordings_left_out():
    """A recording whose labels are turned round cannot be foreseen from the others."""
    points, labels = clusters(classes=2, width=2)
    recordings = np.tile([0, 1, 2], 20)
    labels = np.where(recordings == 2, 1 - labels, labels)
    made = space.sweep_components(points, labels, recordings, [0], heads=["1-NN"])
    assert 0.1 < made["accuracy"].item() < 0.65 and made["low"].item() == 0  # a resample may hold recording 2 only


def test_planted_classes_reach_one_with_an_interval_and_too_many_components_are_left_out():
    points, labels = clusters()
    names = np.array(["x", "y", "z"])[labels]
    made = space.sweep_components(points, names, np.tile(np.arange(6), 15), [0, 2, 6, 7, 500], folds=3)
    assert (made.loc[made["components"] == 6, ["accuracy", "low", "high"]] == 1).all(axis=None)
    assert (made["accuracy"] > 0.97).all()
    assert sorted(made["components"].unique()) == [0, 2, 6]


def test_noise_dimensions_harm_the_nearest_neighbour_and_turning_does_not():
    points, labels = clusters(per=40, apart=4, width=4)
    made = space.sweep_width(points, labels, np.tile(np.arange(8), 15), [4, 1000], 0).set_index(
        ["widened", "width", "head"]
    )
    accuracy = made["accuracy"]
    assert accuracy["rotated", 1000, "1-NN"] == accuracy["rotated", 4, "1-NN"] > 0.9
    assert accuracy["noise", 1000, "1-NN"] < accuracy["rotated", 1000, "1-NN"] - 0.2
    contrast = made["contrast"]
    assert contrast["rotated", 1000, "1-NN"] == pytest.approx(contrast["rotated", 4, "1-NN"])
    assert contrast["noise", 1000, "1-NN"] < 0.5


def test_best_components_by_hand():
    sweep = pd.DataFrame({"head": ["k"] * 3, "components": [0, 2, 4], "accuracy": [0.5, 0.4, 0.7]})
    assert space.best_components(sweep).loc["k"].tolist() == pytest.approx([0.5, 0.7, 4, 0.2])


def test_map_is_stored_and_read_back(tmp_path, monkeypatch):
    points, _ = clusters(per=10)
    with one_thread():
        first = space.umap_map(points, 0, tmp_path, "a space", near=5)
        assert torch.get_num_threads() == 1  # numba would leave as many as there are cores
    assert first.shape == (30, 2) and first.dtype == np.float32
    import umap

    monkeypatch.setattr(umap.UMAP, "fit_transform", None)
    assert np.array_equal(space.umap_map(points, 0, tmp_path, "a space", near=5), first)
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["umap"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: space.standardised(np.zeros(3)), "clips by values"),
        (lambda: space.relative_contrast(np.array([[0.0], [np.nan]])), "clip 1 has a value that is not finite"),
        (lambda: space.neighbours(LINE, 6), "6 neighbours cannot be found among 6 clips"),
        (lambda: space.neighbours(LINE, 4, [0, 0, 0, 1, 1, 1]), "fewer than 4 clips of other recordings"),
        (lambda: space.at_width(LINE, 4, "smooth", 0), "widened by one of rotated, noise"),
        (lambda: space.sweep_components(LINE, TWO, np.zeros(6), [0]), "at least 2"),
        (lambda: space.sweep_components(LINE, TWO, np.arange(6), [0], heads=["tree"]), "there is no head 'tree'"),
    ],
)
def test_bad_input_gets_one_sentence(call, told):
    with pytest.raises(InputError, match=told):
        call()


def test_clips_of_other_are_left_out_of_every_space():
    frame = pd.DataFrame({"class": ["attack", "other", "mount"], "recording": ["r", "r", "s"]})
    spaces = {"model": np.arange(6.0).reshape(3, 2), "poses": np.arange(3.0)[:, None]}
    points, classes, recordings = space.of_behaviours(spaces, frame)
    assert points["model"].tolist() == [[0, 1], [4, 5]] and points["poses"].tolist() == [[0], [2]]
    assert classes.tolist() == ["attack", "mount"] and recordings.tolist() == ["r", "s"]
    assert space.chance(classes) == 0.5


def test_pages_tables_hold_the_measures_of_each_space_standardised():
    wide, labels = clusters()
    wide = wide * np.array([100, 1, 1, 1, 1, 1])  # one dimension outweighs all: standardised or not shows
    spaces, recordings = {"model": wide, "poses": wide[:, :2]}, np.tile(np.arange(15), 6)
    arranged = space.arrangements(spaces, labels, recordings)
    by_hand = space.arrangement(space.standardised(wide[:, :2]), labels, recordings)
    assert arranged["poses"].to_dict() == by_hand and arranged.columns.tolist() == ["model", "poses"]
    noise = np.random.default_rng(3).standard_normal(wide.shape)
    told = space.concentrations(spaces, seed=3)
    assert told.index.tolist() == ["model", "poses", "model, not standardised", "noise of its width"]
    assert told.loc["model"].to_dict() == space.concentration(space.standardised(wide))
    assert told.loc["model, not standardised"].to_dict() == space.concentration(wide)
    assert told.loc["noise of its width"].to_dict() == space.concentration(noise)
    sweeps = space.component_sweeps(spaces, labels, recordings, [1, 2])
    assert list(sweeps) == ["model", "poses", "model, not standardised"]
    assert set(sweeps["poses"]["components"]) == {0, 1, 2}
    one = [sweep.set_index(["head", "components"]).loc[("1-NN", 1), "accuracy"] for sweep in sweeps.values()]
    raw = space.sweep_components(wide, labels, recordings, [1], scale=False, heads=["1-NN"])["accuracy"].item()
    assert one[2] == raw != one[0]


def test_clips_are_named_by_a_head_of_other_recordings_alone():
    """Two recordings, each of which would name the other's clips by the one's own way of telling classes apart."""
    rng = np.random.default_rng(0)
    points, classes = rng.standard_normal((40, 3)), np.repeat(["attack", "mount"] * 2, 10)
    recordings = np.repeat(["a", "b"], 20)
    sign = np.where(classes == "mount", 5, -5)
    points[:, 0] += np.where(recordings == "a", sign, -sign)
    frame = pd.DataFrame({"class": classes, "recording": recordings})
    said = space.named_by_others({"one": points, "two": np.abs(points)}, frame)
    assert list(said) == ["one", "two"] and (said["one"] != classes).all()
    assert (
        space.named_by_others({"one": points}, frame.assign(recording=np.arange(40)))["one"] == classes
    ).mean() < 0.7
    with pytest.raises(InputError, match="at least 2"):
        space.named_by_others({"one": points}, frame.assign(recording="a"))
