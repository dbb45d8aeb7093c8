from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mbrepro.data.recordings import UNLABELLED, Recording, Skeleton
from mbrepro.errors import InputError
from mbrepro.method import localizer
from mbrepro.method.localizer import (
    BASELINE,
    CAUSAL,
    LOCALIZER,
    LocalizerSettings,
    PoseCNN,
    action_labels,
    load_localizer,
    localize,
    pose_features,
    save_localizer,
)
from mbrepro.method.training import fit_localizer
from tests.fixtures.near_and_far import SMALL, made_recording
from tests.fixtures.windows import frame_windows

VARIANTS = {
    "localizer": LOCALIZER,
    "baseline": BASELINE,
    "causal": CAUSAL,
    "every frame": LocalizerSettings(context_before=50, context_after=50, step=1),
    "other kernel": LocalizerSettings(kernel=3, channels=(16, 8)),
    "uneven window": LocalizerSettings(context_before=99, context_after=100, step=3, kernel=2, channels=(8, 8, 8, 4)),
}


def random_network(settings: LocalizerSettings, seed: int, dtype=torch.float64) -> PoseCNN:
    """A network whose running statistics and biases are not the trivial ones it starts with."""
    torch.manual_seed(seed)
    model = PoseCNN(settings)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
        elif isinstance(module, nn.Conv1d):
            nn.init.normal_(module.bias)
    return model.to(dtype).eval()


def dense_input(features: np.ndarray, s: LocalizerSettings) -> torch.Tensor:
    padded = np.pad(features, ((s.context_before, s.context_after), (0, 0)))
    return torch.from_numpy(padded.T.copy())[None]


def published_network(model: PoseCNN) -> nn.Sequential:
    """The official network layer by layer, flattened in PyTorch's order (channel, sample), with the model's weights."""
    layers = [model.input_norm]
    for conv, norm in zip(model.convs, model.norms, strict=True):
        layers += [conv, norm, nn.ReLU(), nn.MaxPool1d(2), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Flatten(), model.classify).eval()


def window_by_hand(features: np.ndarray, frame: int, s: LocalizerSettings) -> np.ndarray:
    columns = []
    for t in range(frame - s.context_before, frame + s.context_after + 1, s.step):
        columns.append(features[t] if 0 <= t < len(features) else np.zeros(28, features.dtype))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 230])
@pytest.mark.parametrize("variant", VARIANTS)
def test_dense_form_equals_published_network_on_each_window(variant, frames):
    s = VARIANTS[variant]
    features = np.random.default_rng(frames).normal(size=(frames, 28))
    model = random_network(s, seed=frames)
    windows = torch.from_numpy(np.stack([window_by_hand(features, t, s) for t in range(frames)]))
    with torch.no_grad():
        published = published_network(model)(windows)
        assert torch.allclose(model.forward_windows(windows), published, atol=1e-12)
        dense = model(dense_input(features, s))[0].T
        assert dense.shape == (frames, s.classes)
        assert (dense - published).abs().max() < 1e-10
        single = model.float()
        single_published = published_network(single)(windows.float())
        assert (single(dense_input(features, s).float())[0].T - single_published).abs().max() < 1e-5


@settings(max_examples=40, deadline=None)
@given(
    before=st.integers(0, 40),
    after=st.integers(0, 40),
    step=st.integers(1, 4),
    kernel=st.integers(1, 4),
    blocks=st.integers(1, 3),
    frames=st.integers(1, 40),
    batch=st.integers(1, 3),
)
def test_dense_form_is_exact_for_any_settings(before, after, step, kernel, blocks, frames, batch):
    try:
        s = LocalizerSettings(
            context_before=before, context_after=after, step=step, kernel=kernel, channels=(3, 4, 2)[:blocks]
        )
    except InputError:
        return  # the window is too short for the network
    features = np.random.default_rng(0).normal(size=(batch, frames, 28))
    model = random_network(s, seed=1)
    with torch.no_grad():
        dense = model(torch.cat([dense_input(f, s) for f in features]))
        for k in range(batch):
            windows = torch.from_numpy(frame_windows(features[k], np.arange(frames), s).copy())
            assert torch.allclose(dense[k].T, model.forward_windows(windows), atol=1e-10)


@pytest.mark.parametrize("spread", [1, 2, 4, 8])
def test_spread_output_is_that_of_every_so_many_samples(spread):
    features = np.random.default_rng(0).normal(size=(BASELINE.samples - 1 + 40, 28))
    model, x = random_network(BASELINE, seed=0), torch.from_numpy(features.T[None].copy())
    with torch.no_grad():
        expected = model.forward_samples(x)[..., ::spread]
        found = model.forward_samples(x, spread)
    assert found.shape[-1] == 40 // spread
    assert torch.allclose(found, expected[..., : found.shape[-1]], atol=1e-12)


@pytest.mark.parametrize("first", [0, 1])
def test_thinned_input_gives_the_dense_output_of_every_second_frame(first):
    s = BASELINE
    x = dense_input(np.random.default_rng(0).normal(size=(75, 28)), s)
    model = random_network(s, seed=0)
    with torch.no_grad():
        thinned = model.forward_samples(x[..., first :: s.step])
        every_second = model(x)[..., first :: s.step]
        shared = min(thinned.shape[-1], every_second.shape[-1])
        assert shared >= 37
        assert torch.allclose(thinned[..., :shared], every_second[..., :shared], atol=1e-12)


@pytest.mark.parametrize(("settings", "samples", "flat"), [(LOCALIZER, 101, 9 * 32), (BASELINE, 201, 672)])
def test_windows_are_those_of_the_poster_and_of_the_released_baseline(settings, samples, flat):
    """The released Task 1 network takes (201, 28) and its dense layer 672 values."""
    assert settings.samples == samples
    assert PoseCNN(settings).classify.in_features == flat
    assert settings.context_before == settings.context_after


def test_windows_hold_the_frames_around_and_zeros_beyond_the_ends():
    s = LocalizerSettings(context_before=4, context_after=4, step=2, kernel=2, channels=(3,))
    features = np.arange(1, 6)[:, None] * np.ones(28)
    windows = frame_windows(features, np.array([0, 3]), s)
    assert windows[:, 5].tolist() == [[0, 0, 1, 3, 5], [0, 2, 4, 0, 0]]


def test_features_are_shares_of_the_frame_in_the_order_mouse_part_xy():
    keypoints = np.zeros((1, 2, 7, 2))
    keypoints[0, 1, 6] = (256, 57)  # the intruder's tail base
    features = pose_features(Recording("a", keypoints, frame_size=(1024, 570)))
    assert features.shape == (1, 28)
    assert features.dtype == np.float32
    assert features[0, -2:] == pytest.approx([0.25, 0.1])
    half = pose_features(Recording("a", keypoints / 2, frame_size=(512, 285)))
    assert half == pytest.approx(features)


def test_targets_code_action_0_and_other_1():
    recording = Recording("a", np.zeros((4, 2, 7, 2)), labels=np.array([0, 1, 2, 3]))
    assert action_labels(recording.labels, recording.classes).tolist() == [0, 0, 0, 1]
    partly = replace(recording, labels=np.array([UNLABELLED, 1, 3, UNLABELLED]), partly_labelled=True)
    assert action_labels(partly.labels, partly.classes).tolist() == [UNLABELLED, 0, 1, UNLABELLED]


def test_localize_is_the_published_network_on_each_frame(made, fitted):
    model, _ = fitted
    windows = frame_windows(pose_features(made[4]), np.arange(600), SMALL)
    with torch.no_grad():
        expected = published_network(model)(torch.from_numpy(windows.copy())).softmax(1).numpy()
    assert np.abs(localize(model, made[4]) - expected).max() < 1e-5


def test_localize_gives_the_same_in_pieces(made, fitted, monkeypatch):
    whole = localize(fitted[0], made[4])
    monkeypatch.setattr(localizer, "_FRAMES_AT_ONCE", 37)
    assert np.abs(localize(fitted[0], made[4]) - whole).max() < 1e-6


@pytest.mark.parametrize("samples", [9, 10])
def test_pooling_of_neighbours_equals_its_parts_forward_and_backward(samples):
    x = torch.randn(3, 2, samples, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    weight = torch.arange(1.0, 6 * 2 * ((samples - 1) // 2) + 1, dtype=torch.float64)
    found = localizer._Pool.apply(x, 2, 0.0)
    (gradient,) = torch.autograd.grad((found.flatten() * weight).sum(), x)
    pooled = torch.relu(x).unfold(-1, 2, 1).amax(-1)  # (3, 2, samples - 1)
    pairs = (samples - 1) // 2
    expected = torch.cat([pooled[..., 0 : 2 * pairs : 2], pooled[..., 1 : 2 * pairs : 2]])
    (expected_gradient,) = torch.autograd.grad((expected.flatten() * weight).sum(), x)
    assert torch.equal(found, expected) and torch.allclose(gradient, expected_gradient)


def by_the_library(x: torch.Tensor, dropout: float) -> torch.Tensor:
    return F.dropout(F.max_pool1d(F.relu(x), 2), dropout)


@pytest.mark.parametrize("samples", [9, 10])
@pytest.mark.parametrize("dropout", [0.0, 0.25, 0.5])
def test_pooling_of_a_single_phase_is_the_librarys_to_the_last_bit(samples, dropout):
    some = torch.randn(30, 7, samples, generator=torch.Generator().manual_seed(1))
    x = some.round(decimals=1).requires_grad_()  # holds equal neighbours and zeros
    weight = torch.randn(30, 7, samples // 2, generator=torch.Generator().manual_seed(2))
    made = []
    for pool in (by_the_library, lambda x, dropout: localizer._Pool.apply(x, 1, dropout)):
        torch.manual_seed(0)
        pooled = pool(x, dropout)
        made.append([pooled, *torch.autograd.grad(pooled, x, weight), torch.get_rng_state()])
    assert all(torch.equal(theirs, ours) for theirs, ours in zip(*made, strict=True))
    assert ((x[..., 0] == x[..., 1]) & (x[..., 0] > 0)).any() and made[0][1].any()


def test_training_gives_the_same_bytes_as_with_the_librarys_pooling(monkeypatch):
    spread = replace(SMALL, spread=2, epochs=2)
    made = [made_recording(f"made{k}", 300, k) for k in range(2)]
    targets = [action_labels(one.labels, one.classes) for one in made]
    ours = fit_localizer(made, targets, spread, seed=0)[0].state_dict()
    pool = PoseCNN._pool
    monkeypatch.setattr(
        PoseCNN, "_pool", lambda self, x, phases: by_the_library(x, 0.5) if phases == 1 else pool(self, x, phases)
    )
    theirs = fit_localizer(made, targets, spread, seed=0)[0].state_dict()
    assert all(torch.equal(theirs[name], value) for name, value in ours.items())


def test_pooling_drops_out_the_share_that_is_asked_for():
    torch.manual_seed(0)
    x = torch.full((50, 4, 81), 2.0, requires_grad=True)
    found = localizer._Pool.apply(x, 2, 0.25)
    assert found.unique().tolist() == pytest.approx([0, 2 / 0.75])
    assert (found == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    found.sum().backward()
    assert x.grad.sum().item() == pytest.approx((found > 0).sum().item() / 0.75, rel=1e-5)


def test_a_network_of_other_animals_is_the_published_one_on_their_points_and_comes_back_from_its_file(tmp_path):
    rat = Skeleton(("top", "body", "tail"), front="top", rear="tail")
    points = np.random.default_rng(0).uniform(100, 500, (60, 2, 3, 2))
    recording = Recording("rats", points, skeleton=rat)
    torch.manual_seed(0)
    model = PoseCNN(SMALL, 12).eval()
    model.normalise_input([pose_features(recording)])
    windows = torch.from_numpy(frame_windows(pose_features(recording), np.arange(60), SMALL).copy())
    with torch.no_grad():
        expected = published_network(model)(windows).softmax(1).numpy()
    assert np.abs(localize(model, recording) - expected).max() < 1e-5
    save_localizer(tmp_path / "a.safetensors", model)
    assert np.array_equal(localize(load_localizer(tmp_path / "a.safetensors"), recording), localize(model, recording))
    with pytest.raises(InputError, match="mouse: 28 coordinates a frame, and the network knows 12"):
        localize(model, Recording("mouse", np.ones((60, 2, 7, 2))))


def test_saved_network_is_the_same_bytes_and_the_same_network(tmp_path, made, fitted):
    model, _ = fitted
    save_localizer(tmp_path / "a.safetensors", model)
    save_localizer(tmp_path / "b.safetensors", model)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_localizer(tmp_path / "a.safetensors")
    assert loaded.settings == SMALL
    assert np.array_equal(localize(loaded, made[4]), localize(model, made[4]))


def test_files_that_are_no_localizer_are_refused(tmp_path, fitted):
    with pytest.raises(InputError, match="no such localizer"):
        load_localizer(tmp_path / "absent.safetensors")
    save_localizer(tmp_path / "a.safetensors", fitted[0])
    whole = (tmp_path / "a.safetensors").read_bytes()
    for broken in (b"", b"not a network", whole[: len(whole) // 2], whole.replace(b"classes", b"klasses")):
        (tmp_path / "broken.safetensors").write_bytes(broken)
        with pytest.raises(InputError, match=r"broken.safetensors: this is not a localizer"):
            load_localizer(tmp_path / "broken.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_before": 0, "context_after": 0}, "window of 1 samples is too short"),
        ({"step": 0}, "step must be at least 1"),
        ({"context_after": -1}, "must not be negative"),
        ({"dropout": 1.0}, "dropout"),
        ({"spread": 3}, "spread must be 1, 2, … up to 8"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        LocalizerSettings(**changes)
