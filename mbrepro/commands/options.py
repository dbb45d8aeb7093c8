"""Options that several commands share, and what is refused before a command begins."""

import math
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mbrepro import paths
from mbrepro.artifacts import write_text
from mbrepro.data.own.manifest import read_manifest
from mbrepro.errors import InputError

Task = StrEnum("Task", ["task1", "task3"])

Profile = Annotated[
    str, typer.Option(help="demo (simulated recordings), calms21 (the real data) or own (a folder of yours)")
]
Data = Annotated[
    Path | None,
    typer.Option(help="profile own: the folder with recordings.csv; kept for later commands", show_default=False),
]
Model = Annotated[
    str, typer.Option(help="profiles calms21 and own: the embedder, ID@COMMIT or a folder", show_default=False)
]
Source = Annotated[
    str,
    typer.Option(
        "--from", help="profile calms21: where fetch took the data from, if not the record", show_default=False
    ),
]
Cpu = Annotated[bool, typer.Option("--cpu", help="go on without a GPU, however long it takes")]
Seeds = Annotated[int, typer.Option(min=1, help="networks trained, each from another seed")]
Run = Annotated[str, typer.Option(help="a run of your own in place of the study", show_default=False)]
Scale = Annotated[
    float,
    typer.Option(
        help="profile demo: times the number of recordings", callback=lambda value: positive("--scale", value)
    ),
]


def positive(name: str, value: float) -> float:
    """The value; raises InputError unless it is a positive number, which nan and inf are not."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be a positive number, not {value}")
    return value


def use_profile(
    profile: str, model: str = "", source: str = "", data: Path | None = None, poses: bool = False
) -> None:  # fmt: skip
    """Hand model, source and folder on to notebooks, which run in processes of their own.

    poses: the command can do without stage 2, which profile "own" has not. Raises InputError for a profile there is
    none of, for options that it has no use for, and for a folder that is not there or, of recordings, is no data set.
    """
    paths.check_profile(profile)
    if profile == paths.OWN and not poses:
        raise InputError("profile own is for run, book, verify, crate and diff; mbrepro train makes a model of it")
    if profile != paths.OWN and data:
        raise InputError("--data is for --profile own; leave it out, or give both")
    if data:
        read_manifest(data)
        write_text(paths.artifacts(profile) / "folder.txt", str(data.resolve()))
    if profile == paths.OWN:
        paths.own_data()
    if (source and profile != "calms21") or (model and profile == "demo"):
        option = "--from is for --profile calms21" if source else "--model is for --profile calms21 or own"
        raise InputError(
            f"{option}; the demo embeds simulated recordings with the stand-in, and "
            "mbrepro run 03_clip -p model FOLDER tries another model on them"
        )
    for name, value in (("MBREPRO_MODEL", local_model(model)), ("MBREPRO_CALMS21", source)):
        if value:
            os.environ[name] = value


def local_model(model: str) -> str:
    """A model as it was typed, with a folder's path made absolute: notebooks run in a folder of their own.

    Raises InputError for what can only be a folder and is not there.
    """
    path = Path(model).expanduser()
    if model and path.is_dir():
        return str(path.resolve())
    if model.startswith((".", "/", "~")):
        raise InputError(f"model {model}: there is no such folder; give one, or the id of a model on the hub")
    return model


def check_workers(engine: str, workers: int) -> None:
    """Raise InputError for workers of an engine that has none."""
    if engine == "local" and workers != 1:
        raise InputError(f"--workers {workers} is for --engine ray; --engine local works in one process")


def check_patience(profile: str, cpu: bool, seeds: int, model: str = "") -> None:
    """Raise InputError before anything runs if stage 2 with a real model would keep a CPU busy for hours.

    model: of one's own recordings, if another than MBREPRO_MODEL.
    """
    if cpu or not seeds or profile == "demo":
        return
    from mbrepro.study import estimate, looking, profiles

    if profile == "calms21":
        estimate.refuse_slow(estimate.estimate(profile, seeds))
    elif named := model or os.environ.get("MBREPRO_MODEL"):
        recordings = profiles.load_dataset("task1", profile).recordings
        estimate.refuse_slow(estimate.of_own(recordings, looking.settings_of(named)))


def pair(option: str, form: str, text: str) -> tuple[str, str]:
    """Both sides of an option's `NAME=VALUE`; raises InputError, saying the form, for any other text."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise InputError(f"{option} takes {form}, not {text!r}")
    return name, value


def writable(folder: Path) -> Path:
    """The folder; raises InputError, before anything long is begun, if files cannot be written into it."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"{folder}: {nearest} is a file; name a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: nothing can be written into {nearest}; name another folder, or set MBREPRO_ROOT")
    return folder
