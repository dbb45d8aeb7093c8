"""The dilated network: what it is taught, what it reaches, and that it learns bouts' lengths beside their names."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from mbrepro.data.recordings import UNLABELLED, Skeleton
from mbrepro.errors import InputError
from mbrepro.method.dilated import Dilated, DilatedSettings, fit_dilated, inputs, targets
from mbrepro.method.extent import distances
from tests.fixtures.near_and_far import made_recording

QUICK = DilatedSettings(step=2, width=16, layers=3, crop=60, batch=4, epochs=40, dropout=0.0)


@pytest.fixture(scope="module")
def made():
    return [made_recording(f"mouse{k:03}_x", 400, k) for k in range(5)]


@pytest.fixture(scope="module")
def model(made):
    torch.set_num_threads(1)
    return fit_dilated(made[:4], [r.labels for r in made[:4]], 4, QUICK, 0)


def test_it_names_frames_and_tells_how_far_their_bouts_reach(made, model):
    scores, reach = model.scores(made[4]), model.reach(made[4])
    assert f1_score(made[4].labels == 1, scores.argmax(1) == 1) > 0.95
    true = distances(made[4].labels, made[4].classes, made[4].fps)
    inside = ~np.isnan(true[:, 0])
    assert reach.shape == (400, 2) and (reach > 0).all()
    for side in (0, 1):
        assert np.corrcoef(np.log(reach[inside, side]), np.log(true[inside, side] + 0.05))[0, 1] > 0.6


def test_a_seed_is_a_result(made, model):
    again = fit_dilated(made[:4], [r.labels for r in made[:4]], 4, QUICK, 0)
    np.testing.assert_array_equal(again.scores(made[4]), model.scores(made[4]))
    other = fit_dilated(made[:4], [r.labels for r in made[:4]], 4, QUICK, 1)
    assert not np.array_equal(other.scores(made[4]), model.scores(made[4]))


def test_targets_by_hand():
    found = targets(np.array([3] * 10 + [1] * 10 + [UNLABELLED] * 2), ("a", "b", "c", "other"), 10.0)
    assert found[:, 0].tolist() == [3] * 10 + [1] * 10 + [UNLABELLED] * 2
    onset = [0, 1, 2, 8, 9, 10, 11, 12]
    assert np.flatnonzero(found[:, 1] == 1).tolist() == onset
    assert np.flatnonzero(found[:, 2] == 1).tolist() == [8, 9, 10, 11, 12, 18, 19]
    assert (found[20:] == UNLABELLED).all() and (found[:10, 3:] == UNLABELLED).all()
    assert found[10, 3] == 0 and found[19, 3] == 6  # 0 s, and .9 s between .1 x 1.5^5 and .1 x 1.5^6


def test_an_output_sees_as_far_as_the_layers_reach_and_no_further():
    torch.manual_seed(0)
    model = Dilated(5, 4, QUICK).eval()
    x = torch.randn(1, 5, 61, requires_grad=True)
    model(x)[0, :, 30].sum().backward()
    seen = np.flatnonzero(x.grad[0].abs().sum(0).numpy())
    assert (seen.min(), seen.max()) == (30 - 7, 30 + 7)  # 1 + 2 + 4 steps


def test_every_frame_is_scored_from_its_own_sequence(made, model):
    """Frames `step` apart are a sequence: each scored by itself gives what the whole recording does."""
    scores, step = model.scores(made[4]), QUICK.step
    x = torch.from_numpy(model.standardise(inputs(made[4])))[1::step]
    with torch.inference_mode():
        alone = model(x.T[None])[0, :4].softmax(0).T.numpy()
    np.testing.assert_allclose(scores[1::step], alone, atol=1e-6)


def test_a_point_never_seen_is_no_number_that_spreads(made):
    seen = np.ones((400, 2, 7), bool)
    seen[:, 0, 3], seen[50:90] = False, False
    partly = [replace(r, seen=seen) for r in made[:2]]
    scores = fit_dilated(partly, [r.labels for r in partly], 4, replace(QUICK, epochs=1), 0).scores(partly[0])
    assert np.isfinite(scores).all()


def test_wrong_settings_and_recordings_are_refused(made):
    for wrong in ({"step": 0}, {"epochs": 0}, {"dropout": 1.0}, {"rate": 0.0}, {"rare": -1.0}):
        with pytest.raises(InputError, match=f"dilated setting.*{next(iter(wrong))}"):
            DilatedSettings(**wrong)
    with pytest.raises(InputError, match="no labelled frame"):
        fit_dilated(made[:1], [np.full(400, UNLABELLED)], 4, QUICK, 0)
    other = replace(made[1], skeleton=Skeleton(made[1].parts, "neck", "tail_base"))
    with pytest.raises(InputError, match="must have the same parts"):
        fit_dilated([made[0], other], [r.labels for r in made[:2]], 4, QUICK, 0)
