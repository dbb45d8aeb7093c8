"""Embeddings on disk: one file per recording and key, with a JSON file beside it that says what made it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mbrepro import clips, video
from mbrepro.artifacts import cached_arrays, fingerprint, write_json
from mbrepro.clips import ClipSettings, cut_clips, sampled_rate
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.recordings import Recording
from mbrepro.video import check_video

CHUNK_BATCHES = 8  # batches whose frames are in memory at a time


def embed_recording(
    recording: Recording, starts: Sequence[int], clip_settings: ClipSettings, embedder: ClipEmbedder, folder: Path
) -> np.ndarray:
    """Embed the clips that begin at frames `starts`; (N, D) float32, computed once and then read from `folder`.

    The key covers the video's bytes, what of the recording decides a clip, the starts, the settings and the embedder's
    identity. Batches are consecutive starts, so the bytes depend on the key alone. Raises InputError if the recording's
    video is missing or damaged, or a clip would lie outside it.
    """
    if len(starts) == 0:
        return np.zeros((0, embedder.width), np.float32)
    made_from = clips_key(recording, starts, clip_settings), embedder.identity
    name = recording.name.replace("/", "_")

    def make() -> dict[str, np.ndarray]:
        embeddings = _embed(recording, starts, clip_settings, embedder)
        described = {
            "recording": recording.name,
            "starts": [int(start) for start in starts],
            "video_start": recording.video_start,
            "clips": dataclasses.asdict(clip_settings),
            "embedder": embedder.identity,
            "model": embedder.settings.model,
            "shape": list(embeddings.shape),
        }
        write_json(Path(folder) / f"{name}-{fingerprint(*made_from)}.json", described)
        return {"embeddings": embeddings}

    return cached_arrays(folder, name, made_from, make)["embeddings"]


def clips_key(recording: Recording, starts: Sequence[int], settings: ClipSettings) -> str:
    """Fingerprint of everything that decides the pixels of a recording's clips."""
    return fingerprint(
        recording.name,
        check_video(recording).path,
        recording.video_start,
        recording.fps,
        list(recording.frame_size),
        recording.keypoints if settings.crop == "mice" else len(recording),
        np.asarray(starts, np.int64),
        settings,
        clips,
        video,
    )


def _embed(recording: Recording, starts: Sequence[int], settings: ClipSettings, embedder: ClipEmbedder) -> np.ndarray:
    size = CHUNK_BATCHES * embedder.settings.batch_size
    rows = []
    for first in range(0, len(starts), size):
        cut = cut_clips(recording, starts[first : first + size], settings)
        rows.append(embedder.embed(cut, sampled_rate(settings, len(cut[0]))))
    return np.concatenate(rows)
