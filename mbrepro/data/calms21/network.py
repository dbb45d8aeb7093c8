"""The official Task 1 network's file: where it is published, where its copy lies, and how it is fetched."""

import json
import shutil
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from mbrepro import paths
from mbrepro.artifacts import file_hash
from mbrepro.data.calms21.download import Connection, resume
from mbrepro.data.calms21.fetch import alone
from mbrepro.data.calms21.release import is_url, normal
from mbrepro.errors import InputError

FETCH = "run mbrepro fetch official"


@dataclass(frozen=True)
class NetworkFile:
    """A network's file as published: its name, whose repository holds it, its address, size in bytes and SHA-256."""

    title: str
    name: str
    source: str
    url: str
    size: int
    sha256: str
    notice: str
    comment: str = ""


@cache
def published_network() -> NetworkFile:
    """The file as published; read from the package, without a network."""
    return NetworkFile(**json.loads(files(__package__).joinpath("network.json").read_text(encoding="utf-8")))


def fetch_network(source: str = "") -> Path:
    """Bring the network's file unless it is there, and return where it lies.

    source: a mirror's URL or a folder that holds the file, or "" for its published address. Raises InputError for
    whatever goes wrong; what has come is kept for the next call, unless its SHA-256 is wrong.
    """
    info, target = published_network(), _fetched()
    with alone(target.parent):
        if _is_published(target):
            print("Everything asked for is already there; nothing was fetched.")
            return target
        print(info.notice, flush=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{info.name}.partial")
        origin = _bring(normal(source), info, partial)
        if not _is_published(partial):
            partial.unlink()
            raise InputError(f"{origin}: not the published network (its SHA-256 differs); fetch it again, or elsewhere")
        partial.replace(target)
    return target


def find_network() -> Path:
    """The network's file: the one fetched, or else the one among real data at hand; InputError if there is neither."""
    info, real = published_network(), paths.real_data()
    held = [path for path in (_fetched(), real and real / "official_baseline" / info.name) if path and path.is_file()]
    if not held:
        raise InputError(f"{info.title} is not in {_fetched().parent} yet: {FETCH}")
    if not _is_published(held[0]):
        raise InputError(f"{held[0]}: not the published network (its SHA-256 differs); {FETCH}")
    return held[0]


def _fetched() -> Path:
    return paths.data() / "official" / published_network().name


def _is_published(path: Path) -> bool:
    return path.is_file() and file_hash(path) == published_network().sha256


def _bring(source: str, info: NetworkFile, partial: Path) -> str:
    """Bring the bytes from a server or a folder, and return where from."""
    origin = f"{source}/{info.name}" if source else info.url
    if is_url(origin):
        connection = Connection()
        resume(connection, origin, partial, 0, connection.size(origin, info.size, whole=True), restart=True)
    elif Path(origin).is_file():
        shutil.copyfile(origin, partial)
    else:
        raise InputError(f"{origin}: no such file; --from takes a folder that holds it, or a URL starting with http")
    return origin
