"""Row "few_shot": new behaviours from few recordings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro.data.recordings import Dataset
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import localize_action, propose, write_frames
from mbrepro.method.protocols import Protocol
from mbrepro.study.results import Run, score
from mbrepro.study.two_stages import by_seed


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
        for seed, scored in by_seed(task, models, protocol, embedder, folder):
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
