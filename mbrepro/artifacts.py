"""Keyed artifacts: what is computed once is stored under a hash of everything that made it.

A key covers settings, input data, the versions of libraries, and the `VERSION` that each computing module sets by hand
and raises when what it gives changes (`tests/test_golden.py` catches a forgotten one); source code is no part of it, so
that a comment costs nothing. Files are written to a temporary name and renamed, so a kill at any moment leaves either
the whole file or none.
"""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import os
import platform
import re
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import requires, version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

SOURCE = Path(__file__).parent


def fingerprint(*parts: object) -> str:
    """Hash any mix of plain values, dataclasses, arrays and files into 16 hexadecimal digits.

    A `Path` contributes the bytes of its file, or of a folder's files by name, a dataclass its class name and fields.
    Raises TypeError for anything whose identity would depend on the run (a set, a function, an object).
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()[:16]


def _feed(digest: "hashlib._Hash", part: object) -> None:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        digest.update(f"<{type(part).__name__}".encode())
        for field in dataclasses.fields(part):
            digest.update(f"{field.name}=".encode())
            _feed(digest, getattr(part, field.name))
    elif isinstance(part, np.ndarray) and not part.dtype.hasobject:
        digest.update(f"<array {part.dtype.str} {part.shape}".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    elif isinstance(part, Path) and part.is_dir():
        _feed(digest, sorted(part.iterdir()))
    elif isinstance(part, Path):
        with part.open("rb") as file:
            digest.update(b"<file" + hashlib.file_digest(file, "sha256").digest())
    elif isinstance(part, dict):
        digest.update(b"<dict")
        for name in sorted(part):
            digest.update(f"{name}=".encode())
            _feed(digest, part[name])
    elif isinstance(part, (list, tuple)):
        digest.update(f"<sequence {len(part)}".encode())
        for item in part:
            _feed(digest, item)
    elif part is None or isinstance(part, (str, bytes, bool, int, float, np.generic)):
        digest.update(f"<{part!r}".encode())
    else:
        raise TypeError(f"{type(part).__name__} has no stable fingerprint")
    digest.update(b">")


def versions(*modules: ModuleType) -> dict[str, str]:
    """What of a key the code itself is: each module's name → its `VERSION`, or a library's `__version__`.

    Raises AttributeError for a module that has neither.
    """
    return {m.__name__: str(m.VERSION) if hasattr(m, "VERSION") else m.__version__ for m in modules}


def package_versions() -> dict[str, str]:
    """Every module's `VERSION`, read off the package's sources without importing it."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        stated = re.search(r"^VERSION = (\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if stated:
            name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = stated[1]
    return found


def library_versions() -> dict[str, str]:
    """The installed version of every library that the package needs by itself."""
    needed = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requires("mbrepro") or () if "extra ==" not in line]
    return {name: version(name) for name in sorted(needed)}


def file_hash(path: Path) -> str:
    """SHA-256 of a file, computed once while its state stays: videos and weights are gigabytes."""
    return _file_hash(path, file_state(path))


def file_state(path: Path) -> tuple[int, int, int, int]:
    """Size, times of change and inode: whoever changes a file and puts its time back cannot put back the second one."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


@functools.lru_cache(maxsize=1024)
def _file_hash(path: Path, state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` and rename it to `path` if the block succeeds; otherwise remove it.

    What safetensors cannot write, as on a full disk, is an OSError that names the file, like any other.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(path, os.getpid())
    try:
        yield temporary
        temporary.replace(path)
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def partial_path(path: Path, process: int) -> Path:
    """A new name beside `path` for what this machine's process of a number writes."""
    return path.with_name(f".{uuid.uuid4().hex[:8]}-{_machine()}-{process}.partial{path.suffix}")


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def remove_partial(folder: Path) -> None:
    """Remove what processes of this machine that have ended, killed in `replacing`, left in a folder."""
    for path in Path(folder).glob(".*.partial*"):
        named = re.match(rf"\.[0-9a-f]{{8}}-{_machine()}-(\d+)\.partial", path.name)
        if named and not psutil.pid_exists(int(named[1])):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time make `path`; the others wait here. A killed process gives its lock up."""
    lock = Path(path).with_name(f".{Path(path).name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # whoever waits for the file that is gone makes a new one


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises ValueError if it is none, or is nested too deeply to be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or nothing."""
    write_texts({path: text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write several text files, each whole, none if one cannot be written; the last is there only if all are."""
    with contextlib.ExitStack() as stack:  # what is entered first is renamed last
        for path, text in reversed(list(texts.items())):
            stack.enter_context(replacing(path)).write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON with sorted keys, whole or not at all."""
    write_text(path, json_text(value))


def json_text(value: object) -> str:
    """A value as indented JSON with sorted keys."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def stored_at(folder: Path, name: str, made_from: tuple) -> Path:
    """Where `cached_arrays` keeps what is made from these."""
    return Path(folder) / f"{name}-{fingerprint(*made_from)}.safetensors"


def cached_arrays(
    folder: Path, name: str, made_from: tuple, make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return the arrays stored as `folder/name-<fingerprint of made_from>.safetensors`, making them if absent.

    A stored file that cannot be read (a disk fault) is made again.
    """
    path = stored_at(folder, name, made_from)
    if path.exists():
        with contextlib.suppress(SafetensorError):
            return load_file(path)
    arrays = {key: np.ascontiguousarray(value) for key, value in make().items()}
    with replacing(path) as temporary:
        save_file(arrays, temporary)
    return arrays
