"""The notebooks' parameters: values from `notebooks/parameters.yml`, and which values make sense."""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from mbrepro import paths
from mbrepro.data.recordings import TASK3_BEHAVIOURS
from mbrepro.embedding import check_embedder
from mbrepro.embedding.embedder import STAND_IN, EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method import protocols

# The least value of whole numbers, and lists of numbers that are written as text.
LEAST = {"seeds": 1, "epochs": 1, "baseline_epochs": 1, "seed": 0, "draws": 2, "most_clips": 0, "max_new_tokens": 1}
LISTS = ("clip_lengths", "glances", "gaps", "lengths", "components", "widths")
PROTOCOL = ("epochs", "clip_seconds", "sampled_fps", "crop", "view", "head")  # of `protocols.corrected`


def cascade(profile: str, notebook: str = "") -> dict[str, Any]:
    """Values for a notebook, or for all: shared ones, the profile's in their place, and then the notebook's own."""
    content = _content()
    parts = content["shared"], content["profiles"].get(profile, {}), content["notebooks"].get(notebook, {})
    return {name: value for part in parts for name, value in part.items()} | {"profile": profile}


def of_own() -> list[str]:
    """Names of the notebooks of a study of one's own recordings, in the order in which they are run and read."""
    return _content()["own"]


def runs_stage2(notebook: str) -> bool:
    """Whether a notebook looks at clips with a model."""
    return notebook in _content()["stage2"]


def shows_runs(notebook: str) -> bool:
    """Whether a notebook shows the runs that are stored, and has to run again when there are others."""
    return notebook in _content()["runs"]


def _content() -> dict:
    path = paths.notebooks() / "parameters.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {key: content[key] or {} for key in ("shared", "profiles", "notebooks", "own", "stage2", "runs")}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: not the notebooks' parameters ({told}); restore the file") from error


def check_values(values: Mapping[str, Any]) -> None:
    """Raise InputError for the first value that no run can use, before any run begins.

    Settings that a protocol is made of are checked by making it, a model by looking for it.
    """
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"parameter {name} must be a finite number, not {value}")
        if name in LEAST and value < LEAST[name]:
            raise InputError(f"parameter {name} must be at least {LEAST[name]}, not {value}")
        if name in LISTS:
            numbers(value, f"parameter {name}")
    if values.get("scale", 1.0) <= 0:
        raise InputError(f"parameter scale must be a positive number, not {values['scale']}")
    if not 0 <= values.get("validation_fraction", 0.0) < 1:
        fraction = values["validation_fraction"]
        raise InputError(f"parameter validation_fraction must lie from 0 to below 1, not {fraction}")
    behaviours = values.get("behaviours", "all")
    for behaviour in behaviours.split(",") if behaviours != "all" else ():
        if behaviour not in TASK3_BEHAVIOURS:
            raise InputError(f"parameter behaviours: Task 3 has no {behaviour!r}; it has {', '.join(TASK3_BEHAVIOURS)}")
    embedder = EmbedderSettings(values.get("model") or STAND_IN)
    protocols.corrected(embedder, **{name: values[name] for name in PROTOCOL if name in values})
    if values.get("model"):
        check_embedder(embedder, memory=False)  # where it will run is the notebook's to say


def numbers(text: str, name: str = "a list") -> list[float]:
    """The numbers of a parameter that holds several, as "1,2,5"; raises InputError unless each is finite and >= 0."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [math.nan]
    if not all(math.isfinite(number) and number >= 0 for number in found):
        raise InputError(f"{name} takes numbers of at least 0, separated by commas, not {text!r}")
    return found
