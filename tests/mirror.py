"""A loopback HTTP server over a folder that counts what it sends and can be told to misbehave.

with mirror.serve(folder) as server:
    server.misbehave("a.zip", mirror.Cut(1000))
    fetch(source=server.url)
    server.sent["a.zip"], server.requests["a.zip"]
"""

import contextlib
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_BLOCK = 1 << 14


@dataclass(frozen=True)
class Cut:
    """Close the connection when this byte of the file is about to be sent."""

    at: int


@dataclass(frozen=True)
class Wrong:
    """Send this byte of the file with all its bits turned over."""

    at: int


@dataclass(frozen=True)
class IgnoreRange:
    """Answer a request for a range with the whole file."""


@dataclass(frozen=True)
class Stall:
    """Send nothing for so many seconds when this byte of the file is due."""

    at: int
    seconds: float


@dataclass(frozen=True)
class Status:
    """Answer with this status instead, and with a Retry-After if given."""

    code: int
    retry_after: str | None = None


@dataclass(frozen=True)
class Truncated:
    """Behave as if the file ended before this byte."""

    size: int


class Mirror:
    """What a running server was asked for, and how it is to misbehave.

    url: its address. sent: body bytes by path. requests: their number by path. pause: seconds before every block.
    """

    def __init__(self, folder: Path, port: int):
        self.folder, self.url = Path(folder), f"http://127.0.0.1:{port}"
        self.sent: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.pause = 0.0
        self._always: dict[str, list] = defaultdict(list)
        self._once: dict[str, list] = defaultdict(list)
        self._lock = threading.Lock()

    def misbehave(self, path: str, *faults, always: bool = False) -> None:
        """Misbehave with a path: `always`, or once for each fault. A `Status` is given before any other fault."""
        (self._always if always else self._once)[path].extend(faults)

    def behave(self) -> None:
        """Forget every fault."""
        self._always.clear()
        self._once.clear()

    def take(self, path: str, kind: type, start: int = 0, stop: int | None = None):
        """The fault of a kind that is due in bytes `start` to before `stop`, the first one; a single one is used up."""
        with self._lock:
            for faults in (self._always[path], self._once[path]):
                due = [f for f in faults if isinstance(f, kind) and (stop is None or start <= f.at < stop)]
                if due:
                    fault = min(due, key=lambda f: f.at) if stop is not None else due[0]
                    if faults is self._once[path]:
                        faults.remove(fault)
                    return fault
        return None


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Mirror]:
    """Serve a folder on 127.0.0.1 until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.daemon_threads = True
        mirror = Mirror(folder, server.server_address[1])
        server.RequestHandlerClass = partial(_Handler, mirror)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, mirror: Mirror, *arguments):
        self.mirror = mirror
        super().__init__(*arguments)

    def log_message(self, *_) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client has gone
            super().handle()

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        mirror, path = self.mirror, self.mirror.folder / name
        mirror.requests[name] += 1
        status = mirror.take(name, Status)
        if status is None and not path.is_file():
            status = Status(404)
        if status is not None:
            self._answer(status.code, 0, [("Retry-After", status.retry_after)] if status.retry_after else [])
            return
        truncated = mirror.take(name, Truncated)
        size = truncated.size if truncated else path.stat().st_size
        first, stop = 0, size
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked is None or mirror.take(name, IgnoreRange):
            self._answer(200, size, [])
        else:
            first, stop = _bounds(asked[1], asked[2], size)
            if first >= size:
                self._answer(416, 0, [("Content-Range", f"bytes */{size}")])
                return
            self._answer(206, stop - first, [("Content-Range", f"bytes {first}-{stop - 1}/{size}")])
        self._send(name, path, first, stop)

    def _answer(self, code: int, length: int, headers: list[tuple[str, str]]) -> None:
        self.send_response(code)
        for key, value in [("Content-Length", str(length)), *headers]:
            self.send_header(key, value)
        self.end_headers()

    def _send(self, name: str, path: Path, first: int, stop: int) -> None:
        mirror = self.mirror
        with path.open("rb") as file:
            while first < stop:
                time.sleep(mirror.pause)
                end = min(first + _BLOCK, stop)
                if stall := mirror.take(name, Stall, first, end):
                    time.sleep(stall.seconds)
                cut = mirror.take(name, Cut, first, end)
                end = cut.at if cut else end
                file.seek(first)
                block = bytearray(file.read(end - first))
                while wrong := mirror.take(name, Wrong, first, end):
                    block[wrong.at - first] ^= 0xFF
                    if wrong in mirror._always[name]:
                        break
                self.wfile.write(block)
                mirror.sent[name] += len(block)
                if cut:
                    self.close_connection = True
                    return
                first = end


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
