import numpy as np
import pytest
from PIL import Image

from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.pixels import SIDE, shrunk
from mbrepro.errors import InputError
from tests.fixtures.tiny_checkpoint import noise_clip

EMBEDDER = load_embedder(EmbedderSettings("pixels"))


def test_one_square_by_hand():
    """Pictures of 4 x 4 px a cell: one cell is white in the first of two frames, another red in both."""
    clip = np.zeros((2, 4 * SIDE, 4 * SIDE, 3), np.uint8)
    clip[0, 8:12, 12:16] = 255
    clip[:, 0:4, 4:8, 0] = 255
    found = EMBEDDER.embed([clip], 2.0)
    mean, sd = np.split(found["mean_sd"][0].reshape(2 * SIDE, SIDE), 2)
    expected, spread = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    expected[2, 3], expected[0, 1], spread[2, 3] = 0.5, 0.299, 0.5  # red's weight in ITU-R BT.601
    np.testing.assert_allclose(mean, expected, atol=1 / 255)
    np.testing.assert_allclose(sd, spread, atol=1e-6)
    np.testing.assert_array_equal(found["mean"][0], mean.ravel())


def test_pictures_shrink_as_pillow_shrinks_them():
    clip = noise_clip(1, 4, 112, 112)
    small = [Image.fromarray(p).convert("L").reduce(112 // SIDE) for p in clip]
    expected = np.stack([np.asarray(p, float).ravel() for p in small]) / 255
    assert np.abs(shrunk(clip) - expected).max() < 1.6 / 255  # both round grey to whole levels, twice


def test_clips_of_any_length_lie_in_one_space():
    clips = [noise_clip(0, 2), noise_clip(1, 7), noise_clip(2, 4, 84, 56)]
    found = EMBEDDER.embed(clips, 4.0)
    assert tuple(found) == EMBEDDER.views and {v: r.shape for v, r in found.items()} == {
        "mean": (3, 256), "mean_sd": (3, 512)
    }  # fmt: skip
    for row, clip in enumerate(clips):
        backward = EMBEDDER.embed([clip[::-1]], 4.0)["mean_sd"][0]  # the order of frames is nothing to it
        np.testing.assert_allclose(found["mean_sd"][row], backward, atol=1e-6)
    nothing = EMBEDDER.embed([], 4.0)
    assert {view: rows.shape for view, rows in nothing.items()} == {"mean": (0, 256), "mean_sd": (0, 512)}
    assert all(rows.dtype == np.float32 for rows in (*found.values(), *nothing.values()))


def test_what_is_no_clip_is_refused():
    with pytest.raises(InputError, match="uint8"):
        EMBEDDER.embed([noise_clip(0)[0]], 4.0)
