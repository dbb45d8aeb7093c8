"""A real model's labels as the namer: by hand, against perfect naming, and as recorded."""

import numpy as np
import pytest

from mbrepro.study import audit, namer, recorded, sparsity
from tests.fixtures.tracks import track


def test_what_is_shown_gets_the_namers_word_and_the_truth_scores_it():
    true = track("..aaaa..ii..", fps=1.0)
    model = track("..iiia..ii..", fps=1.0)  # most of the attack is investigation to it
    curve = sparsity.curve([true], [1.0, 4.0], [1.0], [true.action], [model], context=1)
    short, long = curve["clips"]
    assert short["f1"]["value"] == pytest.approx(np.mean([2 / 5, 4 / 7, 0.0]))  # frame by frame, as the model
    assert long["f1"]["value"] == pytest.approx(np.mean([0.0, 4 / 8, 0.0]))  # one label a bout
    assert short["touched"]["value"] == pytest.approx(6 / 12)
    assert short["seen"]["value"] == pytest.approx(10 / 12)  # a frame on either side of both stretches


def test_a_perfect_namer_is_sparsity_itself():
    tracks = [track("..aaaa..iimm" * 3, "v", fps=2.0), track("mm.a.i.." * 3, "w", fps=2.0)]
    assert sparsity.curve(tracks, [0.5, 2.0], [0.5], [t.action for t in tracks], tracks) == sparsity.curve(
        tracks, [0.5, 2.0], [0.5]
    )
    cut = namer.cuts(tracks, [t.action for t in tracks], tracks)
    for name, assumed in audit.CUTS.items():
        proposals, _, seen, _ = audit._cut(tracks, assumed)
        assert cut[name] == audit.end_to_end(tracks, [t.action for t in tracks], proposals, seen)


def test_recorded_figures_are_what_the_predictions_give(real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    before = recorded.path_of("namer").read_bytes()
    monkeypatch.setattr(recorded, "path_of", lambda page: tmp_path / f"{page}.json")
    assert recorded.record("namer").read_bytes() == before


def test_stated_figures_come_out():
    """What was computed of the same files apart from this project, by another's code."""
    found = recorded.read("namer")["figures"]["all"]
    own, true = found[namer.OWN], found[namer.TRUE]
    cuts = [stage["poster"][cut]["f1"]["value"] for stage in (own, true) for cut in ("as_cut", "cut_right")]
    assert cuts == pytest.approx([0.398, 0.623, 0.439, 0.665], abs=5e-4)
    by_length = {p["seconds"]: p["f1"]["value"] for p in own["curve"]["clips"]}
    assert [by_length[s] for s in (0.5, 1, 2, 5, 10)] == pytest.approx([0.886, 0.873, 0.856, 0.832, 0.820], abs=6e-4)
    glance = {p["seconds"]: p["f1"]["value"] for p in own["curve"]["glance"]}
    assert [glance[s] for s in (0.1, 0.5, 1, 2)] == pytest.approx([0.851, 0.851, 0.853, 0.856], abs=6e-4)


def test_one_video_has_no_interval():
    (author,) = recorded.read("namer")["figures"]["mouse071"].values()
    assert author["curve"]["clips"][0]["f1"]["low"] is None
