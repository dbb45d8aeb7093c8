"""The official Task 1 network of CalMS21 with the weights it was released with, read from Keras's HDF5.

It is `BASELINE`, trained on CalMS21's real mice. Its inputs are in our order: the official code swaps the last two of
the released axes (frame, mouse, xy, part) before it flattens them (utils/preprocessing.py and train_task1.py of
github.com/dreamyang-liu/mab-e-opt-transport), and divides x by 1024 and y by 570. Its classes are `TASK1_CLASSES`, the
released vocabulary (demo/tutorial_calms21_task1.ipynb of github.com/BelloneLab/BANOS).
"""

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
import torch

from mbrepro.errors import InputError
from mbrepro.method.localizer import BASELINE, FEATURES, PoseCNN

# Nose to tail base, px, median over both mice of CalMS21's 996 pose windows: what poses of other rigs are scaled to.
BODY_LENGTH = 181.0

_NORM = ("BatchNormalization", {"axis": [2], "epsilon": 0.001})
_CONV = ("Conv1D", {"padding": "valid", "strides": [1], "dilation_rate": [1], "groups": 1, "activation": "linear"})
_POOL = ("MaxPooling1D", {"pool_size": [2], "strides": [2], "padding": "valid"})
_BLOCK = (_CONV, _NORM, ("Activation", {"activation": "relu"}), _POOL, ("Dropout", {}))
# What the file has to say of itself: each layer's class, and settings that its weights do not show.
LAYERS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("InputLayer", {"batch_input_shape": [None, BASELINE.samples, FEATURES]}), _NORM, *_BLOCK, *_BLOCK, *_BLOCK,
    ("Flatten", {"data_format": "channels_last"}), ("Dense", {"activation": "softmax"}),
)  # fmt: skip
_AFFINE = {"weight": "kernel", "bias": "bias"}
WEIGHTS = {  # of a layer's class: our name → Keras's
    "BatchNormalization": {
        "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"
    },
    "Conv1D": _AFFINE,
    "Dense": _AFFINE,
}  # fmt: skip


def load_official(path: Path) -> PoseCNN:
    """Read the official network, in evaluation mode; `localize` then gives the four classes' probabilities.

    Nothing of the file is run. Raises InputError naming it for a layer that is missing or another, and for weights that
    are missing, of another shape or not finite.
    """
    model = PoseCNN(BASELINE)
    blocks = chain.from_iterable(zip(model.convs, model.norms, strict=True))
    try:
        with h5py.File(path) as file, torch.no_grad():
            weighted = [layer for layer in _layers(file) if layer[0] in WEIGHTS]
            for (kind, name), module in zip(weighted, (model.input_norm, *blocks, model.classify), strict=True):
                for ours, theirs in WEIGHTS[kind].items():
                    _fill(getattr(module, ours), file, f"model_weights/{name}/{name}/{theirs}:0")
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not CalMS21's official network ({reason}); run mbrepro fetch official") from error
    # Keras flattens (sample, channel), PyTorch (channel, sample).
    by_sample = model.classify.weight.data.unflatten(1, (BASELINE.pooled_samples, -1))  # (classes, samples, channels)
    model.classify.weight.data = by_sample.transpose(1, 2).flatten(1).contiguous()
    return model.eval()


def _layers(file: h5py.File) -> list[tuple[str, str]]:
    """Class and name of each layer, once they are those of `LAYERS`."""
    layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    if len(layers) != len(LAYERS):
        raise ValueError(f"it has {len(layers)} layers, not {len(LAYERS)}")
    for layer, (kind, settings) in zip(layers, LAYERS, strict=True):
        found = {name: layer["config"].get(name) for name in settings}
        if layer["class_name"] != kind or found != settings:
            raise ValueError(f"where {kind} {settings or ''} should be, it has {layer['class_name']} {found or ''}")
    return [(layer["class_name"], layer["config"]["name"]) for layer in layers]


def _fill(ours: torch.Tensor, file: h5py.File, name: str) -> None:
    """Copy weights, whose axes Keras has the other way round: (kernel, in, out), (in, out)."""
    stored = file[name]
    shape = tuple(ours.shape)[::-1]
    if not isinstance(stored, h5py.Dataset) or stored.dtype != np.float32 or stored.shape != shape:
        raise ValueError(f"{name} is not an array of {shape} float32")
    if stored.file != file or stored.external or stored.is_virtual:
        raise ValueError(f"{name} lies in another file")
    values = stored[()]
    if not np.isfinite(values).all() or (name.endswith("variance:0") and values.min() < 0):
        raise ValueError(f"{name} holds a value that is not finite, or a variance below 0")
    ours.copy_(torch.from_numpy(values.T.copy()))
