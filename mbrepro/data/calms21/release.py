"""What the CalMS21 release consists of, and where its local copy lies.

Checksums of the videos are those of the PyPI wheel vtrace-behavior 1.2.1 (Apache-2.0), sizes and md5 of the zips those
of the record, DOI 10.22002/D1.1991. A simulated release brings figures of its own, in the same form.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from mbrepro import paths
from mbrepro.artifacts import fingerprint, read_json, write_json
from mbrepro.data.recordings import SPLITS
from mbrepro.errors import InputError

FOLDERS = {"task1": "task1_classic_classification", "task3": "task3_new_behaviors"}
ZIPS = {task: f"{folder}.zip" for task, folder in FOLDERS.items()}
VIDEO_FOLDER = "task1_videos_mp4"  # the release has no videos of Task 3
VIDEO_ZIP = f"{VIDEO_FOLDER}.zip"
RELEASE_FILE = "release.json"
RECORD_FILE = "fetched.json"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class FileInfo:
    """A zip: its size in bytes, None where the record gives only megabytes, and its md5."""

    size: int | None
    md5: str


@dataclass(frozen=True)
class VideoInfo:
    """A video: "train" or "test", size in bytes, CRC-32 and SHA-256 as hexadecimal digits."""

    split: str
    size: int
    crc32: str
    sha256: str


@dataclass(frozen=True)
class Release:
    """A release in CalMS21's layout: zips by file name, videos by name without ".mp4", and the licence notice."""

    title: str
    doi: str
    url: str
    notice: str
    simulated: bool
    files: Mapping[str, FileInfo]
    videos: Mapping[str, VideoInfo]

    def video_path(self, name: str) -> Path:
        """Where a video lies in the unpacked release."""
        return Path(VIDEO_FOLDER) / self.videos[name].split / f"{name}.mp4"

    def zip_info(self, name: str) -> FileInfo:
        """Size and md5 of a zip; raises InputError if the release has none of that name."""
        if name not in self.files:
            raise InputError(f"{self.title}: its {RELEASE_FILE} tells of no {name}, so it cannot be checked")
        return self.files[name]


@dataclass(frozen=True)
class Fetched:
    """What `mbrepro fetch` has put into a data folder.

    release: title, doi, notice and whether it is simulated. notice_shown: ISO date. files: path in the folder → size
    and sha256 of poses and labels. zips: md5 of the zips they came out of. videos: names held, and of how many.
    """

    source: str
    release: Mapping[str, object]
    notice_shown: str
    files: Mapping[str, Mapping[str, object]]
    zips: Mapping[str, str]
    videos: Mapping[str, Any]

    @property
    def simulated(self) -> bool:
        return bool(self.release["simulated"])


@cache
def official() -> Release:
    """The record as published; read from the package, without a network."""
    return parse(files("mbrepro.data.calms21").joinpath("release.json").read_text(encoding="utf-8"), "package data")


def parse(text: str, origin: object) -> Release:
    """Read a release from the text of a release.json; raises InputError naming `origin` for what is missing or odd."""
    try:
        content = json.loads(text)
        zips = {name: FileInfo(**info) for name, info in content["files"].items()}
        videos = {name: VideoInfo(**info) for name, info in content["videos"].items()}
        fields = {key: content[key] for key in ("title", "doi", "url", "notice", "simulated")}
        whole = all(_are(info, size=int, md5=str) for info in zips.values() if info.size is not None)
        whole &= all(_are(info, split=str, size=int, crc32=str, sha256=str) for info in videos.values())
        if not whole or not _are(Release(**fields, files={}, videos={}), title=str, doi=str, url=str, notice=str):
            raise TypeError("a text or a number is something else")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{origin}: not the description of a release ({type(error).__name__}: {error})") from error
    for name, info in videos.items():
        if not _NAME.fullmatch(name) or info.split not in SPLITS:
            raise InputError(f"{origin}: no video can be called {name!r} in split {info.split!r}")
    return Release(**fields, files=zips, videos=videos)


def _are(what: object, **kinds: type) -> bool:
    return all(type(getattr(what, name)) is kind for name, kind in kinds.items())


def read_release(path: Path) -> Release:
    """Read a release.json; raises InputError as `parse`, and if it is no text."""
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not the description of a release, as it is no text ({error})") from error


def write_release_file(folder: Path, release: Release) -> None:
    """Describe the release in `folder/release.json`."""
    write_json(folder / RELEASE_FILE, asdict(release))


def json_path(folder: Path, task: str, split: str) -> Path:
    """Where the release keeps the poses and labels of "task1" or "task3", "train" or "test"."""
    return Path(folder) / FOLDERS[task] / f"calms21_{task}_{split}.json"


def released_json(task: str) -> list[Path]:
    """A task's poses and labels in the unpacked release: train, test."""
    return [json_path(Path(), task, split) for split in SPLITS]


def is_url(source: str) -> bool:
    """Whether a source is a server rather than a folder."""
    return source.startswith(("http://", "https://"))


def data_folder(source: str = "") -> Path:
    """Where `fetch` puts, and readers find, the data of a source: a URL, a folder, or "" for the official record.

    The folder lies in `paths.data()`; each source has its own, so that no two releases mix.
    """
    return paths.data() / (f"calms21-{fingerprint(normal(source))}" if source else "calms21")


def normal(source: str) -> str:
    """One spelling for one source: no slash at the end of a URL, an absolute path for a folder."""
    if not source or is_url(source):
        return source.rstrip("/")
    return str(Path(source).expanduser().absolute())


def fetched(folder: Path) -> Fetched | None:
    """What `fetch` recorded in a data folder, or None if it was never there; raises InputError for a broken record."""
    path = Path(folder) / RECORD_FILE
    if not path.is_file():
        return None
    try:
        known = Fetched(**read_json(path))
        if not _are(known, source=str, release=dict, files=dict, zips=dict, videos=dict):
            raise TypeError("an entry is of another kind")
        known.simulated, known.videos["held"], [info["size"] for info in known.files.values()]
        return known
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(f"{path}: not a record of mbrepro fetch ({error}); delete it and fetch again") from error


def record(folder: Path, what: Fetched) -> None:
    """Write the record of a data folder, unless it says the same already."""
    if fetched(folder) != what:
        write_json(Path(folder) / RECORD_FILE, asdict(what))


def choose_videos(release: Release, wanted: Sequence[str]) -> list[str]:
    """Names of the videos asked for: all, none, a number, or names, with or without ".mp4".

    A number is spread over train and test in the released proportion, at least one of each, first by number.
    Raises InputError for an unknown name or a number under 2.
    """
    if len(wanted) == 1 and wanted[0] in ("all", "none"):
        return list(release.videos) if wanted[0] == "all" else []
    if len(wanted) == 1 and wanted[0].lstrip("-").isdigit():
        count = int(wanted[0])
        if count < 2:
            raise InputError(f"--videos takes a number of at least 2, one of each split, not {count}; or none")
        train, test = (sorted(n for n, info in release.videos.items() if info.split == split) for split in SPLITS)
        first = min(max(1, round(count * len(train) / len(release.videos))), count - 1)
        return train[:first] + test[: count - first]
    names = [name.removesuffix(".mp4") for name in wanted]
    for name in names:
        if name not in release.videos:
            raise InputError(f"--videos takes all, none, a number or names such as {min(release.videos)}, not {name!r}")
    return [name for name in release.videos if name in names]


def file_size(path: Path) -> int | None:
    """A file's size in bytes, None if there is none."""
    return path.stat().st_size if path.is_file() else None
