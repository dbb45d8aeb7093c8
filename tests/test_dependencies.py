"""What depends on what: each setting and input is changed, and exactly what rests on it gets another key.

Keys alone are computed, nothing is run. What a module's VERSION is in, `test_golden.py` sees in a copy of the package.
"""

from dataclasses import fields, replace

import numpy as np
import pytest

from mbrepro import paths
from mbrepro.artifacts import fingerprint
from mbrepro.commands import provenance, runner
from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.demo import simulated
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.store import stored_path
from mbrepro.method import networks
from mbrepro.method.localizer import LocalizerSettings

POINTS = np.random.default_rng(0).uniform(100, 400, (60, 2, 7, 2))
RECORDING = Recording("mouse001", POINTS, labels=np.arange(60) % 4)
START = {
    "demo": simulated.DemoSettings(seconds=20.0), "recording": RECORDING, "localizer": LocalizerSettings(),
    "clips": ClipSettings(), "embedder": EmbedderSettings("poses"), "seed": 0, "fraction": 0.25,
}  # fmt: skip


def keys(given: dict) -> dict[str, str]:
    """What each kind of stored thing would be kept under."""
    data = Dataset("task1", TASK1_CLASSES, (given["recording"],), (), "simulated")
    network = networks.made_from(data, given["localizer"])
    embedder = load_embedder(given["embedder"])
    return {
        "simulated": fingerprint(simulated.made_from("task1", "mouse001_task1_annotator1", given["demo"])),
        "network": fingerprint(given["seed"], *network),
        "epochs": networks._curve_paths(data, given["localizer"], given["fraction"], paths.root())[0].name,
        "embeddings": stored_path(given["recording"], given["clips"], embedder, paths.root()).name,
    }


NETWORKS = {"network", "epochs"}
OTHERWISE = {
    "classes": 4, "context_before": 120, "context_after": 120, "step": 1, "channels": (64, 32), "kernel": 3,
    "dropout": 0.25, "learning_rate": 2e-3, "batch_crops": 16, "crop_samples": 8, "spread": 2,
}  # fmt: skip
CHANGES = [
    ("demo", {"seed": 1}, {"simulated"}),
    ("demo", {"seconds": 21.0}, {"simulated"}),
    ("demo", {"video_size": (320, 240)}, {"simulated"}),
    ("demo", {"filmed": 1}, set()),
    ("recording", {"name": "mouse002"}, {"network", "epochs", "embeddings"}),
    ("recording", {"keypoints": POINTS + 1}, {"network", "epochs", "embeddings"}),
    ("recording", {"labels": np.zeros(60, int)}, NETWORKS),
    ("recording", {"frame_size": (2000, 1000)}, {"network", "epochs", "embeddings"}),
    ("recording", {"fps": 25.0}, {"embeddings"}),
    ("seed", 1, {"network"}),
    ("fraction", 0.5, {"epochs"}),
    *[("clips", {name: value}, {"embeddings"}) for name, value in {"seconds": 3.0, "sampled_fps": 8.0}.items()],
    ("localizer", {"epochs": 3}, {"epochs"}),  # a network is kept after each of its epochs
    *[("localizer", {name: value}, NETWORKS) for name, value in OTHERWISE.items()],
]


@pytest.mark.parametrize(("part", "change", "made_again"), CHANGES)
def test_exactly_what_rests_on_a_setting_or_an_input_is_made_again(part, change, made_again):
    after = replace(START[part], **change) if isinstance(change, dict) else change
    one, other = keys(START), keys(START | {part: after})
    assert {kind for kind in one if one[kind] != other[kind]} == made_again


def test_every_setting_of_a_network_is_changed():
    assert {*OTHERWISE, "epochs"} == {field.name for field in fields(LocalizerSettings)}


def test_a_notebook_is_run_again_for_every_one_of_its_parameters(monkeypatch):
    for what in ("package_versions", "library_versions"):  # the same throughout
        monkeypatch.setattr(runner, what, dict)
    monkeypatch.setattr(provenance, "shipped", list)
    monkeypatch.delenv("MBREPRO_REAL_DATA", raising=False)
    for name in runner.notebook_names():
        values = runner.parameters_of(name)
        one = runner.notebook_key(name, values, "demo")
        for parameter, value in values.items():
            changed = values | {parameter: f"{value}x" if isinstance(value, str) else value + 1}
            assert runner.notebook_key(name, changed, "demo") != one, (name, parameter)
    assert one == runner.notebook_key(name, dict(reversed(values.items())), "demo")
