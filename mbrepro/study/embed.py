"""All the clips that the study will need, embedded ahead of it: alone, as a share of many jobs, or by Ray."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbrepro import paths
from mbrepro.data.recordings import TASK3_BEHAVIOURS, Dataset, Recording
from mbrepro.embedding import load_embedder
from mbrepro.errors import InputError
from mbrepro.method import protocols
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import localize_action, propose, propose_for_head
from mbrepro.method.protocols import Protocol
from mbrepro.method.together import embed_together
from mbrepro.study import poster
from mbrepro.study.few_shot import filmed_tasks
from mbrepro.study.profiles import embedder_settings, load_dataset, training_epochs


@dataclass(frozen=True, eq=False)
class Job:
    """The clips of one recording that are embedded together, by first frame."""

    recording: Recording
    starts: list[int]


def filmed_sets(
    profile: str, name: str, tasks: Sequence[str], scale: float = 1.0, videos: Sequence[str] | None = None
) -> list[tuple[Dataset, Protocol]]:
    """The recordings whose clips a protocol's rows embed, with their row's protocol; see `plan`.

    videos: names of Task 1's recordings that will have video; None for those that have it now.
    """
    sets = []
    if "task1" in tasks:
        data = load_dataset("task1", profile, scale)
        if videos is None:
            data = data.filmed()
        else:
            train, test = (tuple(r for r in part if r.name in videos) for part in (data.train, data.test))
            data = replace(data, train=train, test=test)
        sets.append((data, _protocol(profile, name)))
    if "task3" in tasks:
        behaviours = TASK3_BEHAVIOURS if name == "corrected" else [poster.FEW_SHOT_BEHAVIOUR]
        loaded = [load_dataset(f"task3/{behaviour}", profile, scale) for behaviour in behaviours]
        few_shot = _protocol(profile, f"{name}_few_shot")
        sets += [(task, few_shot) for task in filmed_tasks(loaded)]
    return sets


def _protocol(profile: str, name: str) -> Protocol:
    settings = embedder_settings(profile, name.removesuffix("_few_shot"))
    return getattr(protocols, name)(settings, training_epochs(profile, "localizer"))


def plan(
    profile: str, name: str, seeds: int, tasks: Sequence[str] = ("task1", "task3"), scale: float = 1.0
) -> tuple[Protocol, list[Job]]:
    """What the study's rows under the protocol "published" or "corrected" embed: recordings and first frames.

    tasks: "task1" for the clip and pose_vlm rows, "task3" for few_shot. Stage 1 is trained here if it was not before.
    Recordings with most clips come first, so that shares of every n-th are of about one size.
    """
    protocol, data, folder = _protocol(profile, name), load_dataset("task1", profile, scale), paths.artifacts(profile)
    models = train_localizers(data, protocol.localizer, protocol.validation_fraction, range(seeds), folder)
    jobs = []
    for dataset, chosen in filmed_sets(profile, name, tasks, scale):
        wanted = [(r, [propose_for_head(r, model, chosen) for model in models]) for r in dataset.train]
        wanted += [(r, [propose(r, localize_action(model, r), chosen) for model in models]) for r in dataset.test]
        jobs += [Job(r, np.unique(np.concatenate([p.starts for p in by_seed])).tolist()) for r, by_seed in wanted]
    return protocol, sorted((job for job in jobs if job.starts), key=lambda job: (-len(job.starts), job.recording.name))


def shard(jobs: Sequence[Job], share: str) -> list[Job]:
    """The share "i/n" of the jobs: every n-th from the i-th on, counted from 1. Raises InputError for another text."""
    number, _, of = share.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise InputError(f"--shard takes I/N, such as 1/3 for the first of three shares, not {share!r}")
    return list(jobs[int(number) - 1 :: int(of)])


def run(jobs: Sequence[Job], protocol: Protocol, profile: str, engine: str = "local", workers: int = 1) -> None:
    """Embed the clips of jobs into the profile's store; what is in it already is left as it is."""
    folder = paths.artifacts(profile)
    if engine == "ray":
        from mbrepro.embedding.distributed import embed_with_ray

        embed_with_ray([(j.recording, j.starts) for j in jobs], protocol.clips, protocol.embedder, folder, workers)
        return
    embed_together(jobs, protocol.clips, load_embedder(protocol.embedder), folder)
