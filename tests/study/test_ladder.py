from dataclasses import replace

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from mbrepro import paths
from mbrepro.artifacts import write_json
from mbrepro.data.recordings import Dataset, Recording
from mbrepro.demo import judges
from mbrepro.demo.simulated import DemoSettings, demo_dataset, demo_names, plan_of
from mbrepro.errors import InputError
from mbrepro.method import single_frame
from mbrepro.method.localizer import CAUSAL, PoseCNN
from mbrepro.metrics.frames import evaluate
from mbrepro.study import ladder
from mbrepro.study.profiles import training_epochs


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    few = DemoSettings(2, 2, seconds=50, test_seconds=50)
    return demo_dataset("task1", few, tmp_path_factory.mktemp("recordings"), videos=False)


@pytest.fixture(scope="module")
def measured(data, tmp_path_factory) -> tuple:
    folder = tmp_path_factory.mktemp("networks")
    return ladder.ladder(data, 2, folder, epochs=1), folder


def test_every_rung_is_measured_beside_its_published_figure(measured):
    table, _ = measured
    assert list(table.columns) == ["network", "metric", "mean", "sd", "published"]
    for network in ("single frame", "causal", "±200 frames", "localization"):
        rows = table[table["network"] == network].set_index("metric")
        assert rows["published"].to_dict() == ladder.PUBLISHED[network]
        assert rows["mean"].between(0, 1).all() and (rows["sd"] >= 0).all()


def test_a_rung_is_the_mean_over_seeds_of_the_networks_scores(data, measured):
    table, folder = measured
    f1 = []
    for videos in single_frame.single_frame(data, ladder.SingleFrameSettings(epochs=1), 2, folder):
        true, labels, scores = ([getattr(video, name) for video in videos] for name in ("true", "labels", "scores"))
        f1.append(evaluate(true, labels, scores, data.classes)["f1"])
    row = table.set_index(["network", "metric"]).loc[("single frame", "f1")]
    assert row["mean"] == pytest.approx(np.mean(f1)) and row["sd"] == pytest.approx(np.std(f1))


def test_passes_of_networks_of_both_sides_are_chosen_on_held_out_train_animals_and_the_page_says_how_many(
    data, measured
):
    for settings in ladder.settings_of_both(1):
        assert ladder.validation_curves(data, settings, ladder.VALIDATION, measured[1]).shape == (3, 1)
    four, two = ladder.settings_of_both()
    cells = nbformat.read(paths.notebooks() / "00_dataset.ipynb", as_version=4).cells
    text = " ".join("\n".join(cell.source for cell in cells).split())
    assert f"of up to {four.epochs} with four classes" in text and f"of up to {two.epochs} with two" in text
    assert f"makes the official {four.epochs}; the causal network, which learns slowest, {ladder.CAUSAL_EPOCHS}" in text
    rows = [training_epochs("demo", network) for network in ("baseline", "localizer")]
    assert f"have time for {rows[0]} and {rows[1]}" in text and rows < [four.epochs, two.epochs]


def test_the_single_frame_network_sees_one_frame_and_is_read_back(data, measured):
    settings, folder = ladder.SingleFrameSettings(epochs=1), measured[1]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    (whole,) = single_frame.single_frame(data, settings, 1, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    test = data.test[0]
    order = np.random.default_rng(0).permutation(len(test))
    shuffled = Recording(test.name, test.keypoints[order], labels=test.labels[order])
    (mixed,) = single_frame.single_frame(replace(data, test=(shuffled,)), settings, 1, folder)
    np.testing.assert_allclose(mixed[0].scores, whole[0].scores[order], atol=1e-6)


@pytest.mark.parametrize(("before", "last"), [(CAUSAL.context_before, -2), (100, -14)])
def test_how_much_of_a_causal_window_the_poolings_drop(before, last):
    """The last frame, counted from the one to be named, on which a network's answer depends."""
    torch.manual_seed(0)
    settings = replace(CAUSAL, context_before=before)
    windows = torch.randn(64, 28, settings.samples, requires_grad=True)
    PoseCNN(settings).eval().forward_windows(windows).sum().backward()
    used = windows.grad.abs().sum((0, 1)).nonzero()
    assert settings.step * (int(used.max()) - (settings.samples - 1)) == last


def test_the_single_frame_network_is_the_official_one():
    torch.manual_seed(0)
    made = single_frame.network(ladder.SingleFrameSettings())
    widths = [layer.out_features for layer in made if isinstance(layer, torch.nn.Linear)]
    assert widths == [512, 256, 128, 64, 4]
    assert [layer.p for layer in made if isinstance(layer, torch.nn.Dropout)] == [0.2] * 4


# --- what is recorded -----------------------------------------------------------------------------------------------


def test_recorded_ladder_was_measured_with_this_simulator_and_these_networks():
    found, provenance = ladder.recorded_ladder()
    assert provenance["made_from"] == ladder.made_from()
    assert set(found["network"]) == set(ladder.PUBLISHED) and found["mean"].between(0, 1).all()


def test_methods_rank_on_the_demo_as_on_mice_and_the_page_says_what_does_not():
    """What page 00 says of the table below it."""
    found = ladder.recorded_ladder()[0].set_index(["network", "metric"])
    networks = ("single frame", "causal", "±200 frames")
    for whose in ("mean", "published"):
        f1 = [found[whose][network, "f1"] for network in (*networks, judges.RAW)]
        assert f1 == sorted(f1)
        for network in networks:
            scores = found[whose][network]
            assert scores["f1_attack"] < scores["f1_investigation"] < scores["f1_mount"] < scores["f1_other"]
    off = found["mean"] - found["published"]
    assert off.xs("f1", level="metric").idxmin() == judges.OFFICIAL
    trained = off[ladder.out_of_bounds(ladder.recorded_ladder()[0]).to_numpy()].drop(judges.OFFICIAL, level="network")
    assert trained["causal", "f1_attack"] < trained["localization", "f1"] < 0 < trained["single frame", "f1_attack"]
    assert len(trained) == 3
    assert ladder.recorded_curves()["localization"].mean(0).max() > found["mean"]["localization", "f1"]
    gains = {whose: found[whose].xs("f1", level="metric") for whose in ("mean", "published")}
    smoothed, truly = (
        [each[better] - each[judges.RAW] for each in gains.values()] for better in (judges.SMOOTHED, judges.TRUE)
    )
    assert smoothed[0] < 0 < smoothed[1] and 0 < truly[0] < truly[1]


def test_most_of_attack_in_test_recordings_is_in_three():
    names = demo_names("task1", DemoSettings())[DemoSettings().train_recordings :]
    attack = sorted(((plan_of("task1", name, DemoSettings()).labels == 0).sum() for name in names), reverse=True)
    assert sum(attack[:3]) > 0.75 * sum(attack)


def test_lines_beyond_their_bound_are_marked_on_the_page():
    lines = [("causal", 0.749, 0.7, False), ("causal", 0.649, 0.7, True), ("causal", 0.751, 0.7, True)]
    lines += [("localization", 0.905, 0.923, False), ("localization", 0.95, 0.923, True)]
    table = pd.DataFrame([(n, "f1", mean, 0.01, real) for n, mean, real, _ in lines])
    table.columns = ["network", "metric", "mean", "sd", "published"]
    assert ladder.out_of_bounds(table).tolist() == [out for *_, out in lines]
    assert (ladder.beside_published(table)[""] == "out of bounds").tolist() == [out for *_, out in lines]


def test_a_missing_ladder_is_said_and_one_of_another_version_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "recorded", lambda: tmp_path)
    with pytest.raises(InputError, match=r"ladder.json: no recorded figures"):
        ladder.recorded_ladder()
    other = {"provenance": {"made_from": {"mbrepro.demo.simulated": "0"}}, "figures": {"table": [{"network": "x"}]}}
    write_json(tmp_path / "ladder.json", other)
    found, provenance = ladder.recorded_ladder()  # a page shows what it was measured with, and is never stopped by it
    assert found["network"].tolist() == ["x"] and provenance["made_from"] != ladder.made_from()


def test_the_ladder_joins_the_other_comparisons():
    columns = ["network", "metric", "mean", "sd", "published"]
    table = pd.DataFrame([("causal", "f1", 0.7, 0.01, 0.713)], columns=columns)
    before = pd.DataFrame([("x", 1.0, 2.0, "px", "y")], columns=["what", "simulated", "real", "unit", "source"])
    kept, row = ladder.with_ladder(before, table).to_dict("records")
    assert kept == before.iloc[0].to_dict()
    assert row == {
        "what": "ladder: causal, f1",
        "simulated": 0.7,
        "real": 0.713,
        "unit": "score",
        "source": ladder.SOURCE,
    }
    (shown,) = ladder.beside_published(table).to_dict("records")
    assert (shown["simulated"], shown["difference"]) == ("0.700 ± 0.010", "-0.013")
