"""Bytes over HTTP that go on where they stopped: whole files, and single members of a zip that stays on its server."""

import hashlib
import io
import stat
import threading
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import requests
import urllib3
from remotezip import PartialBuffer, RemoteZip, RemoteZipError
from requests.adapters import HTTPAdapter

from mbrepro.errors import InputError

TIMEOUT_SECONDS = 30.0  # a connection that brings nothing for so long is given up and made anew
TRIES = 6  # in a row that bring nothing, before a server is given up
BACKOFF_SECONDS = 1.0  # before the second try; twice as long before each further one
PIECE = 1 << 18  # bytes read at a time, each written at once: what a kill can lose
_KEPT = "what was fetched is kept, and the same command goes on from there"
_THROWN_AWAY = "it was thrown away; fetch it again, or from another mirror"
_BAD_BYTES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, RemoteZipError)


class Stopped(Exception):
    """Another download of the same command failed or the user stopped it."""


@dataclass
class Connection:
    """A server's connections, the progress of all downloads over them, and the sign to stop them."""

    session: requests.Session
    progress: Callable[[int], object] = lambda count: None
    stopping: threading.Event = field(default_factory=threading.Event)

    def get(self, url: str, first: int, last: int) -> requests.Response:
        """Ask for the bytes `first` to `last` of a file; raises InputError if the server refuses for good."""
        response = self._ask(url, {"Range": f"bytes={first}-{last}"})
        if response.status_code == 404:
            raise InputError(f"{url}: the server has no such file (404); check the address given with --from")
        if response.status_code == 416:
            raise InputError(f"{url}: the server's file ends before byte {first}, so it is not the released one")
        return response

    def text(self, url: str) -> str | None:
        """A small text file, or None if the server has none."""
        with self._ask(url, {}) as response:
            return None if response.status_code == 404 else response.text

    def _ask(self, url: str, headers: dict[str, str]) -> requests.Response:
        headers = {"Accept-Encoding": "identity", **headers}
        try:
            response = self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise InputError(f"{url}: the server cannot be reached ({_reason(error)}); {_KEPT}") from error
        if response.status_code not in (200, 206, 404, 416):
            response.close()
            raise InputError(f"{url}: the server answers {response.status_code} {response.reason}; {_KEPT}")
        return response


def connect(connections: int) -> Connection:
    """Connections to a server that wait and ask again when it is busy (429, 5xx; as long as it says) or away."""
    retry = urllib3.Retry(
        TRIES, backoff_factor=BACKOFF_SECONDS, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False,
        retry_after_max=300,
    )  # fmt: skip
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=connections, max_retries=retry))
    return Connection(session)


def _reason(error: Exception) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or type(error).__name__


def remote_size(connection: Connection, url: str) -> tuple[int, bool]:
    """A file's size in bytes, and whether its server gives ranges of it."""
    with connection.get(url, 0, 0) as response:
        ranged = response.status_code == 206
        size = response.headers.get("Content-Range", "").rpartition("/")[2] if ranged else ""
        size = size or response.headers.get("Content-Length", "")
    if not size.isdigit():
        raise InputError(f"{url}: the server does not say how large the file is")
    return int(size), ranged


def resume(connection: Connection, url: str, partial: Path, start: int, stop: int, restart: bool = False) -> None:
    """As `append`, to a file that may be there already; one that is too long is begun anew."""
    if partial.exists() and partial.stat().st_size > stop - start:
        partial.unlink()
    with partial.open("ab", buffering=0) as sink:
        append(connection, url, sink, start, stop, restart)


def append(connection: Connection, url: str, sink: BinaryIO, start: int, stop: int, restart: bool = False) -> None:
    """Append the bytes of a file from `start` to before `stop` to `sink`, going on after those it holds already.

    restart: begin anew if the server sends the whole file instead of a range, which otherwise raises InputError, as
    does a server that brings nothing in `TRIES` attempts in a row.
    """
    best, idle = sink.tell(), 0
    while sink.tell() < stop - start:
        if connection.stopping.is_set():
            raise Stopped
        if idle and connection.stopping.wait(BACKOFF_SECONDS * 2 ** (idle - 1)):
            raise Stopped
        with connection.get(url, start + sink.tell(), stop - 1) as response:
            if response.status_code == 200:
                _begin_anew(connection, url, sink, restart)
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {start + sink.tell()}-"):
                raise InputError(f"{url}: the server sends other bytes than it was asked for")
            reason = _copy(connection, response, sink, stop - start)
        idle = 0 if sink.tell() > best else idle + 1
        best = max(best, sink.tell())
        if idle == TRIES:
            raise InputError(f"{url}: the connection brings nothing more ({reason}); {_KEPT}")


def _begin_anew(connection: Connection, url: str, sink: BinaryIO, restart: bool) -> None:
    if not restart:
        raise InputError(
            f"{url}: the server ignores ranges, so a single video cannot be taken out of the zip; download the whole "
            "zip yourself and give its folder with --from"
        )
    connection.progress(-sink.tell())
    sink.seek(0)
    sink.truncate()


def _copy(connection: Connection, response: requests.Response, sink: BinaryIO, size: int) -> str:
    """Copy a body until `sink` holds `size` bytes or the connection ends; say why it ended."""
    try:
        while (left := size - sink.tell()) and (piece := response.raw.read1(min(PIECE, left))):
            sink.write(piece)
            connection.progress(len(piece))
            if connection.stopping.is_set():
                raise Stopped
    except urllib3.exceptions.HTTPError as error:
        return _reason(error)
    return "it ends early"


class _Ranges:
    """What RemoteZip reads the directory of a zip from; every range is fetched once."""

    def __init__(self, connection: Connection, url: str, size: int):
        self.connection, self.url, self.size = connection, url, size
        self.kept: dict[tuple[int, int], bytes] = {}

    def fetch(self, asked: tuple[int, int | None], stream: bool = False) -> PartialBuffer:
        first, last = asked if asked[1] is not None else (max(0, self.size + asked[0]), self.size - 1)
        if (first, last) not in self.kept:
            buffer = io.BytesIO()
            append(self.connection, self.url, buffer, first, last + 1)
            self.kept[first, last] = buffer.getvalue()
        content = self.kept[first, last]
        return PartialBuffer(io.BytesIO(content), first, len(content), stream=False)


class _OnDisk:
    """The same for a member whose bytes in the zip are all in a file."""

    def __init__(self, ranges: _Ranges, file: BinaryIO):
        self.ranges, self.file = ranges, file

    def fetch(self, asked: tuple[int, int | None], stream: bool = False) -> PartialBuffer:
        if not stream:
            return self.ranges.fetch(asked)
        return PartialBuffer(self.file, asked[0], asked[1] - asked[0] + 1, stream=True)


class RemoteMembers:
    """A zip on a server: its directory, and members of it, each fetched as one range.

    Raises InputError if the server ignores ranges, or what lies there is no zip or not of the size expected.
    """

    def __init__(self, connection: Connection, url: str, size: int | None):
        self.connection, self.url = connection, url
        found, ranged = remote_size(connection, url)
        if size not in (None, found):
            raise InputError(
                f"{url}: the server's file has {found:,} bytes, the released one {size:,}; nothing is kept"
            )
        if not ranged:
            _begin_anew(connection, url, io.BytesIO(), restart=False)
        self.ranges = _Ranges(connection, url, found)
        with self.open(self.ranges) as archive:
            self.members = safe_members(archive, url)
            edges = sorted(info.header_offset for info in archive.infolist())
            following = dict(zip(edges, [*edges[1:], archive.start_dir], strict=True))
        self.spans = {info.filename: (info.header_offset, following[info.header_offset]) for info in self.members}

    def open(self, reads_from: _Ranges | _OnDisk) -> zipfile.ZipFile:
        try:
            return RemoteZip(self.url, fetcher=lambda *_, **__: reads_from)
        except _BAD_BYTES as error:
            raise InputError(f"{self.url}: not a whole zip ({error}); use another mirror") from error

    def span(self, member: zipfile.ZipInfo) -> int:
        """Bytes that a member takes in the zip."""
        start, stop = self.spans[member.filename]
        return stop - start

    def fetch(self, member: zipfile.ZipInfo, partial: Path, target: Path, sha256: str) -> None:
        """Bring a member's compressed bytes to `partial`, going on where that ends, then unpack it to `target`."""
        start, stop = self.spans[member.filename]
        resume(self.connection, self.url, partial, start, stop)
        try:
            with partial.open("rb") as file, self.open(_OnDisk(self.ranges, file)) as archive:
                unpack(archive, member, target, partial.parent, self.url, sha256)
        except InputError:
            partial.unlink()
            raise
        partial.unlink()


def safe_members(archive: zipfile.ZipFile, origin: object) -> list[zipfile.ZipInfo]:
    """Return a zip's files; raises InputError naming any member that could write outside of a folder or is no file."""
    for info in archive.infolist():
        path = PurePosixPath(info.orig_filename.replace("\\", "/"))
        kind = stat.S_IFMT(info.external_attr >> 16)
        outside = path.is_absolute() or ".." in path.parts or ":" in str(path)
        if outside or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InputError(
                f"{origin}: refused, as its member {info.orig_filename!r} is not a plain file inside a folder"
            )
    return [info for info in archive.infolist() if not info.is_dir()]


def find_member(members: list[zipfile.ZipInfo], name: str, origin: object) -> zipfile.ZipInfo:
    """The one member whose last part is `name`; raises InputError if there is none, or several."""
    found = [info for info in members if PurePosixPath(info.filename).name == name]
    if len(found) != 1:
        raise InputError(f"{origin}: it holds {len(found)} files called {name}, not one; it is not the released zip")
    return found[0]


def unpack(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, scratch: Path, origin: object, sha256: str = ""
) -> str:
    """Unpack a member and return its SHA-256; `target` appears only when size, CRC-32 and SHA-256 (if given) are right.

    scratch: a folder on the same disk. Raises InputError naming the file if its bytes are wrong.
    """
    temporary, digest = scratch / target.name, hashlib.sha256()
    try:
        with archive.open(member) as packed, temporary.open("wb") as out:
            while piece := packed.read(1 << 20):
                digest.update(piece)
                out.write(piece)
        if sha256 not in ("", digest.hexdigest()):
            raise InputError(f"{origin}: {member.filename} has the SHA-256 of another file; {_THROWN_AWAY}")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
    except _BAD_BYTES as error:
        raise InputError(f"{origin}: {member.filename} is damaged ({error}); {_THROWN_AWAY}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return digest.hexdigest()
