"""Captions on disk: one JSON file per recording and key, which also says what made it."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from mbrepro.artifacts import fingerprint, write_json
from mbrepro.data.clips import ClipSettings, cut_clips, sampled_rate
from mbrepro.data.recordings import Recording
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.embedding.store import BLOCK_BATCHES, clips_key
from mbrepro.errors import InputError


def caption_recording(
    recording: Recording, starts: Sequence[int], clip_settings: ClipSettings, embedder: ClipEmbedder,
    max_new_tokens: int, folder: Path,
) -> list[str]:  # fmt: skip
    """Caption the clips that begin at frames `starts`, in order; asked once and then read from `folder`.

    The key is that of embeddings with the answer's greatest length. A stored file that cannot be read is made again.
    Raises InputError as cutting the clips does, or if the model does not answer once for each clip.
    """
    if len(starts) == 0:
        return []
    key = fingerprint(
        clips_key(recording, starts, clip_settings, embedder), embedder.identity, max_new_tokens, Path(__file__)
    )
    path = Path(folder) / f"{recording.name.replace('/', '_')}-captions-{key}.json"
    if path.exists():
        with contextlib.suppress(ValueError, KeyError):
            return json.loads(path.read_text(encoding="utf-8"))["captions"]
    captions = _caption(recording, starts, clip_settings, embedder, max_new_tokens)
    described = {
        "recording": recording.name,
        "starts": [int(start) for start in starts],
        "video_start": recording.video_start,
        "clips": dataclasses.asdict(clip_settings),
        "embedder": embedder.identity,
        "model": embedder.settings.model,
        "max_new_tokens": max_new_tokens,
        "captions": captions,
    }
    write_json(path, described)
    return captions


def _caption(
    recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder, max_new_tokens: int
) -> list[str]:
    size = BLOCK_BATCHES * embedder.settings.batch_size
    captions = []
    for first in range(0, len(starts), size):
        cut = cut_clips(recording, starts[first : first + size], settings)
        said = embedder.caption(cut, sampled_rate(settings, len(cut[0])), max_new_tokens)
        if len(said) != len(cut):
            raise InputError(f"{recording.name}: the model gave {len(said)} captions for {len(cut)} clips")
        captions += said
    return captions
