"""Embeddings on disk: one file per recording and key, with a JSON file beside it that says what made it.

While a recording is worked on, each block of clips is kept in a file of its own in a folder `NAME-KEY.parts`; the last
block joins them. Which clips are in a block, and which in a batch, follows from their place in the list alone, so work
that was killed and taken up again, or done on another machine, gives the bytes that going straight through gives.
"""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mbrepro.artifacts import file_hash, fingerprint, replacing, write_json
from mbrepro.data import clips, video
from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, sampled_rate
from mbrepro.data.recordings import Recording
from mbrepro.data.video import check_video
from mbrepro.embedding.ahead import made_ahead
from mbrepro.embedding.embedder import ClipEmbedder

BLOCK_BATCHES = 8  # batches whose frames are in memory at a time, and the most work that a kill can cost


def embed_recording(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder, folder: Path
) -> dict[str, np.ndarray]:
    """Embed the clips that begin at frames `starts`: view → (N, D) or (N, t, D) float32, in their order.

    Computed once and then read from `folder`. The key covers the video's bytes, what of the recording decides a clip,
    the starts, the settings and the embedder's identity. Raises InputError if the recording's video is missing or
    damaged, or a clip would lie outside it.
    """
    if len(starts) == 0:
        return _embed(recording, [], settings, embedder)
    path = stored_path(recording, starts, settings, embedder, folder)
    parts = path.with_suffix(".parts")
    if path.exists():
        with contextlib.suppress(SafetensorError):
            found = load_file(path)
            shutil.rmtree(parts, ignore_errors=True)  # of a process killed after its last block
            return {view: found[view] for view in embedder.views}
    blocks = _blocks(recording, starts, settings, embedder, parts)
    embeddings = {view: np.concatenate([block[view] for block in blocks]) for view in embedder.views}
    write_json(parts / path.with_suffix(".json").name, _described(recording, starts, settings, embedder, embeddings))
    _save(parts / path.name, embeddings)
    for name in (path.with_suffix(".json").name, path.name):
        (parts / name).replace(path.with_name(name))
    shutil.rmtree(parts, ignore_errors=True)
    return embeddings


def stored_path(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder, folder: Path
) -> Path:
    """The file that holds the embeddings of these clips, or will hold them."""
    key = fingerprint(clips_key(recording, starts, settings, embedder), embedder.identity)
    return Path(folder) / f"{recording.name.replace('/', '_')}-{key}.safetensors"


def clips_key(recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder) -> str:
    """Fingerprint of everything that decides what of a recording its clips show to the embedder."""
    posed = settings.crop != "frame" or embedder.takes == "poses"
    return fingerprint(
        recording.name,
        file_hash(check_video(recording).path) if recording.video or embedder.takes == "pixels" else None,
        recording.video_start,
        recording.fps,
        list(recording.frame_size),
        recording.keypoints if posed else len(recording),
        np.asarray(starts, np.int64),
        settings,
        *(Path(module.__file__) for module in (clips, video)),
    )


def _described(recording, starts, settings, embedder, embeddings: dict[str, np.ndarray]) -> dict[str, object]:
    return {
        "recording": recording.name,
        "starts": [int(start) for start in starts],
        "video_start": recording.video_start,
        "clips": dataclasses.asdict(settings),
        "embedder": embedder.identity,
        "model": embedder.settings.model,
        "shapes": {view: list(array.shape) for view, array in embeddings.items()},
    }


def _blocks(recording, starts, settings, embedder, parts: Path) -> list[dict[str, np.ndarray]]:
    """Every block of clips, those that a killed process left behind read and the others embedded, cutting ahead."""
    size = BLOCK_BATCHES * embedder.settings.batch_size
    kept = {first: _kept(parts / f"{first:06}.safetensors") for first in range(0, len(starts), size)}
    missing = [first for first, block in kept.items() if block is None]
    cut = made_ahead(_cutter(recording, starts, size, settings, embedder), missing)
    for first, shown in zip(missing, cut, strict=True):
        kept[first] = _embed(recording, shown, settings, embedder)
        _save(parts / f"{first:06}.safetensors", kept[first])
    return list(kept.values())


def _cutter(recording, starts, size: int, settings, embedder) -> Callable[[int], list[np.ndarray]]:
    """What makes the block that begins with a clip ready: its pictures, or the frames they would be, for poses."""
    if embedder.takes == "poses":
        return lambda first: [clip_frames(start, recording, settings) for start in starts[first : first + size]]
    return lambda first: cut_clips(recording, starts[first : first + size], settings)


def _embed(recording, shown: Sequence[np.ndarray], settings, embedder) -> dict[str, np.ndarray]:
    if embedder.takes == "poses":
        return embedder.embed_poses(recording, shown)
    return embedder.embed(shown, sampled_rate(settings, len(shown[0]) if len(shown) else 1))


def _kept(path: Path) -> dict[str, np.ndarray] | None:
    with contextlib.suppress(SafetensorError, FileNotFoundError):  # another process may just have joined the parts
        return load_file(path)


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with replacing(path) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
