"""Work on many machines with Ray, an optional extra; stage 2 with Ray Data, one model in each worker."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch

from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Recording
from mbrepro.embedding import check_embedder, load_embedder
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.store import embed_recording
from mbrepro.errors import InputError


class Worker:
    """A process that has loaded the model once and embeds one recording after another into the store."""

    def __init__(
        self, jobs: object, settings: ClipSettings, embedder: EmbedderSettings, folder: Path, threads: int
    ) -> None:
        import ray

        torch.set_num_threads(threads)  # Ray gives every worker one
        self.jobs, self.settings, self.folder = ray.get(jobs), settings, folder
        self.embedder = load_embedder(embedder)

    def __call__(self, batch: dict) -> dict:
        for number in batch["job"]:
            recording, starts = self.jobs[number]
            embed_recording(recording, starts, self.settings, self.embedder, self.folder)
        return batch


def embed_with_ray(
    jobs: Sequence[tuple[Recording, Sequence[int]]], settings: ClipSettings, embedder: EmbedderSettings, folder: Path,
    workers: int,
) -> int:  # fmt: skip
    """Embed recordings' clips into a folder that all machines see; returns how many recordings were done.

    A worker that dies is started again and its recording taken up where its stored blocks end. Joins the cluster that
    RAY_ADDRESS names, or starts Ray on this machine, for this machine alone. Raises InputError if Ray is not installed,
    workers is below 1, or a worker cannot load the model or read a recording.
    """
    check_embedder(embedder, memory=False)
    ray = joined(workers)
    gpus = int(embedder.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0)
    ray.data.DataContext.get_current().enable_progress_bars = False
    shared = ray.put(list(jobs))
    rows = ray.data.from_items([{"job": number} for number in range(len(jobs))], override_num_blocks=len(jobs))
    done = rows.map_batches(
        Worker, fn_constructor_args=(shared, settings, embedder, Path(folder).resolve(), torch.get_num_threads()),
        batch_size=1, compute=ray.data.ActorPoolStrategy(size=workers), num_cpus=None if gpus else 1, num_gpus=gpus,
    )  # fmt: skip
    try:
        return len(done.take_all())
    except ray.exceptions.RayError as error:
        told = re.search(r"InputError: (.+)", str(error))  # Ray hands on a worker's error as text
        if told is None:
            raise
        raise InputError(told[1]) from None


def joined(workers: int) -> ModuleType:
    """Ray, in the cluster that RAY_ADDRESS names or else started here; InputError if it is missing or workers < 1."""
    if workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}")
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("ray is not installed: run make extras, or leave --engine at local") from None
    if not ray.is_initialized():
        _start(ray, workers)
    return ray


def _start(ray: ModuleType, workers: int) -> None:
    # Ray would report its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A place for each worker, and one for the task that lists what there is to do. Whoever reaches Ray's ports can run
    # code here, so they are this machine's alone.
    alone = {"num_cpus": workers + 1, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    ray.init(log_to_driver=False, **({} if os.environ.get("RAY_ADDRESS") else alone))
