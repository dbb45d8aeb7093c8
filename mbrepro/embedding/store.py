"""Embeddings on disk: one file for each recording, way to cut clips and embedder, with every clip embedded so far.

A clip is known by its first frame. What is asked for and not there yet is embedded a block at a time, and each block
is joined to the file before the next is begun: a kill costs the block in hand, and asking for more embeds only what is
new. The order in which clips were asked for leaves no trace, as a file holds them by first frame.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import av
import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mbrepro.artifacts import file_hash, fingerprint, locked, replacing, versions
from mbrepro.data import clips, video
from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, frame_count, sampled_rate
from mbrepro.data.processes import shared_out
from mbrepro.data.recordings import Recording
from mbrepro.data.video import check_video
from mbrepro.embedding.embedder import ClipEmbedder, PosesEmbedder

BLOCK_BATCHES, BLOCK_CLIPS = 8, 64  # at most, in memory at a time: the most work that a kill can cost
Item = TypeVar("Item")
STARTS = "starts"  # the index of a file: each row's first frame, ascending


def embed_recording(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder, folder: Path,
    views: Sequence[str] | None = None, workers: int | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Embed the clips that begin at frames `starts`: view → (N, D) float32, in their order.

    Clips that `folder` holds are read, the others embedded and added to it; a process that wants the same recording at
    the same time waits. views: those that are wanted; all are stored. workers: processes that cut clips, which leave no
    trace; None for as many as torch has threads, or this alone where the embedder computes with those. Raises
    InputError if the recording's video is missing or damaged, or a clip would lie outside it.
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
    """How many processes cut clips for an embedder: a GPU takes more than one gives it, a CPU has work enough."""
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
    found = _embedded(recording, blocks, settings, embedder, workers)
    for block, rows in zip(blocks, found, strict=True):
        stored = _joined(stored, {STARTS: np.array(block), **rows})
        with replacing(path) as temporary:
            save_file(stored, temporary, metadata)


def _embedded(
    recording: Recording, blocks: Sequence[Sequence[int]], settings: ClipSettings, embedder: ClipEmbedder, workers: int
) -> Iterator[dict[str, np.ndarray]]:  # fmt: skip
    """The rows of each block of clips, frames being cut ahead: a block of them here, or a batch where others cut.

    Poses are given the frames that their clips' pictures would be of.
    """
    cut: Iterator[list[np.ndarray]]
    if embedder.takes == "poses":
        cut = ([clip_frames(start, recording, settings) for start in block] for block in blocks)
    elif workers == 1:
        cut = ahead(cut_clips(recording, block, settings) for block in blocks)
    else:
        size, rate = embedder.settings.batch_size, sampled_rate(settings, frame_count(settings))
        batches = [block[first : first + size] for block in blocks for first in range(0, len(block), size)]
        model: Any = embedder  # a `CheckpointEmbedder`, as no other computes elsewhere
        rows = model.embed_each(cut_together(recording, batches, settings, workers), rate)
        yield from (model.gather(list(islice(rows, -(-len(block) // size)))) for block in blocks)
        return
    yield from (_embed(recording, clips, settings, embedder) for clips in cut)


def cut_together(
    recording: Recording, batches: Iterable[Sequence[int]], settings: ClipSettings, workers: int
) -> Iterator[list[np.ndarray]]:
    """As `clips.cut_clips` of each batch, by processes that each cut a few of its clips: threads hold each other up."""
    batches = list(batches)
    share = max(1, len(batches[0]) // workers)
    parts = [batch[first : first + share] for batch in batches for first in range(0, len(batch), share)]
    clips = chain.from_iterable(shared_out(partial(cut_clips, recording, settings=settings, threads=1), parts, workers))
    return (list(islice(clips, len(batch))) for batch in batches)


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


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items, a thread making the next one while one is used."""
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(list, islice(items, 1))
        while item := coming.result():
            coming = beside.submit(list, islice(items, 1))
            yield from item
