"""The recorded figures of the official network, on made and on real mice."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from mbrepro.data.calms21.network import published_network
from mbrepro.data.recordings import OTHER, TASK1_CLASSES, Recording
from mbrepro.errors import InputError
from mbrepro.method.localizer import localize
from mbrepro.method.official import BODY_LENGTH, load_official
from mbrepro.study import official, recorded
from tests.fixtures.keras_network import write_network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return load_official(write_network(tmp_path_factory.mktemp("network") / "made.h5"))


def wandering(name: str, seed: int, frames: int = 300) -> Recording:
    rng = np.random.default_rng(seed)
    keypoints = np.cumsum(rng.normal(0, 9, (frames, 2, 1, 2)), 0) + rng.normal(0, 60, (frames, 2, 7, 2)) + (500, 280)
    return Recording(name, keypoints)


def test_shares_by_hand():
    scores = np.array([[0.1, 0.6, 0, 0.3], [0.2, 0.2, 0.2, 0.4], [0, 0, 0, 1], [0, 0.1, 0.1, 0.8]])
    expected = {"action": 0.5, "attack": 0, "investigation": 0.25, "mount": 0, OTHER: 0.75}
    assert official.shares(scores) == expected


def test_closeness_by_hand():
    keypoints = np.zeros((2, 2, 7, 2))
    keypoints[0, 1] = (3, 4)
    keypoints[1, 1, 0] = (70, 0)  # one of seven points 70 px away moves the mean by 10
    np.testing.assert_allclose(official.closeness(Recording("a", keypoints)), [-5, -10])


def test_figures_by_a_second_way(network, tmp_path):
    dyad, pair = wandering("dyad", 0), wandering("pair", 1)
    interact = np.arange(300) % 5 == 0
    files = {"a": "0" * 64}
    found = official.figures(official.RealMice(network, dyad, interact, {"a and b": pair}, files))
    nose, tail = dyad.keypoints[:, :, 0], dyad.keypoints[:, :, 6]
    factor = BODY_LENGTH / np.median(np.linalg.norm(nose - tail, axis=-1))
    low, high = np.percentile(dyad.keypoints.reshape(-1, 2), [1, 99], axis=0)
    scaled = (dyad.keypoints - (low + high) / 2) * factor + np.array([512, 285])
    p_action = 1 - localize(network, Recording("dyad", scaled))[:, 3]
    told = found["dyad"]["interact"]["official"]
    assert told["auroc"] == pytest.approx(roc_auc_score(interact, p_action), abs=1e-4)
    assert told["average_precision"] == pytest.approx(average_precision_score(interact, p_action), abs=1e-3)
    assert told["share_of_frames"] == 0.2
    assert found["dyad"]["called"]["action"] == pytest.approx((p_action >= 0.5).mean(), abs=0.01)
    inside = (scaled >= 0).all(-1) & (scaled <= (1024, 570)).all(-1)
    assert found["dyad"]["points_outside_the_training_frame"] == pytest.approx(1 - inside.mean(), abs=1e-3)
    assert found["pairs"].keys() == {"a and b"} and found["pairs"]["a and b"]["frames"] == 300
    for part in (found["dyad"], *found["pairs"].values()):
        assert sum(part["called"][name] for name in TASK1_CLASSES) == pytest.approx(1)
    assert official.provenance(official.RealMice(network, dyad, interact, {}, files))["files_sha256"] == files


def test_without_data_or_network_nothing_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(tmp_path))
    assert official.read() is None
    with pytest.raises(InputError, match="official are recorded from real data: run mbrepro fetch official, and set"):
        recorded.record("official")
    assert recorded.figures("official") == recorded.read("official")["figures"]
    for name in (*official.DYAD, official.TRIO):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert official.read() is None  # no network


def test_recorded_figures_are_what_the_real_data_give(real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    before = recorded.path_of("official").read_bytes()
    assert recorded.figures("official") == recorded.read("official")["figures"]  # computed again and compared
    monkeypatch.setattr(recorded, "path_of", lambda name: tmp_path / f"{name}.json")
    assert recorded.record("official").read_bytes() == before


def test_what_is_recorded():
    content = recorded.read("official")
    found, told = content["figures"], content["provenance"]
    dyad = found["dyad"]["interact"]
    assert dyad["official"]["auroc"] >= 0.97 and dyad["official"]["average_precision"] >= 0.86
    assert dyad["closeness"]["auroc"] == pytest.approx(0.945, abs=1e-3)
    assert dyad["closeness"]["average_precision"] == pytest.approx(0.654, abs=1e-3)
    assert len(found["pairs"]) == 6 and all(p["frames"] == 1800 for p in found["pairs"].values())
    published = found["published_f1"]
    assert np.mean([published[name] for name in TASK1_CLASSES[:3]]) == pytest.approx(published["macro"], abs=1e-4)
    assert told["sha256"] == published_network().sha256 and len(told["files_sha256"]) == 3
    assert all(licence in told["source"] for licence in ("demo/models (MIT)", "tests/data (MIT)", "MABe (Apache-2.0)"))
