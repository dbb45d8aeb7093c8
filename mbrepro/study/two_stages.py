"""Rows "clip" and "pose_vlm": both stages, and what their proposals watch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro.data.clips import clip_frames
from mbrepro.data.recordings import Dataset, Recording, behaviours
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.method import pipeline
from mbrepro.method.localizer import PoseCNN
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import Proposed, clips_for_head, localize_action, propose
from mbrepro.method.protocols import Protocol
from mbrepro.method.together import embed_together
from mbrepro.study.results import Run


def two_stages(
    data: Dataset, protocol: Protocol, embedder: ClipEmbedder, seeds: int, folder: Path
) -> tuple[list[Run], list[Run]]:
    """Rows "clip" and "pose_vlm": classes of the test clips that hold a behaviour, and of every test frame.

    Stage 1 is trained on every train recording, the head and the test on those with video. Each seed has its own
    network, proposals and head.
    """
    clips, frames = [], []
    models = train_localizers(data, protocol.localizer, protocol.validation_fraction, range(seeds), folder)
    for seed, scored in by_seed(data.filmed(), models, protocol, embedder, folder):
        named = tuple(pipeline.name_clips(*one) for one in scored)
        written = tuple(pipeline.write_frames(*one, protocol) for one in scored)
        clips.append(Run(seed, data.task, data.classes, named))
        frames.append(Run(seed, data.task, data.classes, written))
    return clips, frames


def by_seed(
    data: Dataset, models: Sequence[PoseCNN], protocol: Protocol, embedder: ClipEmbedder, folder: Path,
    localize: Callable[[PoseCNN, Recording], np.ndarray] = localize_action,
) -> Iterator[tuple[int, list[tuple[Proposed, np.ndarray]]]]:  # fmt: skip
    """Each seed, and the proposals of every test recording with their class scores (N, C) by a head of its own.

    models: the localizer of each seed. localize: its P(action) (T,) of a recording. Every recording needs video.
    """
    learned = [[clips_for_head(r, partial(localize, model, r), protocol) for r in data.train] for model in models]
    proposed = [[propose(r, localize(model, r), protocol) for r in data.test] for model in models]
    pipeline.check_view(protocol, embedder)
    embed_together(chain(*learned, *proposed), protocol.clips, embedder, folder)
    for seed, (train, test) in enumerate(zip(learned, proposed, strict=True)):
        head = pipeline.train_head(train, protocol, embedder, folder, seed)
        yield seed, [(one, head.scores(pipeline.embed(one, protocol, embedder, folder))) for one in test]


def with_view(data: Dataset, protocol: Protocol, embedder: ClipEmbedder, folder: Path) -> Protocol:
    """The protocol with the view that "auto" stands for: that of highest F1 on held-out train animals of `data` (first
    seed's stage 1), the embedder's first if two are equal.
    """
    if protocol.view != "auto":
        return protocol
    (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
    scores = pipeline.view_scores(data.filmed(), model, protocol, embedder, folder)
    return replace(protocol, view=max(scores, key=scores.get))


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


ALWAYS = "always"  # as a protocol: the trivial answer


def always(runs: Sequence[Run]) -> list[Run]:
    """The same units, all called the behaviour that is most frequent among them, none likelier than another."""
    said = []
    for run in runs:
        true = np.concatenate([v.labelled().true for v in run.videos])
        most = max(map(run.classes.index, behaviours(run.classes)), key=lambda k: (true == k).sum())
        videos = [
            replace(v, labels=np.full_like(v.labels, most), scores=np.ones_like(v.scores), fps=None) for v in run.videos
        ]
        said.append(replace(run, videos=tuple(videos)))
    return said


def share_watched(data: Dataset, protocols: Mapping[str, Protocol], folder: Path) -> dict[str, float]:
    """Share of the test recordings' time that the clips of stage 2 cover, each second counted once (first seed)."""
    shares = {}
    for name, protocol in protocols.items():
        (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
        seen = total = 0
        for recording in data.filmed().test:
            watched = np.zeros(len(recording), bool)
            for start in propose(recording, localize_action(model, recording), protocol).starts:
                first, *_, last = clip_frames(start, recording, protocol.clips)
                watched[first : last + 1] = True
            seen, total = seen + watched.sum(), total + len(recording)
        shares[name] = float(seen / total)
    return shares
