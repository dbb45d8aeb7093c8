"""Captions on disk: one JSON file for each recording, way to cut clips, model and greatest length; see `store`."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mbrepro.artifacts import fingerprint, locked, read_json, write_json
from mbrepro.data.clips import ClipSettings, cut_clips, sampled_rate
from mbrepro.data.recordings import Recording
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.embedding.store import BLOCK_BATCHES, described, recording_key
from mbrepro.errors import InputError

if TYPE_CHECKING:  # it takes seconds
    from mbrepro.embedding.qwen import QwenVLEmbedder


def caption_recording(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder,
    max_new_tokens: int, folder: Path,
) -> list[str]:  # fmt: skip
    """Caption the clips that begin at frames `starts`, in order, each once; InputError as `cut_clips` raises."""
    if len(starts) == 0:
        return []
    key = fingerprint(recording_key(recording, settings, embedder), embedder.identity, max_new_tokens)
    path = Path(folder) / f"{recording.name.replace('/', '_')}-captions-{key}.json"
    stored = _read(path)
    if any(str(start) not in stored for start in starts):
        with locked(path):
            stored = _caption_missing(recording, starts, settings, embedder, max_new_tokens, path)
    return [stored[str(start)] for start in starts]


def _caption_missing(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: "QwenVLEmbedder",
    max_new_tokens: int, path: Path,
) -> dict[str, str]:  # fmt: skip
    stored = _read(path)
    missing = sorted({int(start) for start in starts} - {int(start) for start in stored})
    size = BLOCK_BATCHES * embedder.settings.batch_size
    made_from = described(recording, settings, embedder) | {"max_new_tokens": max_new_tokens}
    for block in (missing[first : first + size] for first in range(0, len(missing), size)):
        cut = cut_clips(recording, block, settings)
        captions = embedder.caption(cut, sampled_rate(settings, len(cut[0])), max_new_tokens)
        if len(captions) != len(block):
            raise InputError(f"{recording.name}: the model gave {len(captions)} captions for {len(block)} clips")
        stored |= dict(zip(map(str, block), captions, strict=True))
        write_json(path, made_from | {"captions": stored})
    return stored


def _read(path: Path) -> dict[str, str]:
    """First frame → caption; empty if the file is not there or cannot be read (a disk fault)."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        return dict(read_json(path)["captions"])
    return {}
