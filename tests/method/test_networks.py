"""Networks of stage 1, trained once and read back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mbrepro.data import processes
from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method import networks, protocols
from mbrepro.method.localizer import PoseCNN
from mbrepro.method.networks import best_epochs, train_localizers, validation_curves
from mbrepro.method.pipeline import localize_action

PUBLISHED = protocols.published(EmbedderSettings())


def recording(frames=10, labels=None, name="mouse001", seed=0):
    points = np.random.default_rng(seed).uniform(100, 400, (frames, 2, 7, 2))
    return Recording(name, points, TASK1_CLASSES, labels=labels)


def test_a_trained_localizer_is_used_again_until_its_data_or_settings_change(tmp_path, monkeypatch):
    monkeypatch.setattr(processes.os, "cpu_count", lambda: 1)  # a fresh interpreter takes longer than the training

    def dataset(seed):
        labels = np.tile([0, 3], 150)
        train = tuple(recording(300, labels, f"mouse00{k}", seed=seed + k) for k in range(3))
        return Dataset("task1", TASK1_CLASSES, train, (), "simulated")

    def stored():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}

    settings = replace(PUBLISHED.localizer, epochs=1)
    first = train_localizers(dataset(0), settings, 0.0, [0, 1], tmp_path)
    made = stored()
    assert len(made) == 2
    again = train_localizers(dataset(0), settings, 0.0, [0, 1], tmp_path)
    assert stored() == made
    one = dataset(0).train[0]
    p_action = [localize_action(model, one) for model in (*first, *again)]
    np.testing.assert_array_equal(p_action[:2], p_action[2:])
    assert np.abs(p_action[0] - p_action[1]).max() > 1e-3
    train_localizers(dataset(0), settings, 0.34, [0], tmp_path)  # the same networks, of a number of epochs chosen
    train_localizers(dataset(9), settings, 0.0, [0], tmp_path)
    train_localizers(dataset(0), replace(settings, dropout=0.4), 0.0, [0], tmp_path)
    assert len(stored()) == 4
    train_localizers(dataset(0), replace(settings, epochs=2), 0.0, [0], tmp_path)
    after = {path for path in stored() if path.name.endswith("-2.safetensors")}
    assert len(after) == 1 and len(stored()) == 4 + 1


def test_held_out_animals_choose_the_epochs_of_networks_trained_on_all(tmp_path, monkeypatch):
    labels = np.tile([0, 3], 100)
    train = tuple(recording(200, labels, f"mouse00{k}", seed=k) for k in range(4))
    calls = []

    def fit(recordings, targets, settings, seed, validation=None, after_epoch=None):
        calls.append(([r.name for r in recordings], [r.name for r, _ in validation or ()], settings.epochs))
        for epoch in range(1, settings.epochs + 1):
            model = PoseCNN(settings).eval()
            torch.nn.init.constant_(model.classify.bias, epoch)
            if after_epoch:
                after_epoch(epoch, model)
        f1s = [(0.2, 0.7, 0.6, 0.1), (0.2, 0.6, 0.7, 0.1), (0.9, 0.6, 0.6, 0.1)][seed]  # each best after another epoch
        return model, [{"epoch": k, "validation_f1": f1} for k, f1 in enumerate(f1s, 1)]

    monkeypatch.setattr(networks, "fit_localizer", fit)
    monkeypatch.setattr(processes.os, "cpu_count", lambda: 1)  # in this interpreter, where it is patched
    settings = replace(PUBLISHED.localizer, epochs=4)
    data = Dataset("task1", TASK1_CLASSES, train, (), "simulated")
    (last,) = train_localizers(data, settings, 0.0, [0], tmp_path)
    (chosen,) = train_localizers(data, settings, 0.25, [0], tmp_path)
    assert (last.classify.bias[0], last.settings.epochs) == (4, 4)
    assert (chosen.classify.bias[0], chosen.settings.epochs) == (2, 2)
    (trained_on, none, _), *trials = calls
    assert trained_on == [r.name for r in train] and none == []
    for chosen_on, held_out, tried in trials:
        assert sorted(chosen_on + held_out) == trained_on
        assert (len(held_out), tried) == (1, 4)
    assert len(trials) == 3 and len({name for _, (name,), _ in trials}) > 1  # not the same animal each time
    train_localizers(data, settings, 0.25, [0], tmp_path)
    assert len(calls) == 4  # neither trained nor chosen again
    curves = validation_curves(data, settings, 0.25, tmp_path)
    np.testing.assert_allclose(curves[:, 0], [0.2, 0.2, 0.9])
    assert curves.shape == (3, 4) and best_epochs(curves) == 2
    assert validation_curves(data, settings, 0.0, tmp_path).shape == (0, 4)
    with pytest.raises(InputError, match="train the networks first"):
        validation_curves(data, replace(settings, epochs=5), 0.25, tmp_path)


def test_networks_trained_side_by_side_are_those_trained_one_by_one(tmp_path):
    labels = np.tile([0, 3], 150)
    data = Dataset("task1", TASK1_CLASSES, (recording(300, labels),), (), "simulated")
    settings = replace(PUBLISHED.localizer, epochs=1)
    together = train_localizers(data, settings, 0.0, [0, 1], tmp_path / "together")
    for seed, model in enumerate(together):
        (alone,) = train_localizers(data, settings, 0.0, [seed], tmp_path / "alone")
        for ours, theirs in zip(alone.state_dict().values(), model.state_dict().values(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_damaged_network_or_choice_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(processes.os, "cpu_count", lambda: 1)
    labels = np.tile([0, 3], 150)
    train = tuple(recording(300, labels, f"mouse00{k}", seed=k) for k in range(3))
    data = Dataset("task1", TASK1_CLASSES, train, (), "simulated")
    settings = replace(PUBLISHED.localizer, epochs=2)
    before = train_localizers(data, settings, 0.34, [0], tmp_path)[0].state_dict()
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) == 5  # two epochs and three curves
    for path, whole in files.items():
        path.write_bytes(whole[: len(whole) // 2])
    after = train_localizers(data, settings, 0.34, [0], tmp_path)[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {path: path.read_bytes() for path in files} == files
