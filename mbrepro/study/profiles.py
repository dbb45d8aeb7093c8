"""The profiles: where recordings and model come from. Neither can pass for the other."""

import os
from collections.abc import Sequence
from pathlib import Path

from mbrepro import paths
from mbrepro.data.calms21.pairing import Pair, pair_with_videos
from mbrepro.data.calms21.read import load_calms21
from mbrepro.data.calms21.release import data_folder, fetched
from mbrepro.data.own.manifest import read_manifest
from mbrepro.data.recordings import Dataset
from mbrepro.demo.simulated import DemoSettings, demo_dataset
from mbrepro.embedding.embedder import STAND_IN, EmbedderSettings
from mbrepro.embedding.standin import STAND_IN_PIXELS
from mbrepro.errors import InputError
from mbrepro.study import own_rows
from mbrepro.study.parameters import cascade

PUBLISHED_MODEL = "Qwen/Qwen2-VL-2B-Instruct"  # the model the poster's code loads: 1536 values per token
CORRECTED_MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"


def load_dataset(task: str, profile: str, scale: float = 1.0) -> Dataset:
    """Recordings of a task, "task1" or "task3/BEHAVIOUR".

    demo: simulated and rendered on first use; `scale` times the number of recordings.
    calms21: what `mbrepro fetch calms21` has fetched from the source named by MBREPRO_CALMS21, the official record if
    that is not set. A Task 3 sequence has video where its keypoints are found in a Task 1 video, unless
    that would show a test animal in training (`pair_with_videos`).
    own: what the manifest in the folder of `paths.own_data` lists, whatever task it is; see `own_rows.dataset`.
    Raises InputError if nothing was fetched, or as the readers do.
    """
    paths.check_profile(profile)
    if profile == paths.OWN and task == "task1":
        return own_rows.dataset(read_manifest(paths.own_data()))
    if profile == "demo":
        return demo_dataset(task, DemoSettings().scaled(scale), paths.artifacts("demo") / "recordings")
    folder = calms21_folder()
    return load_calms21(folder, task) if task == "task1" else _task3(folder, task)[0]


def task3_pairs(behaviours: Sequence[str], profile: str) -> dict[str, tuple[Pair, ...]]:
    """Which Task 3 sequences were found in a Task 1 video; none in the demo, where each has a video of its own."""
    paths.check_profile(profile)
    if profile == "demo":
        return {}
    return {name: _task3(calms21_folder(), f"task3/{name}")[1] for name in behaviours}


def _task3(folder: Path, task: str) -> tuple[Dataset, tuple[Pair, ...]]:
    return pair_with_videos(load_calms21(folder, task), load_calms21(folder, "task1"))


def calms21_folder() -> Path:
    """Where the fetched data of the source in MBREPRO_CALMS21 lie; raises InputError if there are none yet."""
    source = os.environ.get("MBREPRO_CALMS21", "")
    folder = data_folder(source)
    found = fetched(folder)
    if found is None or not found.files:
        told = f" --from {source}" if source else ""
        raise InputError(f"CalMS21 is not in {folder} yet: run mbrepro fetch calms21{told}")
    return folder


def embedder_settings(profile: str, protocol: str, model: str = "") -> EmbedderSettings:
    """The clip embedder of a profile: the stand-in shipped with the package, or the real model.

    model: another one in its place, ID@COMMIT, a local folder, "poses" or "pixels"; in the demo it sees as few pixels
    as the stand-in. MBREPRO_MODEL, an id or a folder, takes the place of the real model in both protocols.
    """
    paths.check_profile(profile)
    if profile == "demo":
        return EmbedderSettings(model=model or STAND_IN, max_pixels=STAND_IN_PIXELS)
    theirs = PUBLISHED_MODEL if protocol == "published" else CORRECTED_MODEL
    return EmbedderSettings(model=model or os.environ.get("MBREPRO_MODEL") or theirs, dtype="auto", device="auto")


def training_epochs(profile: str, network: str) -> int:
    """Passes over the train recordings for the "baseline" or the "localizer": those of `notebooks/parameters.yml`."""
    paths.check_profile(profile)
    return cascade(profile)[{"baseline": "baseline_epochs", "localizer": "epochs"}[network]]
