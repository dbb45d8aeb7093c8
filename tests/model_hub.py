"""A loopback server that answers as the Hugging Face hub does when a checkpoint is downloaded."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextlib.contextmanager
def serve_model(name: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder as model `name`, owner/name, until the block ends; gives its address and the files asked for."""
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.daemon_threads = True
        server.RequestHandlerClass = partial(_Handler, name, folder, asked)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, name: str, folder: Path, asked: list[str], *arguments):
        self.name, self.folder, self.asked = name, folder, asked
        super().__init__(*arguments)

    def log_message(self, *_) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        files = {p.name: p for p in self.folder.iterdir()}
        listing, resolved = f"/api/models/{self.name}", f"/{self.name}/resolve/"
        if path.startswith((f"{listing}/tree/", f"{listing}/revision/")) or path == listing:
            told = [{"type": "file", "path": p.name, "size": p.stat().st_size, "oid": "0"} for p in files.values()]
            siblings = {"id": self.name, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            self._answer(json.dumps(told if "/tree/" in path else siblings).encode(), {})
        elif path.startswith(resolved) and path.rpartition("/")[2] in files:
            content = files[path.rpartition("/")[2]].read_bytes()
            if self.command == "GET":
                self.asked.append(path.rpartition("/")[2])
            self._answer(content, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'})
        else:
            self._answer(b"", {"X-Error-Code": "RepoNotFound"}, 404)

    do_HEAD = do_GET

    def _answer(self, content: bytes, headers: dict[str, str], code: int = 200) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
