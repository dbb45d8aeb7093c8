"""Row "few_shot": new behaviours from few recordings; and what each part of the published row costs it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro.data.recordings import Dataset, Recording
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import POSES, ClipEmbedder, EmbedderSettings
from mbrepro.method import stage1
from mbrepro.method.localizer import PoseCNN, action_probability
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import localize_action, propose, write_frames
from mbrepro.method.protocols import Protocol
from mbrepro.method.stage1 import Job
from mbrepro.study.corrections import corrections, mean_and_sd, with_gains
from mbrepro.study.results import READINGS, Run, score
from mbrepro.study.two_stages import by_seed

# What `step_scores` changes of the published protocol, as `corrections.STEPS`: fewer steps, as each is embedded for
# every behaviour.
STEPS = {
    "short proposals, clips in their middle": (
        "localizer", "validation_fraction", "rule", "clips.seconds", "anchor", "written", "head_clips",
        "counter_examples",
    ),
    "true time, both mice, more frames": (
        "clips.assumed_fps", "clips.sampled_fps", "clips.min_frames", "clips.crop", "clips.crop_pixels",
        "clips.crop_padding",
    ),
    "corrected model and view": ("embedder", "view"),  # a model may lack the published view
    "another head than one neighbour": ("head",),
}  # fmt: skip


def few_shot(
    data: Dataset, tasks: Sequence[Dataset], protocol: Protocol, embedder: ClipEmbedder, seeds: int, folder: Path,
    localize: Callable[[PoseCNN, Recording], np.ndarray] = localize_action,
) -> list[Run]:  # fmt: skip
    """Row "few_shot": new behaviours from few recordings; the localizer is the one trained on Task 1, `data`.

    tasks: those whose every recording has video (`filmed_tasks`); without any there are no runs. localize: P(action)
    (T,) of a recording by the localizer.
    """
    runs = []
    if not tasks:
        return runs
    models = train_localizers(data, protocol.localizer, protocol.validation_fraction, range(seeds), folder)
    for task in tasks:
        for seed, scored in by_seed(task, models, protocol, embedder, folder, localize):
            written = tuple(write_frames(*one, protocol) for one in scored)
            runs.append(Run(seed, task.task, task.classes, written))
    return runs


def filmed_tasks(tasks: Sequence[Dataset]) -> list[Dataset]:
    """Of each task the recordings with video; tasks that have none of them in a split are left out."""
    return [t.filmed() for t in tasks if all(any(r.video for r in part) for part in (t.train, t.test))]


def reach(
    data: Dataset, tasks: Sequence[Dataset], protocol: Protocol, runs: Sequence[Run], folder: Path
) -> pd.DataFrame:
    """How much of each behaviour stage 1 lets through (first seed), and what stage 2 made of it (mean over seeds)."""
    (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
    rows = {}
    for task in tasks:
        inside = behaviour = frames = 0
        for recording in task.test:
            reached = np.zeros(len(recording), bool)
            for proposal in propose(recording, localize_action(model, recording), protocol).proposals:
                reached[proposal.start : proposal.stop] = True
            inside += (reached & recording.action).sum()
            behaviour, frames = behaviour + recording.action.sum(), frames + len(recording)
        mine = score("few_shot", protocol.name, [r for r in runs if r.task == task.task]).set_index("metric")["mean"]
        share = behaviour / frames
        rows[task.behaviours[0]] = [inside / behaviour, mine["f1"], mine["map"], 2 * share / (1 + share), share]
    columns = ["inside a proposal", "F1", "average precision", "F1 of always", "average precision of chance"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)


def step_scores(
    data: Dataset, tasks: Sequence[Dataset], named: str, published: Protocol, corrected: Protocol, seeds: int,
    folder: Path, embedder_of: Callable[[EmbedderSettings], ClipEmbedder] = load_embedder,
) -> pd.DataFrame:  # fmt: skip
    """The published row of behaviour `named` taken apart, one change upon another: a table as of `correction_scores`.

    The changes: from another recording's video, as the poster's code may have paired them (`mispaired`), to its own;
    from the poster's metric to CalMS21's; all of `tasks`, means over them; the protocol, by `STEPS`; poses in place of
    the embedding; and in place of what stage 1 proposes what boosted features do (`boosted`), and clips over
    everything. Steps that change nothing are left out.
    """
    one = [task for task in tasks if task.behaviours[0] == named]
    poses, embedder_of = corrected.with_model(POSES, "pose"), cache(embedder_of)

    def figures(
        tasks: Sequence[Dataset], protocol: Protocol, metrics: Sequence[str] = ("f1", "map"),
        localize: Callable[[PoseCNN, Recording], np.ndarray] = localize_action,
    ) -> list[float]:  # fmt: skip
        runs = few_shot(data, tasks, protocol, embedder_of(protocol.embedder), seeds, folder, localize)
        return mean_and_sd(runs, metrics)

    lines, poster = [], list(READINGS["few_shot", "published"].values())
    if one:
        if swapped := mispaired(one[0], data):
            lines.append(["as published, another's video", *figures([swapped], published, poster)])
        lines.append(["its own video", *figures(one, published, poster)])
        lines.append(["average precision for MAP", *figures(one, published)])
    first, *steps = corrections(published, corrected, STEPS).items()
    if len(tasks) > len(one):
        lines.append([f"all {len(tasks)} behaviours" if one else first[0], *figures(tasks, first[1])])
    lines += [[step, *figures(tasks, protocol)] for step, protocol in steps]
    lines.append(["poses in place of the embedding", *figures(tasks, poses)])
    lines.append(["proposals of boosted features", *figures(tasks, poses, localize=boosted(data, tasks, folder))])
    lines.append(["clips over everything", *figures(tasks, poses, localize=everywhere)])
    return with_gains(lines)


def boosted(data: Dataset, tasks: Sequence[Dataset], folder: Path) -> Callable[[PoseCNN, Recording], np.ndarray]:
    """P(action) (T,) of the tasks' recordings by boosted features, trained on `data` as the network was."""
    others = tuple({r.name: r for task in tasks for r in task.recordings}.values())
    (scores,) = stage1.scored([Job("boosting", None, 0, data.train, others)], folder)
    found = {r.name: action_probability(part) for r, part in zip(others, scores, strict=True)}
    return lambda _, recording: found[recording.name]


def everywhere(_: PoseCNN, recording: Recording) -> np.ndarray:
    """P(action) (T,) of a stage 1 that leaves nothing out."""
    return np.ones(len(recording), np.float32)


def mispaired(task: Dataset, data: Dataset) -> Dataset | None:
    """The task with another recording's video beside each of its own: one of `data` that is as long or longer.

    None where none is. The poster's code takes a Task 1 video of a sequence's length and is off by one in its number.
    """
    swapped = []
    for place, r in enumerate(task.recordings):
        others = [o.video for o in data.recordings if o.video not in (None, r.video) and len(o) >= len(r)]
        if not others:
            return None
        swapped.append(replace(r, video=others[place % len(others)], video_start=0))
    return replace(task, train=tuple(swapped[: len(task.train)]), test=tuple(swapped[len(task.train) :]))
