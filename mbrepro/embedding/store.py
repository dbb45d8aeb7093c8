"""Embeddings on disk: one file for each recording, way to cut clips and embedder, with every clip embedded so far.

A clip is known by its first frame. What is asked for and not there yet is embedded a block at a time, and each block
is joined to the file before the next is begun: a kill costs the block in hand, and asking for more embeds only what is
new. The order in which clips were asked for leaves no trace, as a file holds them by first frame.
"""

import dataclasses
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mbrepro.artifacts import file_hash, fingerprint, locked, replacing, versions
from mbrepro.data import clips, video
from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, sampled_rate
from mbrepro.data.recordings import Recording
from mbrepro.data.video import check_video
from mbrepro.embedding.embedder import ClipEmbedder, PosesEmbedder

BLOCK_BATCHES, BLOCK_CLIPS = 8, 64  # at most, in memory at a time: the most work that a kill can cost
Item = TypeVar("Item")
Made = TypeVar("Made")
STARTS = "starts"  # the index of a file: each row's first frame, ascending


def embed_recording(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder, folder: Path,
    views: Sequence[str] | None = None, workers: int | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Embed the clips that begin at frames `starts`: view → (N, D) float32, in their order.

    Clips that `folder` holds are read, the others embedded and added to it; a process that wants the same recording at
    the same time waits. views: those that are wanted; all are stored. workers: threads that cut clips, which leave no
    trace; None for as many as torch has, or one where the embedder computes with those. Raises InputError if the
    recording's video is missing or damaged, or a clip would lie outside it.
    """
    views = embedder.views if views is None else views
    if len(starts) == 0:
        nothing = _embed(recording, [], settings, embedder)
        return {view: nothing[view] for view in views}
    path = stored_path(recording, settings, embedder, folder)
    stored = _read(path, views)
    if len(_missing(stored, starts)):
        with locked(path):
            _embed_missing(recording, starts, settings, embedder, path, workers or cutters(embedder))
            stored = _read(path, views)
    places = np.searchsorted(stored[STARTS], starts)
    return {view: stored[view][places] for view in views}


def missing(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder, folder: Path
) -> list[int]:
    """The first frames, ascending, of those clips that `folder` does not hold."""
    if len(starts) == 0:
        return []
    return _missing(_read(stored_path(recording, settings, embedder, folder), ()), starts).tolist()


def stored_path(recording: Recording, settings: ClipSettings, embedder: ClipEmbedder, folder: Path) -> Path:
    """The file that holds the embeddings of a recording's clips, or will hold them."""
    key = fingerprint(recording_key(recording, settings, embedder), embedder.identity)
    return Path(folder) / f"{recording.name.replace('/', '_')}-{key}.safetensors"


def recording_key(recording: Recording, settings: ClipSettings, embedder: ClipEmbedder) -> str:
    """Fingerprint of all that, with its first frame, decides what a clip of a recording shows to the embedder."""
    posed = settings.crop != "frame" or embedder.takes == "poses"
    return fingerprint(
        recording.name,
        file_hash(check_video(recording).path) if recording.video or embedder.takes == "pixels" else None,
        recording.video_start,
        recording.fps,
        list(recording.frame_size),
        recording.keypoints if posed else len(recording),
        settings,
        versions(clips, video, av, cv2),
    )


def _missing(stored: dict[str, np.ndarray], starts: Sequence[int]) -> np.ndarray:
    return np.setdiff1d(np.asarray(starts, np.int64), stored.get(STARTS, []))


def cutters(embedder: ClipEmbedder) -> int:
    """How many threads cut clips for an embedder: a GPU takes more than one gives it, a CPU has work enough."""
    return torch.get_num_threads() if getattr(embedder, "device", "cpu") != "cpu" else 1


def _embed_missing(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder, path: Path,
    workers: int,
) -> None:  # fmt: skip
    """Embed the clips that a file lacks, ascending, a block after the other, frames being cut ahead."""
    stored = _read(path, embedder.views)
    batch = embedder.settings.batch_size
    size = batch * max(1, min(BLOCK_BATCHES, BLOCK_CLIPS // batch))
    missing = _missing(stored, starts).tolist()
    blocks = [missing[first : first + size] for first in range(0, len(missing), size)]
    metadata = {"made_from": json.dumps(described(recording, settings, embedder), sort_keys=True)}
    cut_block = partial(_cut, recording, settings, embedder, workers)
    for block, cut in zip(blocks, made_ahead(cut_block, blocks), strict=True):
        stored = _joined(stored, {STARTS: np.array(block), **_embed(recording, cut, settings, embedder)})
        with replacing(path) as temporary:
            save_file(stored, temporary, metadata)


def _cut(
    recording: Recording, settings: ClipSettings, embedder: ClipEmbedder, workers: int, block: list[int]
) -> list[np.ndarray]:
    """A block of clips: their pictures, or the frames they would be, for poses."""
    if embedder.takes == "poses":
        return [clip_frames(start, recording, settings) for start in block]
    return cut_together(recording, block, settings, workers)


def cut_together(recording: Recording, starts: Sequence[int], settings: ClipSettings, workers: int) -> list[np.ndarray]:
    """As `clips.cut_clips`, each of some threads cutting a share of the clips."""
    share = -(-len(starts) // workers)
    parts = [starts[first : first + share] for first in range(0, len(starts), share)]
    threads = 1 if len(parts) > 1 else 0
    cut = made_ahead(lambda part: cut_clips(recording, part, settings, threads), parts, workers)
    return [clip for part in cut for clip in part]


def _embed(
    recording: Recording, shown: Sequence[np.ndarray], settings: ClipSettings, embedder: ClipEmbedder
) -> dict[str, np.ndarray]:
    if isinstance(embedder, PosesEmbedder):
        return embedder.embed_poses(recording, shown)
    return embedder.embed(shown, sampled_rate(settings, len(shown[0]) if len(shown) else 1))


def _joined(stored: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    both = {name: np.concatenate([stored[name], rows]) for name, rows in new.items()} if stored else new
    order = np.argsort(both[STARTS])
    return {name: np.ascontiguousarray(rows[order]) for name, rows in both.items()}


def described(recording: Recording, settings: ClipSettings, embedder: ClipEmbedder) -> dict[str, object]:
    """What made a stored file, in plain values for a reader of it."""
    return {
        "recording": recording.name,
        "video_start": recording.video_start,
        "clips": dataclasses.asdict(settings),
        "embedder": embedder.identity,
        "model": embedder.settings.model,
    }


def _read(path: Path, views: Sequence[str]) -> dict[str, np.ndarray]:
    """The index and some views of a file; nothing if it is not there or cannot be read (a disk fault)."""
    try:
        with safe_open(path, "numpy") as file:
            return {name: file.get_tensor(name) for name in (STARTS, *views)}
    except (SafetensorError, FileNotFoundError):
        return {}


def made_ahead(make: Callable[[Item], Made], items: Iterable[Item], workers: int = 1) -> Iterator[Made]:
    """Yield `make(item)` of each item in order; while one is used, as many of the next are made, a thread each."""
    with ThreadPoolExecutor(workers) as beside:
        waiting = deque()
        for item in items:
            waiting.append(beside.submit(make, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        yield from (last.result() for last in waiting)
