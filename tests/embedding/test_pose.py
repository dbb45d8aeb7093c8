from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data.alignment import body_length
from mbrepro.data.recordings import KEYPOINTS, Recording, Skeleton
from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.pose import (
    FEATURES,
    QUANTILES,
    SUMMARIES,
    PoseEmbedder,
    frame_features,
    rate,
    summarise,
)
from mbrepro.errors import InputError

# A mouse that points along x: nose at 100, tail base at 0, 40 px wide; its centroid is 350 / 7 = 50 along.
MOUSE = np.array([[100, 0], [80, 10], [80, -10], [60, 0], [15, 20], [15, -20], [0, 0]], float)


def two_mice(places, turns=(0.0, 0.0)) -> np.ndarray:
    """(2, 7, 2) keypoints of mice with their centroids at two places, turned by radians."""
    mice = []
    for place, turn in zip(places, turns, strict=True):
        c, s = np.cos(turn), np.sin(turn)
        mice.append((MOUSE - MOUSE.mean(0)) @ np.array([[c, s], [-s, c]]) + place)
    return np.stack(mice)


def recording(frames, **more) -> Recording:
    return Recording("mouse001_task1", np.stack(frames), fps=more.pop("fps", 30.0), **more)


def features(made: Recording) -> dict[str, np.ndarray]:
    track = frame_features(made.keypoints, made, body_length([made]))
    return dict(zip(FEATURES, track.T, strict=True))


@pytest.fixture(scope="module")
def wandering() -> Recording:
    """Two mice at random places and angles."""
    rng = np.random.default_rng(0)
    return recording([two_mice(rng.uniform(100, 450, (2, 2)), rng.uniform(-3, 3, 2)) for _ in range(90)])


def embedder() -> PoseEmbedder:
    return load_embedder(EmbedderSettings(model="poses"))


def test_still_mice_by_hand():
    """The resident points at the intruder 300 px to its right; the intruder is turned up (towards larger y)."""
    found = features(recording([two_mice(((200, 300), (500, 300)), (0, np.pi / 2))] * 5))
    expected = {
        "centroid distance": 3.0,
        "closest keypoints": np.hypot(250 - 30, 0) / 100,  # resident's nose 50 ahead of its centroid; see below
        "nose to nose": np.hypot(250, 50) / 100,
        "approach speed": 0,
        "angle between headings": np.pi / 2,
        "resident nose to intruder tail base": np.hypot(250, 50) / 100,
        "resident nose to intruder centroid": 2.5,
        "intruder nose to resident centroid": np.hypot(300, 50) / 100,
        "intruder nose to resident tail base": np.hypot(350, 50) / 100,
        "resident facing": 0,
        "intruder facing": np.pi / 2,
        "resident speed": 0,
        "resident turning": 0,
        "resident length": 1.0,
        "intruder hips": 0.4,
        "resident bend": 0,
        "resident wall": 2.0,  # 200 px from the left
        "intruder wall": 2.7,  # 570 - 300 px from the bottom
    }
    # The intruder's left hip (15, 20) turned: 20 px towards the resident and 35 px behind its centroid.
    expected["closest keypoints"] = np.hypot(300 - 50 - 20, 35) / 100
    for name, value in expected.items():
        assert found[name] == pytest.approx([value] * 5, abs=1e-6), name


def test_moving_mice_by_hand():
    """The intruder comes 6 px a frame nearer; the resident turns by 0.1 rad a frame through half a turn and more."""
    frames = [two_mice(((200, 300), (700 - 6 * k, 300)), (3.0 + 0.1 * k, 0)) for k in range(20)]
    found = features(recording(frames))
    assert found["intruder speed"] == pytest.approx([6 * 30 / 100] * 20)
    assert found["intruder nose speed"] == pytest.approx([6 * 30 / 100] * 20)
    assert found["approach speed"] == pytest.approx([6 * 30 / 100] * 20)
    assert found["resident turning"] == pytest.approx([3.0] * 20, rel=1e-5)
    assert found["resident speed"] == pytest.approx([0] * 20, abs=1e-4)


def test_summaries_by_hand():
    track = np.array([[0.0, 5], [1, 5], [2, 5], [3, 5], [4, 5]])
    by_name = dict(zip(SUMMARIES, summarise(track).reshape(-1, 2), strict=True))
    assert by_name["mean"].tolist() == [2, 5] and by_name["sd"].tolist() == pytest.approx([2**0.5, 0])
    assert by_name["q10"].tolist() == pytest.approx([0.4, 5]) and by_name["q90"].tolist() == pytest.approx([3.6, 5])
    assert len(QUANTILES) == 3 and by_name["q50"].tolist() == [2, 5]


def test_rate_is_the_slope_of_a_line():
    assert rate(3.0 * np.arange(12), 30.0) == pytest.approx([90.0] * 12)
    assert rate(np.ones((1, 2)), 30.0).tolist() == [[0, 0]]


def test_views_of_clips(wandering):
    made = embedder()
    assert isinstance(made, PoseEmbedder) and made.takes == "poses"
    clips = [np.arange(0, 30, 2), np.arange(31, 60, 2)]
    views = made.embed_poses(wandering, clips)
    assert tuple(views) == made.views
    assert views["pose"].shape == (2, made.width) and views["pose"].dtype == np.float32
    alone = made.embed_poses(wandering, clips[1:])
    assert all(np.array_equal(alone[view][0], views[view][1]) for view in views)
    assert made.embed_poses(wandering, [])["pose"].shape == (0, made.width)


def test_only_the_clips_own_frames_count(wandering):
    """Frames outside a clip change it by the body length alone; frames between the sampled ones count."""
    made, clip = embedder(), np.array([20, 26, 32, 38])
    first = made.embed_poses(wandering, [clip])["pose"]
    outside, inside = (slice(0, 20), slice(39, None)), (slice(20, 21), slice(21, 22), slice(38, 39))
    for changed in (*outside, *inside):
        points = wandering.keypoints.copy()
        points[changed] += 40
        moved = made.embed_poses(recording(points), [clip])["pose"]
        assert np.allclose(moved, first, atol=1e-5) == (changed in outside)


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 2 * np.pi), st.floats(0.5, 3.0))
def test_turned_and_enlarged_pictures_give_the_same_embedding(turn, zoom):
    """All but the distance from the wall, which a turn of the cage would change."""
    rng = np.random.default_rng(1)
    frames = np.stack([two_mice(rng.uniform(100, 450, (2, 2)), rng.uniform(-3, 3, 2)) for _ in range(12)])
    c, s = np.cos(turn), np.sin(turn)
    turned = zoom * frames @ np.array([[c, s], [-s, c]])
    one, other = (features(recording(points)) for points in (frames, turned))
    for name in FEATURES:
        if "wall" not in name:
            np.testing.assert_allclose(one[name], other[name], atol=2e-3, err_msg=name)


def test_exchanged_mice_exchange_their_features(wandering):
    one, other = features(wandering), features(recording(wandering.keypoints[:, ::-1]))
    for name in FEATURES:
        partner = name.replace("resident", "?").replace("intruder", "resident").replace("?", "intruder")
        np.testing.assert_allclose(one[name], other[partner], atol=1e-9, err_msg=name)


def test_wrong_clips_and_mice_without_length(wandering):
    made = embedder()
    with pytest.raises(InputError, match="outside its 90 frames"):
        made.embed_poses(wandering, [np.array([80, 95])])
    rat = Skeleton(("a", "b", *KEYPOINTS[2:]), "a", "b")
    with pytest.raises(InputError, match=r"embeds the parts nose, left_ear.*, not a, b, right_ear"):
        made.embed_poses(replace(wandering, skeleton=rat), [np.arange(2)])
    with pytest.raises(InputError, match=r"as many frames, not \[2, 3\]"):
        made.embed_poses(wandering, [np.arange(2), np.arange(3)])
    with pytest.raises(InputError, match="have no length"):
        made.embed_poses(recording(np.zeros((4, 2, len(KEYPOINTS), 2))), [np.arange(4)])


def test_identity_names_the_model_and_the_code():
    assert set(embedder().identity) == {"model", "numpy", "mbrepro.embedding.pose"}
    assert embedder().identity == embedder().identity
