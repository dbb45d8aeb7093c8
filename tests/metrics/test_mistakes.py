"""Kinds of mistakes, on labels written by hand, and as properties of any two labellings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mbrepro.errors import InputError
from mbrepro.metrics.mistakes import KINDS, NEITHER, mistakes, shares_of_kinds

CLASSES = ("a", "b", "other")
LETTERS = dict(zip("hmfspe*.", [*range(len(KINDS)), NEITHER], strict=True))


def labels(text: str) -> np.ndarray:
    return np.array(["ab.".index(letter) for letter in text])


@pytest.mark.parametrize(
    ("true", "predicted", "kinds"),
    [
        ("..aaa..", ".......", "..mmm.."),
        (".......", "..aaa..", "..fff.."),
        ("..aaaa.", ".aaaa..", ".ehhhe."),  # begins and ends early
        ("aaaaaaa", "aa..aa.", "hhsshhe"),
        ("aa..aa.", "aaaaaaa", "hhpphhe"),
        ("aa.a.bb", "bb.a.aa", "**.h.**"),
        ("aaaa...", "aabb...", "hh**..."),
        ("aaa.bbb", "aaaa.bb", "hhheehh"),
        ("aaa.bbb", "aaabbbb", "hhhehhh"),
        ("aaaa.aa", "a..a...", "hssh.mm"),
        ("aaa.", "a..a", "heef"),
    ],
)
def test_kinds_by_hand(true, predicted, kinds):
    assert mistakes(labels(true), labels(predicted), CLASSES).tolist() == [LETTERS[letter] for letter in kinds]


track = arrays(np.int64, 30, elements=st.integers(0, 2))


@settings(deadline=None)
@given(track, track)
def test_every_frame_has_its_kind_and_the_labellings_change_places(true, predicted):
    one, other = mistakes(true, predicted, CLASSES), mistakes(predicted, true, CLASSES)
    turned = dict(zip("hmfspe*.", "hfmpse*.", strict=True))
    names = {value: letter for letter, value in LETTERS.items()}
    assert [turned[names[k]] for k in one] == [names[k] for k in other]
    np.testing.assert_array_equal(one == NEITHER, (true == 2) & (predicted == 2))
    np.testing.assert_array_equal(one == LETTERS["h"], (true == predicted) & (true != 2))
    np.testing.assert_array_equal(one == LETTERS["*"], (true != predicted) & (true != 2) & (predicted != 2))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_shares_are_of_frames_with_a_behaviour_in_either():
    found = shares_of_kinds([labels("..aaaa."), labels("bb.")], [labels(".aaaa.."), labels("...")], CLASSES)
    shares = dict.fromkeys(KINDS, 0.0) | {"hit": 3 / 7, "shifted edge": 2 / 7, "miss": 2 / 7}
    assert found == pytest.approx(shares)
    assert np.isnan(shares_of_kinds([labels("..")], [labels("..")], CLASSES)["hit"])
    with pytest.raises(InputError, match=r"video 0: predictions have shape \(1,\), not \(2,\)"):
        shares_of_kinds([labels("..")], [labels(".")], CLASSES)
