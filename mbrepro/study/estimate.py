"""How long stage 2 will take, told before it starts."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd
import torch

from mbrepro import paths
from mbrepro.data.recordings import FRAME_SIZE, Dataset, Recording
from mbrepro.embedding import checkpoint, cost, embedder_class
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method.proposals import propose
from mbrepro.method.protocols import Protocol, corrected
from mbrepro.study.corrections import corrections
from mbrepro.study.embed import filmed_sets
from mbrepro.study.results import PROTOCOLS

STEPS = "page 08's steps"
PATIENCE_HOURS = 1.0  # a CPU is asked to work this long without being told to


def estimate(
    profile: str, seeds: int, videos: Sequence[str] | None = None, tasks: Sequence[str] = ("task1",),
    scale: float = 1.0, names: Sequence[str] = (*PROTOCOLS, STEPS),
) -> pd.DataFrame:  # fmt: skip
    """Clips, tokens a clip, TFLOP and hours on this machine of stage 2, a line for each protocol.

    `STEPS` is what page 08 embeds besides, between the two. Proposals are not known before stage 1 is trained, so those
    of a stage 1 without errors are counted, for every seed. videos: names of Task 1's recordings whose video will be
    there; None for those that have it now. tasks, scale: as of `embed.plan`. The hours are what the matrix products
    alone would take at the speed measured on the device just now, so a lower bound. Raises InputError if a model cannot
    be found or is of a kind that is not supported.
    """
    sets = {
        name: _steps(profile, scale, videos) if name == STEPS else filmed_sets(profile, name, tasks, scale, videos)
        for name in names
    }
    return _costs(sets, seeds)


def of_own(recordings: Sequence[Recording], model: EmbedderSettings) -> pd.DataFrame:
    """As `estimate`, a line "own": each clip once that the corrected protocol cuts from one's own filmed recordings."""
    filmed = tuple(r for r in recordings if r.video is not None)
    data = Dataset(paths.OWN, recordings[0].classes, (), filmed, "")
    return _costs({paths.OWN: [(data, corrected(model, 1))]}, 1)


def _costs(by_name: Mapping[str, Sequence[tuple[Dataset, Protocol]]], seeds: int) -> pd.DataFrame:
    speed_on, rows = cache(cost.measured_tflops), {}
    for name, sets in by_name.items():
        clips, tflop, hours = 0, 0.0, 0.0
        for data, protocol in sets:
            settings = protocol.embedder
            device, dtype = checkpoint.choose_device(settings.device, settings.dtype)
            tokens, each = embedder_class(settings.model).cost(settings, protocol.clips, FRAME_SIZE[::-1])
            found = _count(data, protocol, seeds)
            clips, tflop = clips + found, tflop + found * each
            hours += found * each / speed_on(device, getattr(torch, dtype)) / 3600
        rows[name] = [settings.model, device, clips, tokens, tflop, hours]
    return pd.DataFrame.from_dict(rows, "index", columns=["model", "device", "clips", "tokens", "TFLOP", "hours"])


def _count(data: Dataset, protocol: Protocol, seeds: int) -> int:
    train, test = (
        sum(len(propose(r.action.astype(np.float32), protocol.rule, r.fps)) for r in part)
        for part in (data.train, data.test)
    )
    learned = {"localized": seeds, "labelled": 1, "both": seeds + 1}[protocol.head_clips]
    return seeds * test + learned * train


def _steps(profile: str, scale: float, videos: Sequence[str] | None) -> list[tuple[Dataset, Protocol]]:
    """The steps between the protocols that embed what none before them did, with the recordings they are run on."""
    ((data, published),), ((_, corrected),) = (
        filmed_sets(profile, name, ["task1"], scale, videos) for name in PROTOCOLS
    )
    told = ("localizer", "validation_fraction", "clips", "embedder", "rule", "anchor", "head_clips")
    by_clips = {tuple(getattr(p, name) for name in told): p for p in corrections(published, corrected).values()}
    for protocol in (published, corrected):
        by_clips.pop(tuple(getattr(protocol, name) for name in told), None)
    return [(data, protocol) for protocol in by_clips.values()]


def refuse_slow(costs: pd.DataFrame) -> None:
    """Raise InputError if a CPU would work for longer than `PATIENCE_HOURS`."""
    hours = costs.loc[costs["device"] == "cpu", "hours"].sum()
    if hours > PATIENCE_HOURS:
        raise InputError(
            f"torch finds no CUDA GPU here, and on this CPU stage 2 would take at least {hours:,.0f} hours "
            f"({costs['clips'].sum():,} clips); use a machine with a GPU, or go on all the same with --cpu "
            "(make reproduce … CPU=1)"
        )
