"""The store filled by processes that are killed, by shards and by Ray holds the bytes of one that went straight."""

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
import ray

from mbrepro.commands import soak
from mbrepro.embedding import EmbedderSettings
from mbrepro.embedding.distributed import embed_with_ray
from mbrepro.errors import InputError
from mbrepro.study import embed

SETTINGS = EmbedderSettings(max_pixels=soak.PIXELS, batch_size=2)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return soak.recordings(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def straight(recordings, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("straight")
    soak.embed_all(recordings, folder)
    return soak.files(folder)


def test_killed_processes_leave_what_the_next_one_finishes_to_the_same_bytes(recordings, straight, tmp_path):
    films = recordings[0][0].video.parents[1]
    work, given = soak.WORKS["embed"], {"films": films}
    soak.soak(work, given, straight, tmp_path / "killed", kills=2, seed=0, longest=soak.LONGEST)
    assert not list(tmp_path.iterdir())  # each filled store was compared and emptied
    with pytest.raises(InputError, match="the bytes differ from a straight run's"):
        soak.soak(work, given, {}, tmp_path / "other", kills=1, seed=0, longest=soak.LONGEST)


def test_shares_of_the_recordings_give_the_whole(recordings, straight, tmp_path):
    jobs = [embed.Job(recording, starts) for recording, starts in recordings]
    shares = [embed.shard(jobs, f"{k}/3") for k in (2, 3, 1)]
    assert sorted(j.recording.name for share in shares for j in share) == sorted(j.recording.name for j in jobs)
    for share in shares:
        soak.embed_all([(job.recording, job.starts) for job in share], tmp_path)
    assert soak.files(tmp_path) == straight


@pytest.mark.parametrize("share", ["0/3", "4/3", "3", "1/", "/2", "a/b", "-1/2", "1/2/3"])
def test_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match="takes I/N"):
        embed.shard([], share)


def test_ray_gives_the_same_bytes_though_a_worker_is_killed(recordings, straight, tmp_path, monkeypatch):
    killed = []
    monkeypatch.setenv("MBREPRO_TEST", mark := uuid.uuid4().hex)

    def kill_one():
        """Once a first block is stored, kill the worker that is at it."""
        while not killed:
            if list(tmp_path.glob("[!.]*.safetensors")):
                worker = _newest_worker(mark)
                if worker:
                    os.kill(worker, signal.SIGKILL)
                    killed.append(worker)
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    try:
        assert embed_with_ray(recordings, soak.CLIPS, SETTINGS, tmp_path, workers=2) == len(recordings)
    finally:
        ray.shutdown()
    assert killed
    assert soak.files(tmp_path) == straight


def _newest_worker(mark: str) -> int | None:
    """The process of a worker of this test: its environment has the mark, and Ray has given it a title."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title = (folder / "cmdline").read_bytes()
            if title.startswith(b"ray::") and b"MapWorker" in title and mark in (folder / "environ").read_text():
                found.append(int(folder.name))
    return max(found, default=None)


def test_workers_ray_and_the_model_are_checked_before_ray_starts(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("started in vain"))
    with pytest.raises(InputError, match="workers must be at least 1"):
        embed_with_ray(recordings, soak.CLIPS, SETTINGS, tmp_path, workers=0)
    with pytest.raises(InputError, match=r"no config\.json in it"):
        embed_with_ray(recordings, soak.CLIPS, EmbedderSettings(str(tmp_path)), tmp_path, workers=1)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(InputError, match="ray is not installed"):
        embed_with_ray(recordings, soak.CLIPS, SETTINGS, tmp_path, workers=1)


def test_what_a_ray_worker_finds_wrong_is_said_in_its_own_sentence(recordings, tmp_path):
    """A video cut off after the driver has looked at the model: only the worker can see it."""
    recording, starts = recordings[0]
    video = tmp_path / "cut.mp4"
    video.write_bytes(recording.video.read_bytes()[:2000])
    try:
        with pytest.raises(InputError, match=r"^\S*cut\.mp4: .*$"):
            embed_with_ray(
                [(dataclasses.replace(recording, video=video), starts)], soak.CLIPS, SETTINGS, tmp_path / "store", 1
            )
    finally:
        ray.shutdown()
    assert not list((tmp_path / "store").glob("*.safetensors"))
