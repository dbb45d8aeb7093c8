"""The rows of the study's table: each function runs one row under one protocol and gives its predictions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mbrepro.clips import clip_frames
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.localizer import LOCALIZER_CLASSES, LocalizerSettings, PoseCNN
from mbrepro.pipeline import (
    ProposedClips,
    choose_view,
    classify_clips,
    clip_starts,
    fit_clip_head,
    label_frames,
    localize_action,
    predict_frames,
    proposed_for_seeds,
    train_clips_for_seeds,
    train_localizers,
)
from mbrepro.proposals import propose
from mbrepro.protocols import Protocol
from mbrepro.recordings import Dataset, Prediction, other_index
from mbrepro.results import Run, score

# What `views_compared` compares: how a clip is cut and sampled, and where its embedding is read.
WAYS = (("frame", 2.0), ("frame", 8.0), ("mice", 2.0), ("mice", 8.0), ("follow", 8.0))
COMPARED = ("vision", "video_50", "video_100", "last_100")


def baseline(
    data: Dataset, settings: LocalizerSettings, validation_fraction: float, seeds: int, folder: Path
) -> list[Run]:
    """Row "baseline": the pose network names every frame's class, no video looked at."""
    models = train_localizers(data, settings, validation_fraction, range(seeds), folder)
    runs = []
    for seed, model in enumerate(models):
        runs.append(Run(seed, data.task, data.classes, tuple(predict_frames(model, r) for r in data.test)))
    return runs


def localization(
    data: Dataset, settings: LocalizerSettings, validation_fraction: float, seeds: int, folder: Path
) -> list[Run]:
    """Row "localization": stage 1 tells action from other at every frame."""
    models = train_localizers(data, settings, validation_fraction, range(seeds), folder)
    runs = []
    for seed, model in enumerate(models):
        videos = []
        for recording in data.test:
            p_action = localize_action(model, recording)
            scores = np.stack([p_action, 1 - p_action], 1)
            videos.append(Prediction(recording.name, np.where(recording.action, 0, 1), scores.argmax(1), scores))
        runs.append(Run(seed, data.task, LOCALIZER_CLASSES, tuple(videos)))
    return runs


def two_stages(
    data: Dataset, protocol: Protocol, embedder: ClipEmbedder, seeds: int, folder: Path
) -> tuple[list[Run], list[Run]]:
    """Rows "clip" and "pose_vlm": classes of the test clips that hold a behaviour, and of every test frame.

    Stage 1 is trained on every train recording, the head and the test on those with video.
    """
    clips, frames, filmed = [], [], data.filmed()
    models = train_localizers(data, protocol.localizer, protocol.validation_fraction, range(seeds), folder)
    for seed, train, test in _clips_by_seed(filmed, models, protocol, embedder, folder):
        head = fit_clip_head(train, protocol, seed)
        clips.append(Run(seed, data.task, data.classes, tuple(classify_clips(c, head) for c in test)))
        labelled = tuple(label_frames(c, head.scores(c.embeddings), protocol) for c in test)
        frames.append(Run(seed, data.task, data.classes, labelled))
    return clips, frames


def few_shot(
    data: Dataset, tasks: Sequence[Dataset], protocol: Protocol, embedder: ClipEmbedder, seeds: int, folder: Path
) -> list[Run]:
    """Row "few_shot": new behaviours from few recordings; the localizer is the one trained on Task 1, `data`.

    tasks: those whose every recording has video (`filmed_tasks`); without any there are no runs.
    """
    runs = []
    if not tasks:
        return runs
    models = train_localizers(data, protocol.localizer, protocol.validation_fraction, range(seeds), folder)
    for task in tasks:
        for seed, train, test in _clips_by_seed(task, models, protocol, embedder, folder):
            head = fit_clip_head(train, protocol, seed)
            labelled = tuple(label_frames(c, head.scores(c.embeddings), protocol) for c in test)
            runs.append(Run(seed, task.task, task.classes, labelled))
    return runs


def _clips_by_seed(
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


def filmed_tasks(tasks: Sequence[Dataset]) -> list[Dataset]:
    """Of each task the recordings with video; tasks that have none of them in a split are left out."""
    return [t.filmed() for t in tasks if all(any(r.video for r in part) for part in (t.train, t.test))]


def collapsed(runs: Sequence[Run]) -> list[Run]:
    """A classifier's predictions read as a localizer's: any behaviour is action, its score the behaviours' sum."""
    out = []
    for run in runs:
        other = other_index(run.classes)
        videos = []
        for video in run.videos:
            scores = np.stack([1 - video.scores[:, other], video.scores[:, other]], 1)
            true, labels = (np.where(values != other, 0, 1) for values in (video.true, video.labels))
            videos.append(Prediction(video.name, true, labels, scores))
        out.append(Run(run.seed, run.task, LOCALIZER_CLASSES, tuple(videos)))
    return out


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


def views_compared(data: Dataset, protocol: Protocol, embedder: ClipEmbedder, seeds: int, folder: Path) -> pd.DataFrame:
    """CalMS21's F1 and MAP of the clip row under changes of one protocol, mean and sd over seeds; a line for each.

    Lines are what the clip shows (frame, mice or follow; 2 or 8 frames a second) by the view its embedding is. All
    views of one way to cut clips come from one pass over them; what was embedded before is read from the store.
    """
    rows = {}
    for crop, fps in WAYS:
        for view in COMPARED:
            changed = replace(protocol, view=view, clips=replace(protocol.clips, crop=crop, sampled_fps=fps))
            clips, _ = two_stages(data, changed, embedder, seeds, folder)
            found = score("clip", "corrected", clips, resamples=1).set_index("metric")
            figures = [found.loc[metric, part] for metric in ("f1", "map") for part in ("mean", "sd")]
            rows[crop, f"{fps:g}", view] = figures
    index = pd.MultiIndex.from_tuples(rows, names=["shown", "frames a second", "view"])
    return pd.DataFrame(rows.values(), index, ["F1", "F1 sd", "MAP", "MAP sd"])


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


def reach(
    data: Dataset, tasks: Sequence[Dataset], protocol: Protocol, runs: Sequence[Run], folder: Path
) -> pd.DataFrame:
    """How much of each behaviour stage 1 lets through (first seed), and what stage 2 made of it (mean over seeds)."""
    (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
    rows = {}
    for task in tasks:
        inside = behaviour = frames = 0
        for recording in task.test:
            proposed = np.zeros(len(recording), bool)
            for proposal in propose(localize_action(model, recording), protocol.rule):
                proposed[proposal.start : proposal.stop] = True
            inside += (proposed & recording.action).sum()
            behaviour, frames = behaviour + recording.action.sum(), frames + len(recording)
        mine = score("few_shot", protocol.name, [r for r in runs if r.task == task.task]).set_index("metric")["mean"]
        share = behaviour / frames
        rows[task.behaviours[0]] = [inside / behaviour, mine["f1"], mine["map"], 2 * share / (1 + share), share]
    columns = ["inside a proposal", "F1", "average precision", "F1 of always", "average precision of chance"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)
