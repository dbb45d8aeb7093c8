from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data.recordings import TASK1_CLASSES, TASK3_BEHAVIOURS
from mbrepro.demo.standin.phrases import REFUSALS, STYLES, Geometry, angles, caption, detailed, measure, nondescript
from tests.fixtures.behaviour_words import FORBIDDEN


def straight_mouse(nose: tuple[float, float], tail: tuple[float, float]) -> np.ndarray:
    """(7, 2) keypoints on a line from nose to tail base."""
    shares = np.array([0, 0.2, 0.2, 0.3, 0.8, 0.8, 1.0])[:, None]
    return (1 - shares) * np.array(nose) + shares * np.array(tail)


def test_geometry_by_hand():
    """The black mouse stands and looks at the white one, which leaves at 102.4 px/s, a tenth of the width."""
    frames = []
    for t in range(61):
        x = 400 + 102.4 * t / 30
        frames.append([straight_mouse((300, 285), (100, 285)), straight_mouse((x + 200, 285), (x, 285))])
    geometry = measure(np.array(frames), 30.0, (1024, 570))
    black, white = straight_mouse((300, 285), (100, 285)).mean(0)[0], straight_mouse((200, 285), (0, 285)).mean(0)[0]
    assert geometry.distance == pytest.approx((400 + white - black + 102.4) / 1024)
    assert geometry.speeds == pytest.approx((0, 0.1))
    assert geometry.change == pytest.approx(0.15, abs=0.01)  # 46 of 60 frames between the quarters' middles
    assert geometry.facing == pytest.approx((0, 180)) and geometry.parallel == pytest.approx(0)
    assert geometry.edge == pytest.approx(285 / 1024)  # from the upper wall


def test_angles_by_hand():
    a = np.array([[1.0, 0], [1, 0], [1, 0], [1, 1], [0, 0]])
    b = np.array([[2.0, 0], [0, 3], [-1, 0], [1, 0], [1, 0]])
    assert angles(a, b) == pytest.approx([0, 90, 180, 45, 90])


def test_sentences_by_hand():
    geometry = Geometry(0.1, 0.2, (0.01, 0.3), (20.0, 150.0), 10.0, 0.05)
    assert detailed(geometry) == (
        "Close together, the two mice are near the wall and point the same way. The black mouse hardly moves and faces "
        "the white mouse. The white mouse moves very fast and faces away from the black mouse. The white mouse is the "
        "more active one, and the gap between them grows."
    )
    far = replace(geometry, distance=0.5, speeds=(0.05, 0.02))
    assert nondescript(far) == (
        "In the video, the two mice are far apart and are seen walking slowly around a small cage."
    )


GEOMETRIES = st.builds(
    Geometry,
    distance=st.floats(0, 1),
    change=st.floats(-1, 1),
    speeds=st.tuples(st.floats(0, 2), st.floats(0, 2)),
    facing=st.tuples(st.floats(0, 180), st.floats(0, 180)),
    parallel=st.floats(0, 180),
    edge=st.floats(0, 0.3),
)


@settings(max_examples=300, deadline=None)
@given(GEOMETRIES, st.integers(0, 2**32 - 1))
def test_captions_never_name_a_behaviour(geometry, seed):
    style, text = caption(geometry, np.random.default_rng(seed))
    assert style in STYLES
    for sentence in (text, detailed(geometry), nondescript(geometry)):
        assert not FORBIDDEN.search(sentence), sentence
        assert sentence[0].isupper() and sentence.endswith(".")


@settings(max_examples=100, deadline=None)
@given(GEOMETRIES)
def test_styles_are_as_long_as_the_poster_says(geometry):
    assert len(detailed(geometry).split()) >= 25 and detailed(geometry).count(". ") >= 1
    assert len(nondescript(geometry).split()) < 25
    assert all("sorry" in refusal and "video" in refusal for refusal in REFUSALS)


def test_forbidden_words_cover_every_class():
    names = [name for name in (*TASK1_CLASSES, *TASK3_BEHAVIOURS) if name != "other"]
    assert all(FORBIDDEN.search(name) for name in names)


def test_style_follows_what_is_in_view():
    def most(geometry):
        rng = np.random.default_rng(0)
        drawn = [caption(geometry, rng)[0] for _ in range(200)]
        assert set(drawn) == set(STYLES)
        return max(STYLES, key=drawn.count)

    geometry = Geometry(0.1, 0.0, (0.01, 0.01), (90.0, 90.0), 90.0, 0.2)
    assert most(geometry) == "detailed"
    assert most(replace(geometry, distance=0.4)) == "no response"
    assert most(replace(geometry, distance=0.4, speeds=(0.3, 0.0))) == "nondescript"
