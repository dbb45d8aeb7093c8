"""One ladder from the published protocol to the corrected one: each correction made alone, so that it has its worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd

from mbrepro.data.recordings import Dataset
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import ClipEmbedder, EmbedderSettings
from mbrepro.method import protocols
from mbrepro.method.protocols import Protocol
from mbrepro.metrics.frames import evaluate
from mbrepro.study.profiles import embedder_settings
from mbrepro.study.results import Run
from mbrepro.study.two_stages import two_stages

PUBLISHED = "as published"
FIGURES = ["F1", "F1 sd", "MAP", "MAP sd"]
# What each step changes, in the order of a clip's way: when it is cut, what is shown of it, where it is read, which
# clips there are, what the head learns from, and where its answer is written. Clips get the proposals' length and
# place in one step, for a proposal is made as long as a clip. Steps in which two protocols agree are left out.
STEPS: dict[str, tuple[str, ...]] = {
    "stage 1's epochs chosen": ("localizer", "validation_fraction"),
    "clips at their true time": ("clips.assumed_fps",),
    "more frames a second": ("clips.sampled_fps", "clips.min_frames"),
    "a square round both mice": ("clips.crop", "clips.crop_pixels", "clips.crop_padding"),
    "another model": ("embedder",),
    "mean over the video's tokens": ("view",),
    "short proposals, clips in their middle": ("rule", "clips.seconds", "anchor"),
    "another head": ("head",),
    "head learns from labelled bouts too, and what is none": ("head_clips", "counter_examples"),
    "written over the whole proposal": ("written",),
}


def corrections(
    published: Protocol, corrected: Protocol, steps: Mapping[str, Sequence[str]] = STEPS
) -> dict[str, Protocol]:
    """The protocols from `published` to `corrected` by what was changed last, step upon step; the first is published.

    steps: what each changes, as in `STEPS`; together every setting of a protocol.
    """
    made, protocol = {PUBLISHED: published}, published
    for step, names in steps.items():
        changed = protocol
        for name in names:
            changed = _with(changed, corrected, name)
        if changed != protocol:
            made[step] = protocol = changed
    last = next(reversed(made))
    made[last] = replace(made[last], name=corrected.name)
    return made


def of_profile(profile: str, epochs: int) -> dict[str, Protocol]:
    """The `corrections` between a profile's own protocols, with stage 1 trained for so many epochs."""
    published = protocols.published(embedder_settings(profile, "published"), epochs)
    return corrections(published, protocols.corrected(embedder_settings(profile, "corrected"), epochs))


def _with(protocol: Protocol, source: Protocol, name: str) -> Protocol:
    """The protocol with one field of another, "clips.crop" being the field `crop` of its `clips`."""
    outer, _, inner = name.partition(".")
    value = getattr(source, outer)
    if inner:
        value = replace(getattr(protocol, outer), **{inner: getattr(value, inner)})
    return replace(protocol, **{outer: value})


def correction_scores(
    data: Dataset,
    steps: Mapping[str, Protocol],
    seeds: int,
    folder: Path,
    embedder_of: Callable[[EmbedderSettings], ClipEmbedder] | None = None,
) -> pd.DataFrame:
    """CalMS21's F1 and MAP of the end-to-end row under each protocol, a line each.

    steps: as of `corrections`; views are named, not "auto". embedder_of: loads an embedder, called once for each
    different one. Returns columns step, F1, F1 sd, F1 gain, MAP, MAP sd, MAP gain: means and population sd over seeds,
    and what the step added to the line before it (NaN in the first).
    """
    embedder_of, lines = cache(embedder_of or load_embedder), []
    for step, protocol in steps.items():
        _, frames = two_stages(data, protocol, embedder_of(protocol.embedder), seeds, folder)
        lines.append([step, *mean_and_sd(frames)])
    return with_gains(lines)


def with_gains(lines: Sequence[Sequence[object]]) -> pd.DataFrame:
    """The table of `correction_scores` from its lines, a step's name and its `FIGURES` each."""
    table = pd.DataFrame(lines, columns=["step", *FIGURES])
    table.insert(3, "F1 gain", table["F1"].diff())
    table.insert(6, "MAP gain", table["MAP"].diff())
    return table


def mean_and_sd(runs: Sequence[Run], metrics: Sequence[str] = ("f1", "map")) -> list[float]:
    """`FIGURES` of a row: CalMS21's F1 and MAP, each with its population sd over seeds; of several tasks their mean.

    metrics: what is read as F1 and as MAP.
    """
    scores = by_seed(runs)[list(metrics)].groupby([run.seed for run in runs]).mean()
    return [part for metric in metrics for part in (scores[metric].mean(), scores[metric].std(ddof=0))]


def by_seed(runs: Sequence[Run]) -> pd.DataFrame:
    """Every metric of `evaluate` of each run, a line a run."""
    return pd.DataFrame([evaluate(*run.arrays(), run.classes) for run in runs])
