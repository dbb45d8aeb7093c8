"""Stage 2 on many machines with Ray Data, an optional extra: one model in each worker."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from mbrepro.clips import ClipSettings
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.store import embed_recording
from mbrepro.errors import InputError
from mbrepro.recordings import Recording


class Worker:
    """A process that has loaded the model once and embeds one recording after another into the store."""

    def __init__(self, jobs, settings: ClipSettings, embedder: EmbedderSettings, folder: Path, threads: int):
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
    jobs: Sequence[tuple[Recording, Sequence[int]]],
    settings: ClipSettings,
    embedder: EmbedderSettings,
    folder: Path,
    workers: int,
) -> int:
    """Embed recordings' clips into a folder that all machines see; returns how many recordings were done.

    A worker that dies is started again and its recording taken up where its stored blocks end. Joins the cluster that
    RAY_ADDRESS names, or starts Ray on this machine. Raises InputError if Ray is not installed or workers is below 1.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}")
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("ray is not installed: pip install 'mbrepro[ray]', or leave --engine at local") from None
    gpus = 1 if embedder.device != "cpu" and torch.cuda.is_available() else 0
    cpus = None if gpus else 1
    if not ray.is_initialized():
        # Alone on this machine: a place for each worker, and one for the task that lists what there is to do.
        alone = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers + 1, "include_dashboard": False}
        ray.init(log_to_driver=False, **alone)
    ray.data.DataContext.get_current().enable_progress_bars = False
    shared = ray.put(list(jobs))
    rows = ray.data.from_items([{"job": number} for number in range(len(jobs))], override_num_blocks=len(jobs))
    done = rows.map_batches(
        Worker,
        fn_constructor_args=(shared, settings, embedder, Path(folder).resolve(), torch.get_num_threads()),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    return len(done.take_all())
