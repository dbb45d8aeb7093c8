"""Where a release is brought from: its record or a mirror, over HTTP, or a folder of the user's own.

Poses and labels come as whole zips, checked by md5, which are unpacked and then removed. Videos are taken one by one
out of the record's 28 GB zip and checked by size, CRC-32 and SHA-256. What lies unpacked in a folder is linked.
"""

import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from pathlib import Path

import pooch
from tqdm import tqdm

from mbrepro.data.calms21.download import RemoteMembers, connect, find_member, remote_size, resume, safe_members, unpack
from mbrepro.data.calms21.release import (
    FOLDERS,
    VIDEO_ZIP,
    FileInfo,
    Release,
    VideoInfo,
    file_size,
    has_video,
    released_json,
)
from mbrepro.errors import InputError

UNPACKED_TIMES = 4  # disk for a zip of JSON and what is in it, times the zip; digits deflate to more than a third


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: fetching needs {needed / 1e9:.1f} GB, and its disk has {free / 1e9:.1f} GB free; ask for fewer "
            "--videos, or set MBREPRO_DATA to a folder on a larger disk"
        )


def _check_member(member: zipfile.ZipInfo, info: VideoInfo, origin: object) -> None:
    if (member.file_size, f"{member.CRC:08x}") != (info.size, info.crc32):
        raise InputError(f"{origin}: its {member.filename} is not the released video (size or CRC-32 differ)")


def _check_md5(path: Path, info: FileInfo, origin: object) -> None:
    if pooch.file_hash(str(path), alg="md5") != info.md5:
        raise InputError(f"{origin}: not the released file (its md5 differs); use another mirror, or fetch it again")


def _unpack_task(path: Path, origin: object, task: str, folder: Path, scratch: Path) -> dict[str, dict]:
    """Unpack a checked zip of poses and labels; return size and SHA-256 by path."""
    done = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = safe_members(archive, origin)
            chosen = {released: find_member(members, released.name, origin) for released in released_json(task)}
            _check_room(folder, sum(member.file_size for member in chosen.values()))
            for released, member in chosen.items():
                sha256 = unpack(archive, member, folder / released, scratch, origin)
                done[str(released)] = {"size": member.file_size, "sha256": sha256}
    except zipfile.BadZipFile as error:
        raise InputError(f"{origin}: not a whole zip ({error})") from error
    return done


class Server:
    """Brings a release over HTTP, from the record itself or a mirror."""

    def __init__(self, folder: Path, source: str, release: Release, scratch: Path, connections: int):
        self.folder, self.source, self.release, self.scratch = folder, source, release, scratch
        self.connections, self.connection = connections, connect(connections)
        self.sizes: dict[str, int] = {}
        self.bar = None

    def url(self, name: str) -> str:
        return f"{self.source}/{name}" if self.source else f"{self.release.url}/{name}?download=1"

    @cached_property
    def archive(self) -> RemoteMembers:
        return RemoteMembers(self.connection, self.url(VIDEO_ZIP), self.release.zip_info(VIDEO_ZIP).size)

    def partial(self, name: str) -> Path:
        return self.scratch / f"{name}.partial"

    def member(self, name: str) -> zipfile.ZipInfo:
        return find_member(self.archive.members, f"{name}.mp4", self.url(VIDEO_ZIP))

    def prepare(self, tasks: list[str], names: list[str]) -> None:
        """Ask for sizes, see that the disk has room, and start the progress bar where an earlier call ended."""
        there = {name: has_video(self.folder, self.release, name) for name in names}
        for name in (f"{FOLDERS[task]}.zip" for task in tasks):
            expected = self.release.zip_info(name).size
            self.sizes[name], _ = remote_size(self.connection, self.url(name))
            if expected not in (None, self.sizes[name]):
                raise InputError(f"{self.url(name)}: not the released file, as it has {self.sizes[name]:,} bytes")
        spans = {}
        if not all(there.values()):
            for name in names:
                _check_member(self.member(name), self.release.videos[name], self.url(VIDEO_ZIP))
                spans[name] = self.archive.span(self.member(name))
        lacking = [name for name in spans if not there[name]]
        partly = sum(file_size(self.partial(name)) or 0 for name in [*self.sizes, *lacking])
        packed = sorted(spans[name] for name in lacking)[-self.connections :]
        needed = sum(self.release.videos[name].size for name in lacking) + sum(packed)
        _check_room(self.folder, needed + UNPACKED_TIMES * sum(self.sizes.values()) - partly)
        total, held = sum(self.sizes.values()) + sum(spans.values()), sum(spans[name] for name in spans if there[name])
        self.bar = tqdm(total=total, initial=held + partly, unit="B", unit_scale=True, desc="CalMS21", disable=None)
        self.connection.progress = self.bar.update

    def bring_task(self, task: str) -> tuple[dict[str, dict], dict[str, str]]:
        """Fetch and unpack a task's zip; return its files' size and SHA-256, and its md5."""
        name = f"{FOLDERS[task]}.zip"
        partial, info = self.partial(name), self.release.zip_info(name)
        resume(self.connection, self.url(name), partial, 0, self.sizes[name], restart=True)
        try:
            _check_md5(partial, info, self.url(name))
        except InputError:
            partial.unlink()
            raise
        return _unpack_task(partial, self.url(name), task, self.folder, self.scratch), {name: info.md5}

    def forget(self, task: str) -> None:
        """Remove a task's zip, once what was in it is recorded."""
        self.partial(f"{FOLDERS[task]}.zip").unlink()

    def bring_videos(self, names: list[str]) -> Iterator[str]:
        """Fetch videos, several at a time; yields each when it is in place. An error stops the others."""
        with ThreadPoolExecutor(self.connections) as pool:
            waiting = {pool.submit(self.bring_video, name): name for name in names}
            try:
                for done in as_completed(waiting):
                    done.result()
                    yield waiting[done]
            finally:
                self.connection.stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def bring_video(self, name: str) -> None:
        target = self.folder / self.release.video_path(name)
        self.archive.fetch(self.member(name), self.partial(name), target, self.release.videos[name].sha256)

    def close(self) -> None:
        """Stop what is still running."""
        self.connection.stopping.set()
        self.connection.session.close()
        if self.bar is not None:
            self.bar.close()


class Folder:
    """Brings a release out of a folder of the user's own: unpacked files are linked, zips unpacked."""

    def __init__(self, folder: Path, source: str, release: Release, scratch: Path, connections: int):
        self.folder, self.source, self.release, self.scratch = folder, Path(source), release, scratch

    def prepare(self, tasks: list[str], names: list[str]) -> None:
        """See that everything is there, and that the disk has room for what is in zips."""
        needed = 0
        for task in tasks:
            if not all((self.source / path).is_file() for path in released_json(task)):
                needed += UNPACKED_TIMES * self.zip(FOLDERS[task], released_json(task)[0]).stat().st_size
        for name in names:
            path = self.release.video_path(name)
            if not (self.source / path).is_file() and not has_video(self.folder, self.release, name):
                self.zip(path.parts[0], path)
                needed += self.release.videos[name].size
        _check_room(self.folder, needed)

    def zip(self, name: str, wanted: Path) -> Path:
        path = self.source / f"{name}.zip"
        if not path.is_file():
            raise InputError(f"{self.source}: has neither {wanted} nor {path.name}; fetch takes the released layout")
        return path

    def bring_task(self, task: str) -> tuple[dict[str, dict], dict[str, str]]:
        """Link a task's files, or unpack its zip; return their size and SHA-256, and the zip's md5 if there is one."""
        if not all((self.source / path).is_file() for path in released_json(task)):
            path = self.zip(FOLDERS[task], released_json(task)[0])
            info = self.release.zip_info(path.name)
            _check_md5(path, info, path)
            return _unpack_task(path, path, task, self.folder, self.scratch), {path.name: info.md5}
        for path in released_json(task):
            self.link(path)
        return {str(path): file_facts(self.source / path) for path in released_json(task)}, {}

    def forget(self, task: str) -> None:
        """Nothing to remove: the zip is the user's own."""

    def bring_videos(self, names: list[str]) -> Iterator[str]:
        """Link or unpack videos; yields each when it is in place."""
        for name in tqdm(names, "CalMS21", unit="video", disable=None):
            path, info = self.release.video_path(name), self.release.videos[name]
            if (self.source / path).is_file():
                if (size := file_size(self.source / path)) != info.size:
                    raise InputError(f"{self.source / path}: has {size:,} bytes, the released video {info.size:,}")
                self.link(path)
            else:
                self.unpack_video(self.zip(path.parts[0], path), name)
            yield name

    def unpack_video(self, path: Path, name: str) -> None:
        info = self.release.videos[name]
        try:
            with zipfile.ZipFile(path) as archive:
                member = find_member(safe_members(archive, path), f"{name}.mp4", path)
                _check_member(member, info, path)
                unpack(archive, member, self.folder / self.release.video_path(name), self.scratch, path, info.sha256)
        except zipfile.BadZipFile as error:
            raise InputError(f"{path}: not a whole zip ({error})") from error

    def link(self, path: Path) -> None:
        target, temporary = self.folder / path, self.scratch / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(self.source / path)
        temporary.replace(target)

    def close(self) -> None:
        """Nothing is open."""


def file_facts(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
