"""The two profiles: where recordings and model come from. Neither can pass for the other."""

import os
from pathlib import Path

from mbrepro import paths
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.standin import STAND_IN_PIXELS
from mbrepro.errors import InputError
from mbrepro.recordings import Dataset
from mbrepro.sources.calms21 import load_calms21
from mbrepro.sources.simulated import DemoSettings, demo_dataset

PUBLISHED_MODEL = "Qwen/Qwen2-VL-2B-Instruct"  # the model the poster's code loads: 1536 values per token
CORRECTED_MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"


def load_dataset(task: str, profile: str, scale: float = 1.0) -> Dataset:
    """Recordings of a task, "task1" or "task3/BEHAVIOUR".

    demo: simulated and rendered on first use; `scale` times the number of recordings.
    calms21: read from the folder named by MBREPRO_CALMS21, in the released layout.
    """
    paths.check_profile(profile)
    if profile == "demo":
        return demo_dataset(task, DemoSettings().scaled(scale), paths.artifacts("demo") / "recordings")
    folder = os.environ.get("MBREPRO_CALMS21")
    if not folder:
        raise InputError("profile calms21 needs the unpacked CalMS21 release: make reproduce CALMS21=FOLDER")
    return load_calms21(Path(folder), task)


def embedder_settings(profile: str, protocol: str) -> EmbedderSettings:
    """The clip embedder of a profile: the stand-in shipped with the package, or the real model.

    MBREPRO_MODEL, a hub id or a local folder, takes the place of the real model in both protocols.
    """
    paths.check_profile(profile)
    if profile == "demo":
        return EmbedderSettings(model="stand-in", max_pixels=STAND_IN_PIXELS)
    model = os.environ.get("MBREPRO_MODEL") or (PUBLISHED_MODEL if protocol == "published" else CORRECTED_MODEL)
    return EmbedderSettings(model=model, dtype="auto", device="auto")


def training_epochs(profile: str, network: str) -> int:
    """Passes over the train recordings for the "baseline" or the "localizer".

    calms21: the official 15. The demo has a thirteenth of its frames: four classes need more than 15 passes to make
    enough optimizer steps, two classes settle sooner.
    """
    paths.check_profile(profile)
    return {"demo": {"baseline": 40, "localizer": 12}, "calms21": {"baseline": 15, "localizer": 15}}[profile][network]
