"""Bytes over HTTP that go on where they stopped, which neither pooch nor remotezip can, and what zips hold."""

import bisect
import contextlib
import hashlib
import io
import lzma
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from remotezip import PartialBuffer, RemoteFetcher, RemoteZip, RemoteZipError
from requests.adapters import HTTPAdapter

from mbrepro.errors import InputError

TIMEOUT_SECONDS = 30.0  # a connection that brings nothing for so long is given up and made anew
TRIES = 6  # in a row that bring nothing, before a server is given up
BACKOFF_SECONDS = 1.0  # before the second try; twice as long before each further one
MOST_TEXT = 1 << 24  # bytes of a description of a release; CalMS21's has 2 ** 14
PIECE = 1 << 18  # bytes read at a time, each written at once: what a kill can lose
_KEPT = "what was fetched is kept, and the same command goes on from there"
_THROWN_AWAY = "it was thrown away; fetch it again, or from another mirror"
# What zipfile raises over a damaged zip: an unknown method or a password flag are RuntimeErrors.
_BAD_BYTES = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, RemoteZipError, LookupError,
    UnicodeDecodeError, OverflowError,
)  # fmt: skip


class Stopped(Exception):
    """Another download of the same command failed or the user stopped it."""


class _MissingError(InputError):
    pass


class Connection:
    """A server's connections, which wait and ask again when it is busy (429, 5xx; as long as it says) or away.

    progress: called with the number of bytes that have come. stopping: set it to end all downloads over them.
    """

    def __init__(self, connections: int = 1):
        retry = urllib3.Retry(
            TRIES, backoff_factor=BACKOFF_SECONDS, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False,
            retry_after_max=300,
        )  # fmt: skip
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=connections, max_retries=retry))
        self.progress: Callable[[int], object] = lambda count: None
        self.stopping = threading.Event()

    def get(self, url: str, span: tuple[int, int] | None = None, checked: bool = True) -> requests.Response:
        """Ask for a file, or the first to the last byte of a span; raises InputError if the server refuses for good.

        checked: what comes is held against a checksum, so that another host that the server sends on to may send it.
        """
        hooks = {"response": lambda response, **_: _check_redirect(response, checked)}
        headers = {"Accept-Encoding": "identity"} | ({"Range": "bytes={}-{}".format(*span)} if span else {})
        try:
            response = self.session.get(url, headers=headers, hooks=hooks, stream=True, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise InputError(f"{url}: the server cannot be reached ({_reason(error)}); {_KEPT}") from error
        if response.status_code in (200, 206):
            return response
        response.close()
        if response.status_code == 404:
            raise _MissingError(f"{url}: the server has no such file (404); check the address given with --from")
        if span and response.status_code == 416:
            raise InputError(f"{url}: the server's file ends before byte {span[0]}, so it is not the released one")
        raise InputError(f"{url}: the server answers {response.status_code} {response.reason}; {_KEPT}")

    def text(self, url: str) -> str | None:
        """A small text file, or None if the server has none."""
        try:
            with self.get(url, checked=False) as response:
                return response.raw.read(MOST_TEXT).decode(errors="replace")
        except _MissingError:
            return None
        except urllib3.exceptions.HTTPError as error:
            raise InputError(f"{url}: the connection ends early ({_reason(error)}); {_KEPT}") from error

    def size(self, url: str, expected: int | None, whole: bool) -> int:
        """A file's size in bytes; raises InputError if another is `expected`, or it must not come `whole` but does."""
        with self.get(url, (0, 0)) as response:
            ranged = response.status_code == 206
            size = response.headers.get("Content-Range" if ranged else "Content-Length", "").rpartition("/")[2]
        if not size.isdigit():
            raise InputError(f"{url}: the server does not say how large the file is")
        if expected not in (None, int(size)):
            raise InputError(f"{url}: not the released file, as it has {int(size):,} bytes and not {expected:,}")
        if not (ranged or whole):
            raise _no_ranges(url)
        return int(size)


def _check_redirect(response: requests.Response, checked: bool) -> None:
    """Raise InputError if a server sends on from https to anything else, or unasked to another host."""
    if not response.is_redirect:
        return
    before, to = urlsplit(response.url), response.headers["location"]
    with contextlib.suppress(ValueError):  # of what is no address
        after = urlsplit(urljoin(response.url, to))
        same = before.netloc == after.netloc
        if (same and after.scheme == before.scheme) or (after.scheme == "https" and (same or checked)):
            return
    raise InputError(
        f"{response.url}: the server sends on to {to}, which is not followed; name that address with --from"
    )


def _no_ranges(url: str) -> InputError:
    return InputError(
        f"{url}: the server ignores ranges, so a single video cannot be taken out of the zip; download the whole zip "
        "yourself and give its folder with --from"
    )


def _reason(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or type(error).__name__


def resume(connection: Connection, url: str, partial: Path, start: int, stop: int, restart: bool = False) -> None:
    """As `append`, to a file that may be there already; one that is too long is begun anew."""
    if partial.exists() and partial.stat().st_size > stop - start:
        partial.unlink()
    with partial.open("ab", buffering=0) as sink:
        append(connection, url, sink, start, stop, restart)


def append(connection: Connection, url: str, sink: BinaryIO, start: int, stop: int, restart: bool = False) -> None:
    """Append the bytes of a file from `start` to before `stop` to `sink`, going on after those it holds already.

    restart: begin anew if the server sends the whole file instead of a range; InputError otherwise, and after `TRIES`
    attempts in a row that bring nothing.
    """
    best, idle = sink.tell(), 0
    while sink.tell() < stop - start:
        if connection.stopping.wait(BACKOFF_SECONDS * 2 ** (idle - 1) if idle else 0):
            raise Stopped
        with connection.get(url, (start + sink.tell(), stop - 1)) as response:
            if response.status_code == 200:
                if not restart:
                    raise _no_ranges(url)
                connection.progress(-sink.tell())
                sink.seek(0)
                sink.truncate()
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {start + sink.tell()}-"):
                raise InputError(f"{url}: the server sends other bytes than it was asked for")
            reason = _copy(connection, response, sink, stop - start)
        idle = 0 if sink.tell() > best else idle + 1
        best = max(best, sink.tell())
        if idle == TRIES:
            raise InputError(f"{url}: the connection brings nothing more ({reason}); {_KEPT}")


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


class Member(NamedTuple):
    """A zip's member, and the bytes of the zip, from `start` to before `stop`, that hold it behind its local header."""

    info: zipfile.ZipInfo
    start: int
    stop: int


class _Ranges(RemoteFetcher):
    """Lets RemoteZip read over a `Connection`, its "session", which goes on where a read was cut."""

    def fetch(self, data_range: tuple[int, int | None], stream: bool = False) -> PartialBuffer:
        size, (first, last) = self._kwargs["size"], data_range
        start, stop = (max(0, size + first), size) if last is None else (first, last + 1)
        buffer = io.BytesIO()
        append(self._session, self._url, buffer, start, stop)
        buffer.seek(0)
        return PartialBuffer(buffer, start, stop - start, stream=False)


def remote_members(connection: Connection, url: str, size: int) -> list[Member]:
    """The members of a zip of `size` bytes on a server; raises InputError as `local_members` does."""
    return _members(lambda: RemoteZip(url, session=connection, fetcher=_Ranges, size=size), url)


def local_members(path: Path, origin: object) -> list[Member]:
    """The files in a zip; raises InputError if it is none, or a member could write outside a folder or is no file."""
    return _members(lambda: zipfile.ZipFile(path), origin)


def _members(opened: Callable[[], zipfile.ZipFile], origin: object) -> list[Member]:
    try:
        with opened() as archive:
            infos, end = archive.infolist(), archive.start_dir
    except _BAD_BYTES as error:
        raise InputError(f"{origin}: not a whole zip ({error}); use another mirror") from error
    for info in infos:
        path = PurePosixPath(info.orig_filename.replace("\\", "/"))
        outside = not info.filename or path.is_absolute() or ".." in path.parts or ":" in str(path)
        if outside or stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InputError(
                f"{origin}: refused, as its member {info.orig_filename!r} is not a plain file inside a folder"
            )
    edges = [*sorted(info.header_offset for info in infos), end]
    if infos and edges[-2] >= end:
        raise InputError(f"{origin}: not a whole zip, as members lie behind its end; use another mirror")
    starts = [(info, info.header_offset) for info in infos if not info.is_dir()]
    return [Member(info, start, edges[bisect.bisect_right(edges, start)]) for info, start in starts]


def find_member(members: list[Member], name: str, origin: object) -> Member:
    """The one member whose last part is `name`; raises InputError if there is none, or several."""
    found = [member for member in members if PurePosixPath(member.info.filename).name == name]
    if len(found) != 1:
        raise InputError(f"{origin}: it holds {len(found)} files called {name}, not one; it is not the released zip")
    return found[0]


def unpack(
    path: Path, start: int, info: zipfile.ZipInfo, target: Path, scratch: Path, origin: object, sha256: str = ""
) -> str:
    """Unpack a member and return its SHA-256; `target` appears only when size, CRC-32 and SHA-256 (if given) are right.

    path, start: the file that holds the member, from that byte on. scratch: a folder on the same disk as `target`.
    Raises InputError naming the file if its bytes are wrong.
    """
    temporary, digest = scratch / target.name, hashlib.sha256()
    try:
        with path.open("rb") as file, temporary.open("wb") as out:
            file.seek(start)
            header = file.read(30)  # its last four bytes are the lengths of the name and the extra field
            file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:], "little"), io.SEEK_CUR)
            packed = zipfile.ZipExtFile(file, "r", info)
            while piece := packed.read(1 << 20):
                digest.update(piece)
                out.write(piece)
        if sha256 not in ("", digest.hexdigest()):
            raise InputError(f"{origin}: {info.filename} has the SHA-256 of another file; {_THROWN_AWAY}")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(target)
    except _BAD_BYTES as error:
        raise InputError(f"{origin}: {info.filename} is damaged ({error}); {_THROWN_AWAY}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return digest.hexdigest()
