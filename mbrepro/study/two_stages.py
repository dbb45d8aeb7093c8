"""Rows "clip" and "pose_vlm": both stages, and what their proposals watch."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mbrepro.data.clips import clip_frames
from mbrepro.data.recordings import Dataset
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.method.localizer import PoseCNN
from mbrepro.method.pipeline import (
    ProposedClips,
    choose_view,
    classify_clips,
    clip_starts,
    fit_clip_head,
    label_frames,
    localize_action,
    proposed_for_seeds,
    train_clips_for_seeds,
    train_localizers,
)
from mbrepro.method.proposals import propose
from mbrepro.method.protocols import Protocol
from mbrepro.study.results import Run


def two_stages(
    data: Dataset, protocol: Protocol, embedder: ClipEmbedder, seeds: int, folder: Path
) -> tuple[list[Run], list[Run]]:
    """Rows "clip" and "pose_vlm": classes of the test clips that hold a behaviour, and of every test frame.

    Stage 1 is trained on every train recording, the head and the test on those with video.
    """
    clips, frames, filmed = [], [], data.filmed()
    models = train_localizers(data, protocol.localizer, protocol.validation_fraction, range(seeds), folder)
    for seed, train, test in clips_by_seed(filmed, models, protocol, embedder, folder):
        head = fit_clip_head(train, protocol, seed)
        clips.append(Run(seed, data.task, data.classes, tuple(classify_clips(c, head) for c in test)))
        labelled = tuple(label_frames(c, head.scores(c.embeddings), protocol) for c in test)
        frames.append(Run(seed, data.task, data.classes, labelled))
    return clips, frames


def clips_by_seed(
    data: Dataset, models: Sequence[PoseCNN], protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> Iterator[tuple[int, list[ProposedClips], list[ProposedClips]]]:
    """Each seed with the clips its head is trained on and those it is asked about."""
    train = train_clips_for_seeds(data, models, protocol, embedder, folder)
    test = proposed_for_seeds(data, models, protocol, embedder, folder)
    return tqdm(zip(range(len(models)), train, test, strict=True), "seeds", len(models), disable=None)


def with_view(data: Dataset, protocol: Protocol, embedder: ClipEmbedder, folder: Path) -> Protocol:
    """The protocol with the view that "auto" stands for, chosen on train animals of `data` (first seed's stage 1)."""
    if protocol.view != "auto":
        return protocol
    (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
    return choose_view(data.filmed(), model, protocol, embedder, folder)


def trivial_accuracy(runs_by_protocol: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Accuracy of the head, and of always saying the class most frequent among the same clips; means over seeds."""
    rows = {}
    for protocol, runs in runs_by_protocol.items():
        true = [np.concatenate([v.true for v in run.videos]) for run in runs]
        said = [np.concatenate([v.labels for v in run.videos]) for run in runs]
        rows[protocol] = {
            "clips a seed": np.mean([len(t) for t in true]),
            "head": np.mean([(t == p).mean() if len(t) else np.nan for t, p in zip(true, said, strict=True)]),
            "always the most frequent": np.mean([np.bincount(t).max() / len(t) if len(t) else np.nan for t in true]),
        }
    return pd.DataFrame(rows).T


def share_watched(data: Dataset, protocols: Mapping[str, Protocol], folder: Path) -> dict[str, float]:
    """Share of the test recordings' time that the clips of stage 2 cover, each second counted once (first seed)."""
    shares = {}
    for name, protocol in protocols.items():
        (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
        seen = total = 0
        for recording in data.filmed().test:
            starts = clip_starts(propose(localize_action(model, recording), protocol.rule), recording, protocol)
            watched = np.zeros(len(recording), bool)
            for start in starts:
                first, *_, last = clip_frames(start, recording, protocol.clips)
                watched[first : last + 1] = True
            seen, total = seen + watched.sum(), total + len(recording)
        shares[name] = float(seen / total)
    return shares
