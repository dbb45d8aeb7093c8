"""How long stage 2 will take, told before it starts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from mbrepro import protocols
from mbrepro.embedding import checkpoint, cost
from mbrepro.embedding.qwen import SUPPORTED
from mbrepro.errors import InputError
from mbrepro.profiles import embedder_settings, load_dataset
from mbrepro.proposals import propose
from mbrepro.protocols import Protocol
from mbrepro.recordings import FRAME_SIZE, Recording

PATIENCE_HOURS = 1.0  # a CPU is asked to work this long without being told to


def estimate(profile: str, seeds: int, videos: Sequence[str] | None = None) -> pd.DataFrame:
    """Clips, tokens a clip, TFLOP and hours on this machine of Task 1's stage 2, a line for each protocol.

    Proposals are not known before stage 1 is trained, so those of a stage 1 without errors are counted, for every seed.
    videos: names of the recordings whose video will be there; None for those that have it now. The hours are what the
    matrix products alone would take at the speed measured on the device just now, so a lower bound.
    """
    data = load_dataset("task1", profile)
    there = [r.name for r in data.recordings if r.video] if videos is None else videos
    filmed = [[r for r in part if r.name in there] for part in (data.train, data.test)]
    rows = {}
    for make in (protocols.published, protocols.corrected):
        protocol = make(embedder_settings(profile, make.__name__))
        config = checkpoint.read_config(checkpoint.find_config(protocol.embedder.model), SUPPORTED)
        device, dtype = checkpoint.choose_device(protocol.embedder.device, protocol.embedder.dtype)
        tokens = cost.clip_tokens(config, protocol.embedder, protocol.clips, FRAME_SIZE[::-1])
        train, test = (_clips(part, protocol) for part in filmed)
        clips = seeds * test + (seeds * train if protocol.head_clips == "localized" else train)
        tflop = clips * cost.clip_tflop(config, tokens)
        hours = tflop / cost.measured_tflops(device, getattr(torch, dtype)) / 3600
        rows[protocol.name] = [protocol.embedder.model, device, clips, tokens, tflop, hours]
    return pd.DataFrame.from_dict(rows, "index", columns=["model", "device", "clips", "tokens", "TFLOP", "hours"])


def _clips(recordings: Sequence[Recording], protocol: Protocol) -> int:
    return sum(len(propose(r.action.astype(np.float32), protocol.rule)) for r in recordings)


def refuse_slow(costs: pd.DataFrame) -> None:
    """Raise InputError if a CPU would work for longer than `PATIENCE_HOURS`."""
    hours = costs.loc[costs["device"] == "cpu", "hours"].sum()
    if hours > PATIENCE_HOURS:
        raise InputError(
            f"torch finds no CUDA GPU here, and on this CPU stage 2 would take at least {hours:,.0f} hours "
            f"({costs['clips'].sum():,} clips); use a machine with a GPU, or go on all the same with --cpu "
            "(make reproduce … CPU=1)"
        )
