"""Two people and a video model on real mice: recorded, computed again where the files are, as known from elsewhere."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix, f1_score

from mbrepro.study import people, recorded
from tests.fixtures.tracks import track


def test_two_labellings_are_compared_in_every_way():
    true = [track("..aaii..mm", "v"), track("iiii....aa", "w")]
    said = [track("..aaai..mm", "v"), track("ii.i....ii", "w")]
    found = people.compared(true, said)
    pooled = [np.concatenate([t.labels for t in tracks]) for tracks in (true, said)]
    assert found["videos"] == 2 and found["frames"] == 20
    assert found["confusion"] == confusion_matrix(*pooled, labels=range(4)).tolist()
    assert found["metrics"]["f1"]["value"] == pytest.approx(f1_score(*pooled, labels=[0, 1, 2], average="macro"))
    assert found["metrics"]["kappa"]["value"] == pytest.approx(cohen_kappa_score(*pooled))
    assert found["action"]["f1"]["value"] == pytest.approx(f1_score(*(labels != 3 for labels in pooled)))
    assert np.isnan(found["metrics"]["f1"]["low"])  # two videos


@pytest.mark.parametrize("page", ["human", "feral"])
def test_recorded_figures_are_what_the_labels_give(page, real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    before = recorded.path_of(page).read_bytes()
    monkeypatch.setattr(recorded, "path_of", lambda name: tmp_path / f"{name}.json")
    assert recorded.record(page).read_bytes() == before


def values(found: dict, *names: str) -> list[float]:
    return [found[name]["value"] for name in names]


def test_two_people_agree_as_far_as_is_known():
    found = recorded.read("human")["figures"]
    first, names = found["first"]["metrics"], ("attack", "investigation", "mount")
    known = [0.826, 0.740, 0.812, 0.925, 0.937, 0.853, 0.898, 0.806]
    told = ["f1", *(f"f1_{n}" for n in (*names, "other")), "macro_f1", "accuracy", "kappa"]
    assert values(first, *told) == pytest.approx(known, abs=6e-4)
    assert found["first"]["action"]["f1"]["value"] == pytest.approx(0.879, abs=6e-4)
    assert values(first, *(f"bout_f1_50_{n}" for n in names)) == pytest.approx([0.25, 0.53, 0.68], abs=6e-3)
    assert values(first, "edit", "da", "so", "tp", "ic") == pytest.approx([66.8, 0.774, 0.698, 0.338, 0.995], abs=0.02)
    assert values(first, "f1_within_500ms", "near_boundary_500ms", "near_boundary_1000ms") == pytest.approx(
        [0.911, 0.64, 0.85], abs=6e-3
    )
    # either may be the truth: what is found and what is found rightly change places, agreement stays
    second = found["second"]["metrics"]
    assert values(second, "precision", "kappa", "bout_f1_50") == values(first, "recall", "kappa", "bout_f1_50")


def test_a_dense_video_model_is_as_far_as_is_known():
    found = recorded.read("feral")["figures"]
    told = ["f1", *(f"f1_{n}" for n in ("attack", "investigation", "mount", "other"))]
    assert values(found["metrics"], *told) == pytest.approx([0.893, 0.847, 0.883, 0.947, 0.961], abs=6e-4)
    assert found["action"]["f1"]["value"] == pytest.approx(0.943, abs=6e-4)
    assert (found["videos"], found["frames"]) == (19, 262_107)
