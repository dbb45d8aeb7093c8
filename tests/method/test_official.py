"""The official network against another implementation, on a made file and on its real weights, and files that lie."""

import h5py
import numpy as np
import pytest

from mbrepro.data.recordings import KEYPOINTS, TASK1_CLASSES, Recording
from mbrepro.data.tracking import read_tracking
from mbrepro.demo.likeness import real_statistics
from mbrepro.demo.windows import read_real_windows
from mbrepro.errors import InputError
from mbrepro.method.localizer import BASELINE, action_probability, localize
from mbrepro.method.official import BODY_LENGTH, load_official
from tests.fixtures.keras_network import network_config, network_weights, write_network


def official_weights(real_data):
    return real_data / "official_baseline" / "task1_seed_42_model.h5"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "made.h5")


def keras_by_hand(path, window):
    """The published network on one window (201, 28), in plain numpy and double precision: probabilities (4,)."""
    with h5py.File(path) as file:
        layers = {name: {k[:-2]: v[()].astype(float) for k, v in group[name].items()}
                  for name, group in file["model_weights"].items() if name in group}  # fmt: skip

    def norm(x, layer):
        scaled = (x - layer["moving_mean"]) / np.sqrt(layer["moving_variance"] + 1e-3)
        return scaled * layer["gamma"] + layer["beta"]

    x = norm(window.astype(float), layers["batch_normalization"])
    for k in range(3):
        conv = layers["conv1d" + (f"_{k}" if k else "")]
        taps = [x[tap : len(x) - 4 + tap] @ conv["kernel"][tap] for tap in range(5)]
        x = np.maximum(norm(sum(taps) + conv["bias"], layers[f"batch_normalization_{k + 1}"]), 0)
        x = x[: len(x) // 2 * 2].reshape(len(x) // 2, 2, -1).max(1)
    logits = x.reshape(-1) @ layers["dense"]["kernel"] + layers["dense"]["bias"]
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def official_window(keypoints, frame):
    """The official generator's window of released keypoints (T, mouse, xy, part): each 2nd frame of ±200."""
    rows = np.zeros((201, 28))
    for row, t in enumerate(range(frame - 200, frame + 201, 2)):
        if 0 <= t < len(keypoints):
            fraction = keypoints[t].transpose(0, 2, 1) / (1024, 570)  # the official transpose_last_axis, normalize_data
            rows[row] = fraction.reshape(-1)
    return rows


def check_agreement(path, keypoints, frames):
    """keypoints: (T, mouse, xy, part), as released."""
    model = load_official(path)
    found = localize(model, Recording("a", keypoints.swapaxes(2, 3)))
    assert model.settings == BASELINE and not model.training and found.shape == (len(keypoints), 4)
    expected = np.array([keras_by_hand(path, official_window(keypoints, t)) for t in frames])
    assert np.abs(found[frames] - expected).max() < 1e-5
    return found


def test_dense_pass_is_the_published_network_frame_by_frame(made):
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-1, 1, (470, 2, 2, 7)) * np.array([1500, 800])[:, None]
    found = check_agreement(made, keypoints, np.arange(0, 470, 7))
    assert np.ptp(found, 0).min() > 0.01  # or any two networks would agree
    np.testing.assert_allclose(action_probability(found), 1 - found[:, TASK1_CLASSES.index("other")], atol=1e-6)


def test_real_weights_on_real_poses(real_data):
    poses = real_data / "ethome_dyad" / "poses_dlc.csv"
    dyad = read_tracking(poses, parts={"tail_base": "tail"}, fps=30, frame_size=(1280, 1024)).keypoints[850:1350]
    found = check_agreement(official_weights(real_data), dyad.swapaxes(2, 3).astype(float), np.arange(0, 500, 10))
    assert np.ptp(found[:, 3]) > 0.5


def test_inputs_and_classes_are_in_our_order(real_data):
    """Real windows, held still before and after: each class's score is highest where people saw it."""
    model = load_official(official_weights(real_data))
    mean = model.input_norm.running_mean.reshape(2, 7, 2)
    assert (mean[..., 0] * 1024 - 500).abs().max() < 40 and (mean[..., 1] * 570 - 310).abs().max() < 30
    windows, labels = read_real_windows(real_data)
    held = np.clip(np.arange(-200, 201) + 6, 0, 12)
    scores = np.array([localize(model, Recording("a", window[held]))[200] for window in windows[::4]])
    seen = labels[::4]
    for label in (1, 2, 3):  # investigation, mount, and neither; windows of attack are among the last
        means = scores[seen == label].mean(0)
        assert means.argmax() == label, (label, means)


def test_body_length_is_that_of_calms21s_mice(real_data):
    windows, _ = read_real_windows(real_data)
    nose, tail = (windows[..., KEYPOINTS.index(part), :] for part in ("nose", "tail_base"))
    assert np.median(np.linalg.norm(nose - tail, axis=-1)) == pytest.approx(BODY_LENGTH, abs=0.5)


def test_body_length_lies_between_those_of_the_two_mice():
    told = real_statistics()["poses"]["percentiles"]
    assert told["body length, intruder"]["p50"] < BODY_LENGTH < told["body length, resident"]["p50"]


# --- a file from elsewhere ------------------------------------------------------------------------------------------


def refused(path, reason):
    with pytest.raises(InputError, match=rf"{path.name}: not CalMS21's official network \(.*{reason}.*\); run mbrepro"):
        load_official(path)


@pytest.mark.parametrize("name", ["conv1d_1/kernel", "dense/bias", "batch_normalization_3/moving_variance"])
@pytest.mark.parametrize("wrong", ["missing", "short", "turned", "double", "text", "nan", "infinite"])
def test_weights_that_are_missing_or_wrong_are_named(tmp_path, name, wrong):
    weights = network_weights()
    good = weights.pop(name)
    spoilt = good.copy()
    spoilt[(0,) * good.ndim] = np.nan if wrong == "nan" else np.inf
    changed = {
        "missing": None, "short": good[1:], "turned": good[..., None], "double": good.astype(np.float64),
        "text": np.full(good.shape, b"a"), "nan": spoilt, "infinite": spoilt,
    }[wrong]  # fmt: skip
    path = write_network(tmp_path / "bad.h5", weights if changed is None else weights | {name: changed})
    layer, weight = name.split("/")
    reason = "object" if wrong == "missing" else f"{layer}/{layer}/{weight}:0"
    refused(path, reason)


def test_a_variance_below_0_is_refused(tmp_path):
    weights = network_weights()
    weights["batch_normalization_1/moving_variance"][5] = -0.1
    refused(write_network(tmp_path / "bad.h5", weights), "batch_normalization_1/moving_variance:0 holds .* below 0")


CHANGES = {
    "BatchNormalization": ("epsilon", 1e-5), "InputLayer": ("batch_input_shape", [None, 101, 28]),
    "Activation": ("activation", "tanh"), "MaxPooling1D": ("strides", [1]), "Conv1D": ("dilation_rate", [2]),
    "Dense": ("activation", "sigmoid"), "Flatten": ("data_format", "channels_first"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_another_network_with_the_same_weights_is_refused(tmp_path, kind):
    config, (setting, value) = network_config(), CHANGES[kind]
    layer = [layer for layer in config["config"]["layers"] if layer["class_name"] == kind][-1]
    layer["config"][setting] = value
    refused(write_network(tmp_path / "other.h5", config=config), f"where {kind}")


def test_other_layers_are_refused(tmp_path):
    config = network_config()
    layers = config["config"]["layers"]
    config["config"]["layers"] = layers[:-2] + layers[-1:]
    refused(write_network(tmp_path / "few.h5", config=config), "18 layers, not 19")
    config["config"]["layers"] = [*layers[:2], layers[3], layers[2], *layers[4:]]
    refused(write_network(tmp_path / "order.h5", config=config), "where Conv1D")


@pytest.mark.parametrize("config", [[], {}, {"config": 3}, {"config": {"layers": [3] * 19}}, "text", 7])
def test_a_configuration_of_another_form_is_refused(tmp_path, config):
    refused(write_network(tmp_path / "odd.h5", config=config), "")


def test_files_that_are_no_network_are_refused(tmp_path, made):
    content = made.read_bytes()
    (tmp_path / "half.h5").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.h5").write_text("weights")
    (tmp_path / "folder.h5").mkdir()
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    for name in ("half.h5", "text.h5", "folder.h5", "empty.h5", "absent.h5"):
        refused(tmp_path / name, "")
    assert load_official(made)


def test_weights_that_lie_in_another_file_are_refused(tmp_path, made):
    path = write_network(tmp_path / "linked.h5")
    bias = "model_weights/dense/dense/bias:0"
    values = tmp_path / "values"
    values.write_bytes(np.zeros(4, np.float32).tobytes())
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource(made, bias, (4,))
    for kind in ("link", "external", "virtual"):
        with h5py.File(path, "a") as file:
            del file[bias]
            if kind == "link":
                file[bias] = h5py.ExternalLink(made, bias)
            elif kind == "external":
                file.create_dataset(bias, (4,), np.float32, external=[(str(values), 0, 16)])
            else:
                file.create_virtual_dataset(bias, layout)
        refused(path, f"{bias} lies in another file")


def test_deep_nesting_is_refused(tmp_path):
    path = write_network(tmp_path / "deep.h5")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = "[" * 50_000
    refused(path, "recursion")
