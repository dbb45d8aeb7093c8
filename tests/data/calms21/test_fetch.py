"""Fetching against a local server that misbehaves, and from folders."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
import zlib
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests
from tqdm import tqdm

from mbrepro import cli
from mbrepro.data.calms21 import download, release
from mbrepro.data.calms21 import fetch as fetch_module
from mbrepro.data.calms21.download import PIECE
from mbrepro.data.calms21.fetch import chosen_videos, fetch
from mbrepro.data.calms21.release import FOLDERS, FileInfo, Release, VideoInfo, data_folder, fetched, released_json
from mbrepro.errors import InputError
from tests.fixtures import mirror
from tests.fixtures.mirror import Cut, IgnoreRange, SentOn, Stall, Status, Truncated, Wrong

VIDEOS = {
    "m001": ("train", 700_000),
    "m002": ("train", 1_300_000),
    "m003": ("train", 400_001),
    "m071": ("test", 900_000),
}
ZIP1, ZIP3, VIDEO_ZIP = "task1_classic_classification.zip", "task3_new_behaviors.zip", "task1_videos_mp4.zip"
TAIL = 64 * 1024  # what remotezip reads to find a zip's directory


@pytest.fixture(autouse=True)
def fast_and_apart(monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path / "study"))
    monkeypatch.delenv("MBREPRO_CALMS21", raising=False)
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 1.0)


def make_release(folder: Path, compression: int = zipfile.ZIP_DEFLATED, simulated: bool = True) -> Release:
    """Write a release of random bytes, unpacked in `folder/unpacked` and zipped in `folder/zips`, with release.json."""
    rng, unpacked, zips = random.Random(7), folder / "unpacked", folder / "zips"
    contents = {path: rng.randbytes(300_000).hex().encode() for task in FOLDERS for path in released_json(task)}
    videos = {}
    for name, (split, size) in VIDEOS.items():
        content = rng.randbytes(size - size // 5) + bytes(size // 5)  # deflates a little, as mp4 does
        contents[Path("task1_videos_mp4") / split / f"{name}.mp4"] = content
        sha256 = hashlib.sha256(content).hexdigest()
        videos[name] = VideoInfo(split, size, f"{zlib.crc32(content):08x}", sha256)
    for path, content in contents.items():
        (unpacked / path).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / path).write_bytes(content)
    zips.mkdir()
    files = {}
    for name in (ZIP1, ZIP3, VIDEO_ZIP):
        with zipfile.ZipFile(zips / name, "w", compression) as archive:
            for path in contents:
                if path.parts[0] == name.removesuffix(".zip"):
                    archive.write(unpacked / path, path)
                    archive.writestr(f"__MACOSX/{path.parent}/._{path.name}", b"mac")
        files[name] = FileInfo((zips / name).stat().st_size, hashlib.md5((zips / name).read_bytes()).hexdigest())
    made = Release("Random", "", "", "Random bytes; cite nobody.", simulated, files, videos)
    for place in (unpacked, zips):
        release.write_release_file(place, made)
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    make_release(folder)
    return folder


@pytest.fixture
def server(made):
    with mirror.serve(made / "zips") as running:
        yield running


def assert_exact(folder: Path, made: Path, videos=tuple(VIDEOS)) -> None:
    """The folder is the unpacked release, byte for byte, and nothing else is left beside it."""
    paths = [path for task in FOLDERS for path in released_json(task)]
    paths += [Path("task1_videos_mp4") / VIDEOS[name][0] / f"{name}.mp4" for name in videos]
    for path in paths:
        assert (folder / path).read_bytes() == (made / "unpacked" / path).read_bytes(), path
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*map(str, paths), "fetched.json", "release.json"}
    assert {path.name for path in folder.parent.iterdir()} <= {folder.name, f"{folder.name}.lock"}


# --- a server that behaves ------------------------------------------------------------------------------------------


def test_everything_is_fetched_and_a_second_fetch_asks_for_nothing(server, made, capsys):
    folder = fetch(source=server.url)
    assert folder == data_folder(server.url)
    assert_exact(folder, made)
    printed = capsys.readouterr().out
    assert printed.startswith("Random bytes; cite nobody.")
    known = fetched(folder)
    assert known.simulated and known.source == server.url and known.release["title"] == "Random"
    assert known.videos == {"held": list(VIDEOS), "of": 4}
    assert known.zips[ZIP1] == hashlib.md5((made / "zips" / ZIP1).read_bytes()).hexdigest()
    for path, facts in known.files.items():
        content = (folder / path).read_bytes()
        assert facts == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    total = sum((made / "zips" / name).stat().st_size for name in (ZIP1, ZIP3, VIDEO_ZIP, "release.json"))
    assert sum(server.sent.values()) <= total + TAIL + 3  # each byte once, the directory, a byte to ask each size
    requests = server.requests.total()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    fetch(source=f"{server.url}/", verify=True)
    assert server.requests.total() == requests
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    printed = capsys.readouterr().out
    assert "already there; nothing was fetched" in printed and "All 8 files have the right SHA-256" in printed


def test_stored_members_are_fetched_too(tmp_path):
    make_release(tmp_path, zipfile.ZIP_STORED)
    with mirror.serve(tmp_path / "zips") as server:
        server.misbehave(VIDEO_ZIP, Cut(100_000), Cut(1_000_000))
        assert_exact(fetch(source=server.url), tmp_path)


def test_a_zip_larger_than_4_gib_is_read(tmp_path, monkeypatch):
    made = make_release(tmp_path)
    path = tmp_path / "zips" / VIDEO_ZIP
    with path.open("wb") as file:
        file.seek(5 << 30)  # a hole, which takes no room on disk
        with zipfile.ZipFile(file, "w") as archive:
            for name, info in made.videos.items():
                member = f"task1_videos_mp4/{info.split}/{name}.mp4"
                archive.write(tmp_path / "unpacked" / member, member)
    facts = FileInfo(path.stat().st_size, "")
    release.write_release_file(tmp_path / "zips", replace(made, files={**made.files, VIDEO_ZIP: facts}))
    with mirror.serve(tmp_path / "zips") as server:
        server.misbehave(VIDEO_ZIP, Cut((5 << 30) + 500_000))
        assert_exact(fetch(source=server.url), tmp_path)
        assert server.sent[VIDEO_ZIP] < sum(info.size for info in made.videos.values()) + 2 * TAIL


def test_videos_are_taken_one_by_one(server, made):
    folder = fetch(["task1"], ["2"], server.url)
    assert fetched(folder).videos == {"held": ["m001", "m071"], "of": 4}
    with zipfile.ZipFile(made / "zips" / VIDEO_ZIP) as archive:
        packed = sum(
            archive.getinfo(f"task1_videos_mp4/{path}.mp4").compress_size for path in ("train/m001", "test/m071")
        )
    assert packed <= server.sent[VIDEO_ZIP] <= packed + TAIL + 1000
    assert server.sent[ZIP3] == 0 and not (folder / FOLDERS["task3"]).exists()
    sent = server.sent[ZIP1]
    fetch(["task1", "task3"], ["m003.mp4"], server.url)
    assert fetched(folder).videos["held"] == ["m001", "m003", "m071"]
    assert server.sent[ZIP1] == sent


def test_the_progress_bar_starts_with_what_is_there(server, made, monkeypatch):
    bars, starting = [], []

    def watched(initial, **options):
        starting.append(initial)
        bars.append(tqdm(initial=initial, **{**options, "disable": False}))
        return bars[-1]

    monkeypatch.setattr(fetch_module, "tqdm", watched)
    with zipfile.ZipFile(made / "zips" / VIDEO_ZIP) as archive:
        starts, ends = ([info.header_offset for info in archive.infolist()[k::2]] for k in (0, 1))
        spans = [stop - start for start, stop in zip(starts, ends, strict=True)]
    server.misbehave(VIDEO_ZIP, *[Cut(starts[1] + 250_000)] * 7)
    fetch(["task3"], ["m001"], server.url)
    with pytest.raises(InputError, match="the connection brings nothing more"):
        fetch(["task3"], ["m002"], server.url)
    fetch(["task3"], ["all"], server.url)
    size = (made / "zips" / ZIP3).stat().st_size
    assert starting == [0, 0, spans[0] + 250_000]
    assert [bar.total for bar in bars] == [size + spans[0], spans[1], sum(spans)]
    assert [bar.n for bar in bars] == [size + spans[0], 250_000, sum(spans)]


def test_chosen_videos_need_no_server_once_something_was_fetched(server):
    fetch(["task1"], ["none"], server.url)
    requests = server.requests.total()
    assert chosen_videos(["3"], server.url) == ["m001", "m002", "m071"]
    assert server.requests.total() == requests


# --- cut, stalled and busy connections -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_twenty_cuts_cost_no_more_than_the_piece_in_hand(server, made, seed):
    rng, sizes = random.Random(seed), {n: (made / "zips" / n).stat().st_size for n in (ZIP1, ZIP3, VIDEO_ZIP)}
    for _ in range(20):
        name = rng.choices(list(sizes), sizes.values())[0]
        server.misbehave(name, Cut(rng.randrange(sizes[name])))
    folder = fetch(source=server.url)
    assert_exact(folder, made)
    extra = sum(server.sent[name] - size for name, size in sizes.items())
    assert extra <= 20 * PIECE + TAIL + 3
    assert extra <= TAIL + 3 + 20 * (1 << 14)  # what it takes now: a block of the server


def test_every_piece_is_on_disk_before_the_next_is_asked_for(server, tmp_path):
    partial, seen, on_disk = tmp_path / "partial", [0], []
    connection = download.Connection()

    def watch(count):
        seen.append(seen[-1] + count)
        on_disk.append(partial.stat().st_size)

    connection.progress = watch
    server.misbehave(ZIP1, Cut(400_000))
    download.resume(connection, f"{server.url}/{ZIP1}", partial, 100_000, 600_000)
    assert on_disk == seen[1:] and max(np.diff(seen)) <= PIECE
    assert partial.read_bytes() == (server.folder / ZIP1).read_bytes()[100_000:600_000]


def test_a_stalled_connection_is_made_anew(server, made, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.3)
    server.misbehave(ZIP1, Stall(200_000, 1.5))
    server.misbehave(VIDEO_ZIP, Stall(1_000_000, 1.5))
    started = time.monotonic()
    assert_exact(fetch(source=server.url), made)
    assert 0.3 < time.monotonic() - started < 6
    assert server.requests[ZIP1] == 3


def test_a_busy_server_is_asked_again_when_it_says(server, made):
    server.misbehave(ZIP1, Status(429, "1"))
    server.misbehave(VIDEO_ZIP, Status(503), Status(503))
    started = time.monotonic()
    assert_exact(fetch(source=server.url), made)
    assert time.monotonic() - started > 1


def test_a_server_that_stays_busy_is_given_up(server, monkeypatch):
    server.misbehave(ZIP1, Status(503), always=True)
    with pytest.raises(
        InputError, match=f"{ZIP1}: the server answers 503 Service Unavailable; what was fetched is kept"
    ):
        fetch(source=server.url)


def test_a_server_that_always_cuts_at_once_is_given_up(server):
    server.misbehave(ZIP3, Cut(500), always=True)
    with pytest.raises(InputError, match=f"{ZIP3}: the connection brings nothing more"):
        fetch(["task3"], ["none"], server.url)
    server.behave()
    before = server.sent[ZIP3]
    folder = fetch(["task3"], ["none"], server.url)
    assert server.sent[ZIP3] - before == (server.folder / ZIP3).stat().st_size - 500 + 1
    assert (folder / released_json("task3")[0]).is_file()


def test_no_server(tmp_path):
    with mirror.serve(tmp_path) as gone:
        url = gone.url
    with pytest.raises(InputError, match=f"{url}/release.json: the server cannot be reached .Connection refused."):
        fetch(source=url)


def test_a_missing_file_is_named(tmp_path, server):
    server.misbehave(ZIP1, Status(404), always=True)
    with pytest.raises(InputError, match=f"{ZIP1}: the server has no such file .404."):
        fetch(source=server.url)
    server.behave()
    server.misbehave(VIDEO_ZIP, Status(404), always=True)
    with pytest.raises(InputError, match=f"{VIDEO_ZIP}: the server has no such file .404."):
        fetch(source=server.url)


def test_without_ranges_zips_come_whole_and_videos_not_at_all(server):
    server.misbehave(ZIP1, IgnoreRange(), always=True)
    server.misbehave(ZIP1, Cut(300_000))
    server.misbehave(VIDEO_ZIP, IgnoreRange(), always=True)
    folder = fetch(["task1"], ["none"], server.url)
    assert (folder / released_json("task1")[0]).is_file()
    with pytest.raises(InputError, match=f"{VIDEO_ZIP}: the server ignores ranges"):
        fetch(["task1"], ["all"], server.url)
    assert server.sent[VIDEO_ZIP] < (server.folder / VIDEO_ZIP).stat().st_size
    assert fetched(folder).videos["held"] == []


def heed_interrupts() -> None:
    """Undo what a shell does to its background jobs, and so to all they start: that they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_killed_in_the_middle_goes_on_from_there(server, made, tmp_path):
    total = sum((made / "zips" / name).stat().st_size for name in (ZIP1, ZIP3, VIDEO_ZIP))
    command = [sys.executable, "-m", "mbrepro", "fetch", "calms21", "--from", server.url]
    environment = {**os.environ, "MBREPRO_ROOT": str(tmp_path / "study")}
    server.pause = 0.01
    for share, how, status in ((0.2, signal.SIGKILL, -9), (0.5, signal.SIGINT, 130), (0.8, signal.SIGKILL, -9)):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, preexec_fn=heed_interrupts)
        while server.sent.total() < share * total and process.poll() is None:
            time.sleep(0.005)
        assert process.poll() is None, process.stderr.read()
        process.send_signal(how)
        process.communicate(timeout=20)
        assert process.returncode == status
        folder = data_folder(server.url)
        for path in folder.rglob("*.mp4"):
            assert path.read_bytes() == (made / "unpacked" / path.relative_to(folder)).read_bytes()
    server.pause = 0
    assert_exact(fetch(source=server.url), made)
    assert server.sent.total() <= total + 3 * fetch_module.CONNECTIONS * PIECE + 4 * (TAIL + 10_000)


# --- wrong bytes ----------------------------------------------------------------------------------------------------


def test_a_wrong_byte_in_a_zip_of_poses_is_refused(server, made):
    server.misbehave(ZIP1, Wrong(250_000))
    with pytest.raises(InputError, match=f"{ZIP1}: not the released file .its md5 differs"):
        fetch(source=server.url)
    folder = data_folder(server.url)
    assert not list(folder.rglob("*.json")) or not (folder / FOLDERS["task1"]).exists()
    assert_exact(fetch(source=server.url), made)


@pytest.mark.parametrize("at", [26, 28, 200_000])  # lengths in the local header, and the content
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_wrong_byte_in_a_video_is_refused(tmp_path, compression, at):
    make_release(tmp_path, compression)
    with zipfile.ZipFile(tmp_path / "zips" / VIDEO_ZIP) as archive:
        start = archive.getinfo("task1_videos_mp4/train/m002.mp4").header_offset
    with mirror.serve(tmp_path / "zips") as server:
        server.misbehave(VIDEO_ZIP, Wrong(start + at))
        with pytest.raises(InputError, match=r"m002.mp4 is damaged .* thrown away"):
            fetch(source=server.url)
        folder = data_folder(server.url)
        assert not (folder / "task1_videos_mp4/train/m002.mp4").exists()
        assert not list(folder.parent.rglob("*m002*"))
        assert_exact(fetch(source=server.url), tmp_path)


def test_a_video_with_another_sha256_is_refused(tmp_path):
    made = make_release(tmp_path)
    wrong = replace(made.videos["m003"], sha256="0" * 64)
    release.write_release_file(tmp_path / "zips", replace(made, videos={**made.videos, "m003": wrong}))
    for source in (tmp_path / "zips", None):
        with mirror.serve(tmp_path / "zips") as server:
            url = str(source or server.url)
            with pytest.raises(InputError, match=r"m003.mp4 has the SHA-256 of another file"):
                fetch(["task1"], ["m003"], url)
            assert not list(data_folder(url).rglob("m003*"))


def test_a_zip_that_lists_other_videos_is_refused_before_they_are_fetched(tmp_path):
    made = make_release(tmp_path)
    wrong = replace(made.videos["m003"], crc32="00000000")
    release.write_release_file(tmp_path / "zips", replace(made, videos={**made.videos, "m003": wrong}))
    with mirror.serve(tmp_path / "zips") as server:
        with pytest.raises(InputError, match=r"m003.mp4 is not the released video .size or CRC-32"):
            fetch(["task1"], ["all"], server.url)
        assert server.sent[VIDEO_ZIP] <= TAIL + 1


def test_a_truncated_file_is_refused(server):
    server.misbehave(ZIP1, Truncated(100_000), always=True)
    with pytest.raises(InputError, match=f"{ZIP1}: not the released file, as it has 100,000 bytes"):
        fetch(source=server.url)
    server.behave()
    server.misbehave(VIDEO_ZIP, Truncated(100_000), always=True)
    with pytest.raises(InputError, match=f"{VIDEO_ZIP}: not the released file, as it has 100,000 bytes"):
        fetch(source=server.url)


def test_only_a_simulated_release_brings_its_own_figures(tmp_path, monkeypatch):
    own = make_release(tmp_path, simulated=False)
    with mirror.serve(tmp_path / "zips") as server, pytest.raises(InputError, match="--videos takes"):
        fetch(source=server.url, videos=["m001"])
    monkeypatch.setattr(release, "official", lambda: own)
    (tmp_path / "zips" / "release.json").unlink()
    with mirror.serve(tmp_path / "zips") as server:
        folder = fetch(source=server.url)
        known = fetched(folder)
    assert not known.simulated and known.videos["held"] == list(VIDEOS)
    assert not (folder / "release.json").exists()


def test_the_record_itself_is_asked_for_downloads(tmp_path, monkeypatch):
    made = make_release(tmp_path, simulated=False)
    with mirror.serve(tmp_path / "zips") as server:
        unsized = {name: replace(info, size=None) for name, info in made.files.items()}
        monkeypatch.setattr(release, "official", lambda: replace(made, url=server.url, files=unsized))
        folder = fetch(videos=["2"])
        assert folder.name == "calms21" and fetched(folder).source == server.url
        assert "release.json" not in server.requests


# --- hostile zips ---------------------------------------------------------------------------------------------------


def _link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


def _device(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFCHR | 0o666) << 16
    return info


HOSTILE = [
    zipfile.ZipInfo("../outside.json"),
    zipfile.ZipInfo("task1_classic_classification/../../outside.json"),
    zipfile.ZipInfo("..\\outside.json"),
    zipfile.ZipInfo("/outside.json"),
    zipfile.ZipInfo("C:/outside.json"),
    _link("task1_classic_classification/link.json"),
    _device("task1_classic_classification/device.json"),
]


@pytest.mark.parametrize("name", [ZIP1, VIDEO_ZIP])
@pytest.mark.parametrize("member", HOSTILE, ids=lambda info: info.filename)
def test_a_hostile_zip_writes_nothing(tmp_path, made, name, member):
    zips = shutil.copytree(made / "zips", tmp_path / "zips")
    with zipfile.ZipFile(zips / name, "a") as archive:
        archive.writestr(member, "/tmp")
    own = release.parse((zips / "release.json").read_text(), "x")
    facts = FileInfo((zips / name).stat().st_size, hashlib.md5((zips / name).read_bytes()).hexdigest())
    release.write_release_file(zips, replace(own, files={**own.files, name: facts}))
    with mirror.serve(zips) as server:
        for source in (server.url, str(zips)):
            before = {path for path in tmp_path.rglob("*") if "data" not in path.parts}
            with pytest.raises(InputError, match="is not a plain file inside a folder") as error:
                fetch(["task1"], ["all"], source)
            assert repr(member.orig_filename) in str(error.value) and name in str(error.value)
            assert {path for path in tmp_path.rglob("*") if "data" not in path.parts} == before
            assert not list((tmp_path / "data").rglob("*outside*")) and not list((tmp_path / "data").rglob("*.mp4"))


@pytest.mark.parametrize("name", ["release.json", ZIP1])
@pytest.mark.parametrize(
    "to", ["{other}/{name}", "file:///etc/passwd", "ftp://127.0.0.1/{name}", "http://[", "//a:b/c"]
)
def test_a_server_that_sends_on_to_another_host_or_scheme_is_not_followed(tmp_path, server, made, name, to):
    with mirror.serve(made / "zips") as other:
        to = to.format(other=other.url, name=name)
        server.misbehave(name, SentOn(to), always=True)
        with pytest.raises(InputError, match=re.escape(f"/{name}: the server sends on to {to}, which is not followed")):
            fetch(["task1"], ["none"], server.url)
        assert not other.requests and not list((tmp_path / "data").rglob("calms21_*.json"))
    server.behave()
    server.misbehave(name, SentOn(f"/{name}?again"))
    assert fetched(fetch(["task1"], ["none"], server.url)).files  # on the same host it is followed


def _sent_on(before: str, to: str) -> requests.Response:
    response = requests.Response()
    response.url, response.status_code, response.headers["location"] = before, 302, to
    return response


def test_only_what_has_a_checksum_may_come_from_another_host_and_by_https_alone():
    for before, to, checked in (
        ("https://a.org/x", "https://b.org/x", True), ("http://a.org/x", "https://a.org/x", False),
        ("https://a.org/x", "/y", False), ("http://a.org/x", "y", False),
    ):  # fmt: skip
        download._check_redirect(_sent_on(before, to), checked)
    for before, to, checked in (
        ("https://a.org/x", "https://b.org/x", False), ("https://a.org/x", "http://a.org/x", True),
        ("http://a.org/x", "http://b.org/x", True), ("https://a.org/x", "//b.org/x", False),
        ("https://a.org/x", "https://a.org@b.org/x", False), ("https://a.org/x", "https://a.org:444/x", False),
    ):  # fmt: skip
        with pytest.raises(InputError, match="not followed"):
            download._check_redirect(_sent_on(before, to), checked)


def test_a_zip_that_swells_beyond_what_it_says_is_stopped_there(tmp_path):
    """Of a bomb, bytes beyond the size that its directory gives are never unpacked."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", bytes(30_000_000))
    (tmp_path / "scratch").mkdir()
    (member,) = download.local_members(tmp_path / "a.zip", "a.zip")
    member.info.file_size = 1000
    with pytest.raises(InputError, match=r"a\.json is damaged"):
        download.unpack(tmp_path / "a.zip", member.start, member.info, tmp_path / "a.json", tmp_path / "scratch", "a")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "scratch"]


def test_a_release_that_does_not_describe_its_zips_is_refused(tmp_path, made):
    zips = shutil.copytree(made / "zips", tmp_path / "zips")
    own = release.parse((zips / "release.json").read_text(), "x")
    release.write_release_file(zips, replace(own, files={}))
    with mirror.serve(zips) as server:
        for source in (server.url, str(zips)):
            with pytest.raises(InputError, match=f"release.json tells of no {ZIP1}"):
                fetch(source=source)


def test_no_zip_at_all_is_refused(tmp_path, made):
    zips = shutil.copytree(made / "zips", tmp_path / "zips")
    own = release.parse((zips / "release.json").read_text(), "x")
    (zips / VIDEO_ZIP).write_bytes(b"not a zip" * 1000)
    facts = FileInfo(9000, "")
    release.write_release_file(zips, replace(own, files={**own.files, VIDEO_ZIP: facts}))
    with mirror.serve(zips) as server, pytest.raises(InputError, match=f"{VIDEO_ZIP}: not a whole zip"):
        fetch(["task1"], ["all"], server.url)
    with pytest.raises(InputError, match=f"{VIDEO_ZIP}: not a whole zip"):
        fetch(["task1"], ["all"], str(zips))


# --- from a folder --------------------------------------------------------------------------------------------------


def test_an_unpacked_folder_is_linked(made):
    folder = fetch(source=str(made / "unpacked"))
    assert_exact(folder, made)
    links = [path for path in folder.rglob("*.*") if path.name not in ("fetched.json", "release.json")]
    assert len(links) == 8
    for path in links:
        assert path.is_symlink() and path.resolve() == (made / "unpacked" / path.relative_to(folder)).resolve()
    fetch(source=str(made / "unpacked"), verify=True)


def test_a_folder_of_zips_is_unpacked_and_left_alone(made):
    before = {path: path.stat().st_mtime_ns for path in (made / "zips").iterdir()}
    assert_exact(fetch(source=str(made / "zips")), made)
    assert before == {path: path.stat().st_mtime_ns for path in (made / "zips").iterdir()}


def test_a_folder_that_lacks_something_or_has_it_wrong_is_refused(tmp_path, made):
    copy = shutil.copytree(made / "unpacked", tmp_path / "copy")
    video = copy / "task1_videos_mp4/train/m002.mp4"
    video.write_bytes(video.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"m002.mp4: has 1,299,999 bytes, the released video 1,300,000"):
        fetch(source=str(copy))
    video.unlink()
    with pytest.raises(InputError, match=r"has neither task1_videos_mp4/train/m002.mp4 nor task1_videos_mp4.zip"):
        fetch(source=str(copy))
    assert fetch(source=str(copy), videos=["m001", "m071"])
    with pytest.raises(InputError, match="no such folder"):
        fetch(source=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("kind", ["unpacked", "zips"])
def test_verify_finds_a_flipped_byte_and_names_the_file(tmp_path, made, kind):
    copy = shutil.copytree(made / kind, tmp_path / "copy")
    folder = fetch(source=str(copy))
    place = copy if kind == "unpacked" else folder
    for path in (Path("task1_videos_mp4/train/m002.mp4"), released_json("task3")[1]):
        content = bytearray((place / path).read_bytes())
        content[1000] ^= 1
        (place / path).write_bytes(content)
    with pytest.raises(InputError, match="not the released bytes") as error:
        fetch(source=str(copy), verify=True)
    assert "m002.mp4" in str(error.value) and "calms21_task3_test.json" in str(error.value)
    assert "m001" not in str(error.value)
    assert not (folder / "task1_videos_mp4/train/m002.mp4").exists() and "m002" not in fetched(folder).videos["held"]
    if kind == "unpacked":
        assert (copy / "task1_videos_mp4/train/m002.mp4").exists()  # the user's own is never touched
    else:
        assert_exact(fetch(source=str(copy), verify=True), made)


# --- what is refused before anything is fetched ----------------------------------------------------------------------


def test_a_disk_too_small_is_told_before_anything_is_fetched(server, made, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(5_000_000))
    for source in (server.url, str(made / "zips")):
        with pytest.raises(InputError, match=r"fetching needs 0.0 GB, and its disk has 0.0 GB free"):
            fetch(source=source)
    assert server.sent[ZIP1] <= 1 and server.sent[VIDEO_ZIP] <= TAIL + 1
    assert fetch(source=str(made / "unpacked"))  # links take no room


def test_nothing_is_put_into_the_project(server, monkeypatch, tmp_path):
    from mbrepro import paths

    for project in (paths.SOURCE, tmp_path / "study"):
        monkeypatch.setenv("MBREPRO_DATA", str(project / "data"))
        with pytest.raises(InputError, match="inside the project"):
            fetch(source=server.url)
        assert not (project / "data").exists()
    assert server.requests.total() == 0


def test_the_notice_comes_before_the_data(server, monkeypatch, capsys):
    server.misbehave(ZIP1, Status(404), always=True)
    with pytest.raises(InputError):
        fetch(source=server.url)
    assert "cite nobody" in capsys.readouterr().out
    known = fetched(data_folder(server.url))
    assert known.notice_shown and not known.files and server.sent[ZIP1] == 0


def test_two_releases_never_mix(tmp_path, made):
    source = shutil.copytree(made / "unpacked", tmp_path / "source")
    folder = fetch(source=str(source), videos=["2"])
    own = json.loads((source / "release.json").read_text())
    (source / "release.json").write_text(json.dumps({**own, "title": "Another"}))
    with pytest.raises(InputError, match="holds another release than"):
        fetch(source=str(source))
    known = json.loads((folder / "fetched.json").read_text())
    (folder / "fetched.json").write_text(json.dumps({**known, "source": "elsewhere"}))
    with pytest.raises(InputError, match="holds data fetched from elsewhere"):
        fetch(source=str(source))


def test_a_mirror_that_has_changed_is_told(tmp_path, made):
    zips = shutil.copytree(made / "zips", tmp_path / "zips")
    with mirror.serve(zips) as server:
        fetch(["task1"], ["none"], server.url)
        own = json.loads((zips / "release.json").read_text())
        (zips / "release.json").write_text(json.dumps({**own, "title": "Another"}))
        with pytest.raises(InputError, match="holds another release than"):
            fetch(["task1", "task3"], ["none"], server.url)


def test_two_fetches_at_once_are_refused(made):
    source = str(made / "unpacked")
    with fetch_module.alone(data_folder(source)), pytest.raises(InputError, match="another mbrepro fetch"):
        fetch(source=source)


def test_from_the_command_line(made, capsys, monkeypatch):
    source = str(made / "unpacked")
    assert cli.main(["fetch", "calms21", "--task", "1", "--videos", "2", "--from", source]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(data_folder(source))
    monkeypatch.setenv("MBREPRO_CALMS21", source)
    assert cli.main(["fetch", "calms21", "--videos", "m009"]) == 2
    assert capsys.readouterr().err.startswith("mbrepro: --videos takes all, none, a number or names such as m001")
