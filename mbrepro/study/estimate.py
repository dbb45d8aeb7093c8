"""How long stage 2 will take, told before it starts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from mbrepro.data.recordings import FRAME_SIZE
from mbrepro.embedding import checkpoint, cost, embedder_class
from mbrepro.errors import InputError
from mbrepro.method.proposals import propose
from mbrepro.study.embed import filmed_sets
from mbrepro.study.profiles import embedder_settings
from mbrepro.study.results import PROTOCOLS

PATIENCE_HOURS = 1.0  # a CPU is asked to work this long without being told to


def estimate(
    profile: str, seeds: int, videos: Sequence[str] | None = None, tasks: Sequence[str] = ("task1",),
    scale: float = 1.0, names: Sequence[str] = PROTOCOLS,
) -> pd.DataFrame:  # fmt: skip
    """Clips, tokens a clip, TFLOP and hours on this machine of stage 2, a line for each protocol.

    Proposals are not known before stage 1 is trained, so those of a stage 1 without errors are counted, for every seed.
    videos: names of Task 1's recordings whose video will be there; None for those that have it now. tasks, scale: as
    of `embed.plan`. The hours are what the matrix products alone would take at the speed measured on the device just
    now, so a lower bound. Raises InputError if a model cannot be found or is of a kind that is not supported.
    """
    rows = {}
    for name in names:
        settings = embedder_settings(profile, name)
        device, dtype = checkpoint.choose_device(settings.device, settings.dtype)
        speed = cost.measured_tflops(device, getattr(torch, dtype))
        clips = tflop = tokens = 0
        for data, protocol in filmed_sets(profile, name, tasks, scale, videos):
            embedder = protocol.embedder
            tokens, each = embedder_class(embedder.model).cost(embedder, protocol.clips, FRAME_SIZE[::-1])
            train, test = (
                sum(len(propose(r.action.astype(np.float32), protocol.rule, r.fps)) for r in part)
                for part in (data.train, data.test)
            )
            found = seeds * test + train * (seeds if protocol.head_clips == "localized" else 1)
            clips, tflop = clips + found, tflop + found * each
        rows[name] = [settings.model, device, clips, tokens, tflop, tflop / speed / 3600]
    return pd.DataFrame.from_dict(rows, "index", columns=["model", "device", "clips", "tokens", "TFLOP", "hours"])


def refuse_slow(costs: pd.DataFrame) -> None:
    """Raise InputError if a CPU would work for longer than `PATIENCE_HOURS`."""
    hours = costs.loc[costs["device"] == "cpu", "hours"].sum()
    if hours > PATIENCE_HOURS:
        raise InputError(
            f"torch finds no CUDA GPU here, and on this CPU stage 2 would take at least {hours:,.0f} hours "
            f"({costs['clips'].sum():,} clips); use a machine with a GPU, or go on all the same with --cpu "
            "(make reproduce … CPU=1)"
        )
