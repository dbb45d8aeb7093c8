"""Clips embedded at once are the bytes of clips embedded one after the other, and no clip is embedded twice."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from mbrepro.commands import soak
from mbrepro.data import processes
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.store import embed_recording
from mbrepro.method import together


@dataclass
class Wanted:
    recording: object
    starts: np.ndarray


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return soak.recordings(tmp_path_factory.mktemp("recordings"))


@pytest.mark.parametrize("beside", [False, True])
def test_bytes_are_those_of_one_after_the_other(recordings, beside, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "WORTH", 1 if beside else 10**6)
    monkeypatch.setattr(processes.os, "cpu_count", lambda: 2)
    embedder = load_embedder(EmbedderSettings(max_pixels=soak.PIXELS, batch_size=2))
    assert embedder.small
    two = recordings[:2]
    for recording, starts in two:
        embed_recording(recording, starts, soak.CLIPS, embedder, tmp_path / "alone")
    seeds = [Wanted(r, np.array(starts)[part]) for part in (slice(0, 3), slice(2, None)) for r, starts in two]
    together.embed_together(seeds, soak.CLIPS, embedder, tmp_path / "together")
    assert soak.files(tmp_path / "together") == soak.files(tmp_path / "alone")


def test_clips_of_several_lengths_are_the_bytes_of_each_length_alone(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "WORTH", 1)
    embedder = load_embedder(EmbedderSettings(max_pixels=soak.PIXELS, batch_size=2))
    cuts = [replace(soak.CLIPS, seconds=soak.CLIPS.seconds * times) for times in (1, 0.5)]
    jobs = [(Wanted(r, np.array(sorted(starts)[:2])), clips) for r, starts in recordings[:2] for clips in cuts]
    together.embed_lengths(jobs, embedder, tmp_path / "together")
    for one, clips in jobs:
        embed_recording(one.recording, one.starts, clips, embedder, tmp_path / "alone")
    assert len(soak.files(tmp_path / "alone")) == 4
    assert soak.files(tmp_path / "together") == soak.files(tmp_path / "alone")


def test_only_what_is_lacking_is_embedded_and_each_recording_once(recordings, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(together, "embed_recording", lambda r, starts, *_: asked.append((r.name, starts)))
    embedder = load_embedder(EmbedderSettings(max_pixels=soak.PIXELS, batch_size=2))
    (one, starts), (other, others) = ((r, sorted(s)) for r, s in recordings[:2])
    embed_recording(one, starts[:1], soak.CLIPS, embedder, tmp_path)
    wanted = [Wanted(one, np.array(starts[:2])), Wanted(other, np.array([], int)), Wanted(one, np.array(starts[1:3]))]
    together.embed_together([*wanted, Wanted(other, np.array(others[:1]))], soak.CLIPS, embedder, tmp_path)
    assert asked == [(one.name, starts[1:3]), (other.name, others[:1])]
    asked.clear()
    together.embed_together([Wanted(one, np.array(starts[:1]))], soak.CLIPS, embedder, tmp_path)
    assert asked == []
