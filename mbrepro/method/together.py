"""The clips of many proposals, embedded at once and ahead of their use."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from mbrepro.data.clips import ClipSettings
from mbrepro.data.processes import side_by_side
from mbrepro.data.recordings import Recording
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import ClipEmbedder, EmbedderSettings
from mbrepro.embedding.store import embed_recording, missing
from mbrepro.method.training import one_thread

WORTH = 200  # clips; with fewer to embed, starting interpreters takes longer than it saves


class Clips(Protocol):
    """Clips of a recording by their first frames, as `pipeline.Proposed` has them."""

    recording: Recording
    starts: Sequence[int] | np.ndarray


def embed_together(wanted: Iterable[Clips], clips: ClipSettings, embedder: ClipEmbedder, folder: Path) -> None:
    """Embed the wanted clips that `folder` lacks; `pipeline.embed` then finds them there.

    Those of a recording are embedded together, whichever seed proposed them, so that its video is read once. With a
    small model on a CPU, recordings are embedded in processes of their own, each on one thread: the bytes are the same.
    """
    embed_lengths(((one, clips) for one in wanted), embedder, folder)


def embed_lengths(wanted: Iterable[tuple[Clips, ClipSettings]], embedder: ClipEmbedder, folder: Path) -> None:
    """As `embed_together`, of clips that are cut in several ways."""
    by_name: dict[tuple[str, ClipSettings], tuple[Recording, list]] = {}
    for one, clips in wanted:
        by_name.setdefault((one.recording.name, clips), (one.recording, []))[1].append(one.starts)
    jobs = []
    for (_, clips), (recording, parts) in by_name.items():
        lacking = missing(recording, np.unique(np.concatenate(parts)), clips, embedder, folder)
        if lacking:
            jobs.append((recording, lacking, clips))
    if getattr(embedder, "small", False) and sum(len(lacking) for _, lacking, _ in jobs) >= WORTH:
        longest_first = sorted(jobs, key=lambda job: -len(job[1]) * job[2].seconds)
        work = [(_embed, *job, embedder.settings, folder) for job in longest_first]
        side_by_side(work, "embed", "recording", stay=True)
        return
    for recording, lacking, clips in tqdm(jobs, "embed", unit="recording", disable=None):
        embed_recording(recording, lacking, clips, embedder, folder)


def _embed(
    recording: Recording, starts: list[int], clips: ClipSettings, chosen: EmbedderSettings, folder: Path
) -> None:
    with one_thread():
        embed_recording(recording, starts, clips, _loaded(chosen), folder)


_loaded = cache(load_embedder)  # once in each process
