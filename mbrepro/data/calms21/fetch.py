"""Fetch CalMS21 from its record, a mirror or a folder: checked, resumed, and never into the project.

Over HTTP, poses and labels come as whole zips, checked by md5, unpacked and removed; videos are taken one by one out of
the record's 28 GB zip, checked by size, CRC-32 and SHA-256. What lies unpacked in a folder is linked.
"""

import contextlib
import datetime
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import filelock
import pooch
from tqdm import tqdm

from mbrepro import paths
from mbrepro.data.calms21 import release as releases
from mbrepro.data.calms21.download import Connection, Member, find_member, local_members, remote_members, resume, unpack
from mbrepro.data.calms21.release import RELEASE_FILE, VIDEO_ZIP, ZIPS, Fetched, Release, data_folder, fetched
from mbrepro.errors import InputError

CONNECTIONS = 4
UNPACKED_TIMES = 4  # disk for a zip of JSON and what is in it, times the zip; digits deflate to more than a third
Facts = tuple[dict[str, dict], dict[str, str]]  # size and SHA-256 by path, and md5 by zip


def fetch(
    tasks: Sequence[str] = ("task1", "task3"), videos: Sequence[str] = ("all",), source: str = "", verify: bool = False
) -> Path:
    """Bring what is not there yet of CalMS21 to the source's data folder, and return that folder.

    tasks: "task1", "task3". videos: as `choose_videos` takes them. source: a mirror's URL, a folder with the zips or
    the unpacked release, or "" for the official record. verify: compare the SHA-256 of everything there, which is
    otherwise told by its size. Raises InputError for whatever goes wrong; what has come is kept for the next call.
    """
    folder, source = data_folder(source), releases.normal(source)
    with alone(folder):
        origin = (Server if releases.is_url(source) or not source else Folder)(folder, source, _release(folder, source))
        names = releases.choose_videos(origin.release, videos)
        tasks = [task for task in tasks if not _has_task(folder, task)]
        if tasks or not all(map(origin.has, names)):
            _bring(origin, tasks, names)
        else:
            print("Everything asked for is already there; nothing was fetched.")
        known = _note(origin)
        if verify:
            _verify(origin, known)
    return folder


def chosen_videos(wanted: Sequence[str], source: str = "") -> list[str]:
    """Names of the videos that `fetch` would bring; a source that was fetched before is not asked again."""
    return releases.choose_videos(_release(data_folder(source), releases.normal(source)), wanted)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one fetch write to a data folder; raises InputError if another does, or it lies inside the project."""
    if any(folder.resolve().is_relative_to(project.resolve()) for project in (paths.SOURCE, paths.root())):
        raise InputError(
            f"{folder}: lies inside the project, which never holds data; set MBREPRO_DATA to a folder elsewhere"
        )
    try:
        with filelock.FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0):
            yield
    except filelock.Timeout as error:
        raise InputError(f"{folder}: another mbrepro fetch is writing there; wait for it to end") from error


def _release(folder: Path, source: str) -> Release:
    """The release of a source; a server that was fetched from before is not asked again."""
    known = fetched(folder)
    if known is None:
        return _ask_release(source)
    path = folder / RELEASE_FILE
    kept = releases.read_release(path) if path.is_file() else releases.official()
    if known.simulated != kept.simulated or known.source != (source or kept.url):
        raise InputError(f"{folder}: holds data fetched from {known.source}; delete it, or keep to that source")
    if not releases.is_url(source):
        _check_same(folder, source, kept)
    return kept


def _check_same(folder: Path, source: str, kept: Release) -> None:
    if _ask_release(source) != kept:
        raise InputError(f"{folder}: holds another release than {source} has now; delete the folder and fetch again")


def _ask_release(source: str) -> Release:
    """The official release, unless what lies at the source says of itself that it is simulated."""
    text = None
    if releases.is_url(source):
        text = Connection().text(f"{source}/{RELEASE_FILE}")
    elif source and not Path(source).is_dir():
        raise InputError(f"{source}: no such folder; --from takes a folder or a URL starting with http")
    elif source and (path := Path(source) / RELEASE_FILE).is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
    if text is not None:
        with contextlib.suppress(InputError):  # somebody's own file of that name
            if (own := releases.parse(text, source)).simulated is True:
                return own
    return releases.official()


def _has_task(folder: Path, task: str) -> bool:
    files = known.files if (known := fetched(folder)) else {}
    names = [str(path) for path in releases.released_json(task)]
    return all(name in files and releases.file_size(folder / name) == files[name]["size"] for name in names)


def _note(origin: "Folder | Server", files: Mapping[str, Mapping] = {}, zips: Mapping[str, str] = {}) -> Fetched:
    """Record what is there now, and `files` and `zips` that have just come; what is recorded."""
    release = origin.release
    summary = {key: getattr(release, key) for key in ("title", "doi", "notice", "simulated")}
    today = datetime.date.today().isoformat()
    known = fetched(origin.folder) or Fetched(origin.source or release.url, summary, today, {}, {}, {})
    videos = {"held": list(filter(origin.has, release.videos)), "of": len(release.videos)}
    now = replace(known, files={**known.files, **files}, zips={**known.zips, **zips}, videos=videos)
    releases.record(origin.folder, now)
    return now


def _bring(origin: "Folder | Server", tasks: list[str], names: list[str]) -> None:
    """Show and record the notice, see that there is room, then bring poses and labels, and then videos."""
    print(origin.release.notice, flush=True)
    if releases.is_url(origin.source) and fetched(origin.folder) is not None:
        _check_same(origin.folder, origin.source, origin.release)
    if origin.release.simulated:
        releases.write_release_file(origin.folder, origin.release)
    _note(origin)
    origin.scratch.mkdir(exist_ok=True)
    try:
        origin.prepare(tasks, names)
        for task in tasks:
            _note(origin, *origin.bring_task(task))
            origin.partial(ZIPS[task]).unlink(missing_ok=True)  # not before what was in it is recorded
        _bring_videos(origin, [name for name in names if not origin.has(name)])
    finally:
        origin.close()
        with contextlib.suppress(OSError):  # it still holds what the next call goes on with
            origin.scratch.rmdir()


def _bring_videos(origin: "Folder | Server", names: list[str]) -> None:
    """Bring videos, several at a time, and record each once it is in place; an error stops the others."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        try:
            for done in as_completed([pool.submit(origin.bring_video, name) for name in names]):
                done.result()
                _note(origin)
        finally:
            origin.connection.stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _verify(origin: "Folder | Server", known: Fetched) -> None:
    """Compare the SHA-256 of everything that is there; what is wrong loses its place and is named in an InputError."""
    folder, release = origin.folder, origin.release
    expected = {Path(path): facts["sha256"] for path, facts in known.files.items()}
    expected |= {release.video_path(name): release.videos[name].sha256 for name in known.videos["held"]}
    wrong = []
    for path, sha256 in tqdm(expected.items(), "verify", unit="file", disable=None):
        if not (folder / path).is_file() or pooch.file_hash(str(folder / path)) != sha256:
            wrong.append(str((folder / path).resolve()))
            (folder / path).unlink(missing_ok=True)
    if wrong:
        _note(origin)
        raise InputError(
            f"{', '.join(wrong)}: not the released bytes, and so taken out of {folder}; fetch again to have them anew"
        )
    print(f"All {len(expected)} files have the right SHA-256.")


class _Origin:
    """What a release is brought from to `folder`; the two kinds differ in where zips lie and whether all is in them."""

    def __init__(self, folder: Path, source: str, release: Release):
        self.folder, self.source, self.release = folder, source, release
        self.scratch = folder.with_name(f"{folder.name}.partial")
        self.connection = Connection(CONNECTIONS)
        self.bar: tqdm | None = None

    def has(self, name: str) -> bool:
        """Whether a video is there, told by its size: it only gets its name once its bytes are right."""
        return releases.file_size(self.folder / self.release.video_path(name)) == self.release.videos[name].size

    def partial(self, name: str) -> Path:
        return self.scratch / f"{name}.partial"

    def check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.scratch).free
        if needed > free:
            raise InputError(
                f"{self.folder}: fetching needs {needed / 1e9:.1f} GB, and its disk has {free / 1e9:.1f} GB free; ask "
                "for fewer --videos, or set MBREPRO_DATA to a folder on a larger disk"
            )

    def show_progress(self, total: int, initial: int) -> None:
        self.bar = bar = tqdm(total=total, initial=initial, unit="B", unit_scale=True, desc="CalMS21", disable=None)
        self.connection.progress = bar.update

    def unpack_task(self, task: str, path: Path, origin: object) -> Facts:
        """Unpack a zip of poses and labels whose md5 is right."""
        info = self.release.zip_info(ZIPS[task])
        if pooch.file_hash(str(path), alg="md5") != info.md5:
            if path.parent == self.scratch:
                path.unlink()
            raise InputError(
                f"{origin}: not the released file (its md5 differs); use another mirror, or fetch it again"
            )
        members = local_members(path, origin)
        chosen = {released: find_member(members, released.name, origin) for released in releases.released_json(task)}
        self.check_room(sum(member.info.file_size for member in chosen.values()))
        files = {}
        for released, member in chosen.items():
            sha256 = unpack(path, member.start, member.info, self.folder / released, self.scratch, origin)
            files[str(released)] = {"size": member.info.file_size, "sha256": sha256}
        return files, {ZIPS[task]: info.md5}

    def member(self, members: list[Member], name: str, origin: object) -> Member:
        """A video's member, known by its size and CRC-32 to be the released one."""
        member, info = find_member(members, f"{name}.mp4", origin), self.release.videos[name]
        if (member.info.file_size, f"{member.info.CRC:08x}") != (info.size, info.crc32):
            raise InputError(f"{origin}: its {member.info.filename} is not the released video (size or CRC-32 differ)")
        return member

    def unpack_video(self, name: str, path: Path, start: int, member: Member, origin: object) -> None:
        target = self.folder / self.release.video_path(name)
        unpack(path, start, member.info, target, self.scratch, origin, self.release.videos[name].sha256)

    def close(self) -> None:
        """Stop what is still running."""
        self.connection.stopping.set()
        self.connection.session.close()
        if self.bar is not None:
            self.bar.close()


class Folder(_Origin):
    """A folder of the user's own: what lies unpacked there is linked, zips are unpacked and left alone."""

    def prepare(self, tasks: list[str], names: list[str]) -> None:
        """See that everything is there, and that the disk has room for what is in zips."""
        wanted = {task: json for task in tasks if not self.holds(*(json := releases.released_json(task)))}
        zips = sum(self.zip(ZIPS[task], json[0]).stat().st_size for task, json in wanted.items())
        packed = [n for n in names if not self.has(n) and not self.holds(self.release.video_path(n))]
        for name in packed:
            self.zip(VIDEO_ZIP, self.release.video_path(name))
        self.check_room(UNPACKED_TIMES * zips + sum(self.release.videos[name].size for name in packed))
        self.show_progress(sum(self.release.videos[name].size for name in names if not self.has(name)), 0)

    def bring_task(self, task: str) -> Facts:
        """Link a task's files, or unpack its zip."""
        files, released = {}, releases.released_json(task)
        if not self.holds(*released):
            archive = self.zip(ZIPS[task], released[0])
            return self.unpack_task(task, archive, archive)
        for path in released:
            self.link(path)
            there = self.folder / path
            files[str(path)] = {"size": there.stat().st_size, "sha256": pooch.file_hash(str(there))}
        return files, {}

    def bring_video(self, name: str) -> None:
        """Link a video, or unpack it."""
        path, info = self.release.video_path(name), self.release.videos[name]
        size = releases.file_size(Path(self.source) / path)
        if size is None:
            archive = self.zip(VIDEO_ZIP, path)
            member = self.member(local_members(archive, archive), name, archive)
            self.unpack_video(name, archive, member.start, member, archive)
        elif size != info.size:
            raise InputError(f"{Path(self.source) / path}: has {size:,} bytes, the released video {info.size:,}")
        else:
            self.link(path)
        self.connection.progress(info.size)

    def holds(self, *files: Path) -> bool:
        return all((Path(self.source) / path).is_file() for path in files)

    def zip(self, name: str, wanted: Path) -> Path:
        if not self.holds(Path(name)):
            raise InputError(f"{self.source}: has neither {wanted} nor {name}; fetch takes the released layout")
        return Path(self.source) / name

    def link(self, path: Path) -> None:
        target, temporary = self.folder / path, self.scratch / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(Path(self.source) / path)
        temporary.replace(target)


class Server(_Origin):
    """The record itself or a mirror, over HTTP."""

    def url(self, name: str) -> str:
        return f"{self.source}/{name}" if self.source else f"{self.release.url}/{name}?download=1"

    def size(self, name: str, whole: bool) -> int:
        return self.connection.size(self.url(name), self.release.zip_info(name).size, whole)

    def prepare(self, tasks: list[str], names: list[str]) -> None:
        """Ask for sizes, see that the disk has room, and start the progress bar where an earlier call ended."""
        self.sizes = {name: self.size(name, whole=True) for name in [ZIPS[task] for task in tasks]}
        lacking, url = [name for name in names if not self.has(name)], self.url(VIDEO_ZIP)
        members = remote_members(self.connection, url, self.size(VIDEO_ZIP, whole=False)) if lacking else []
        self.members = {name: self.member(members, name, url) for name in names if lacking}
        packed = {name: member.stop - member.start for name, member in self.members.items()}
        partly = sum(releases.file_size(self.partial(name)) or 0 for name in [*self.sizes, *lacking])
        videos, zips = sum(self.release.videos[name].size for name in lacking), sum(self.sizes.values())
        at_once = sum(sorted(packed[name] for name in lacking)[-CONNECTIONS:])
        self.check_room(videos + at_once + UNPACKED_TIMES * zips - partly)
        held = sum(size for name, size in packed.items() if name not in lacking)
        self.show_progress(zips + sum(packed.values()), held + partly)

    def bring_task(self, task: str) -> Facts:
        """Fetch and unpack a task's zip."""
        name = ZIPS[task]
        resume(self.connection, self.url(name), self.partial(name), 0, self.sizes[name], restart=True)
        return self.unpack_task(task, self.partial(name), self.url(name))

    def bring_video(self, name: str) -> None:
        """Fetch a video's part of the zip and unpack it; what is wrong is not kept."""
        member, partial, url = self.members[name], self.partial(name), self.url(VIDEO_ZIP)
        resume(self.connection, url, partial, member.start, member.stop)
        try:
            self.unpack_video(name, partial, 0, member, url)
        except InputError:
            partial.unlink()
            raise
        partial.unlink()
