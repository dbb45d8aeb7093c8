import hashlib
import json
import os
import resource
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mbrepro import artifacts, cli
from mbrepro.artifacts import (
    cached_arrays,
    file_hash,
    fingerprint,
    locked,
    replacing,
    versions,
    write_json,
    write_texts,
)
from tests.fixtures.killed import killed_write


@dataclass(frozen=True)
class Settings:
    frames: int = 1
    name: str = "a"


@dataclass(frozen=True)
class OtherSettings:
    frames: int = 1
    name: str = "a"


def test_fingerprint_is_the_same_in_every_run():
    assert fingerprint("a", 1, [2.5, None], {"b": np.arange(3, dtype=np.int64)}) == "ddad53c952d1d009"


def test_fingerprint_tells_apart_what_differs():
    array = np.arange(6, dtype=np.float32)
    different = [
        (1,), ("1",), (1.0,), (True,), (None,), (b"1",), ((1,),), ((1, 1),), (1, 1), ("1", "1"), ("11",),
        (array,), (array[::-1],), (array.reshape(2, 3),), (array.astype(np.float64),), (array.view(np.int32),),
        ({"a": 1},), ({"b": 1},), ({"a": 1, "b": 1},),
        (Settings(),), (Settings(2),), (Settings(name="b"),), (OtherSettings(),),
        ([1, [2, 3]],), ([[1, 2], 3],),
    ]  # fmt: skip
    assert len({fingerprint(*parts) for parts in different}) == len(different)


def test_fingerprint_ignores_what_does_not_matter():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint([1, 2]) == fingerprint((1, 2))
    array = np.arange(6).reshape(2, 3)
    assert fingerprint(array.T) == fingerprint(np.ascontiguousarray(array.T))


def test_fingerprint_follows_the_bytes_of_files(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("x = 1\n")
    two.write_text("x = 1\n")
    assert fingerprint(one) == fingerprint(two)
    two.write_text("x = 2\n")
    assert fingerprint(one) != fingerprint(two)


def test_versions_are_those_of_modules_and_of_libraries():
    module = SimpleNamespace(__name__="mine", VERSION=3)
    assert versions(module, np) == {"mine": "3", "numpy": np.__version__}
    with pytest.raises(AttributeError):
        versions(artifacts)


@pytest.fixture
def full_disk():
    """No file may grow beyond 40 kB, which Linux refuses a write for as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_arrays_that_a_full_disk_has_no_room_for_are_said_in_one_sentence(full_disk, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "get_command", lambda app: SimpleNamespace(main=lambda *_, **how: cached_arrays(
        tmp_path, "a", (), lambda: {"a": np.zeros(100_000)})))  # fmt: skip
    assert cli.main([]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "a-") in said and said.endswith("; what was finished is kept\n") and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_several_texts_are_all_written_or_none_and_the_last_comes_last(full_disk, tmp_path, monkeypatch):
    (tmp_path / "a").write_text("before")
    with pytest.raises(OSError, match="File too large"):
        write_texts({tmp_path / "a": "after", tmp_path / "b": "b" * 50_000})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "before"}
    renamed, replace_file = [], Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, to: renamed.append(to.name) or replace_file(path, to))
    write_texts({tmp_path / "a": "after", tmp_path / "b": "b"})
    assert renamed == ["a", "b"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "after", "b": "b"}


def test_one_process_at_a_time_makes_a_path_and_no_lock_stays(tmp_path):
    path, inside, most = tmp_path / "new" / "made", [], []

    def make():
        for _ in range(5):
            with locked(path):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 20 and max(most) == 1
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("part", [{1, 2}, len, object(), Settings, artifacts, np.array([object()])])
def test_fingerprint_refuses_what_depends_on_the_run(part):
    with pytest.raises(TypeError, match="no stable fingerprint"):
        fingerprint(part)


@pytest.mark.parametrize("how", ["written over", "another file in its place"])
def test_a_file_changed_behind_its_size_and_time_is_hashed_again(tmp_path, how):
    """As `cp -p` and rsync leave a file: as many bytes, and the time of change put back."""
    path, other = tmp_path / "weights", tmp_path / "other"
    path.write_bytes(b"first")
    state = path.stat()
    assert file_hash(path) == hashlib.sha256(b"first").hexdigest()
    if how == "written over":
        path.write_bytes(b"other")
    else:
        other.write_bytes(b"other")
        other.replace(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert file_hash(path) == hashlib.sha256(b"other").hexdigest()


def test_replacing_gives_the_whole_file_or_leaves_the_old_one(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of the ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_json_has_sorted_keys_and_plain_letters(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "±"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "a": "±",\n "b": 1\n}\n'
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"a": "±", "b": 1}


def test_arrays_are_made_once_for_what_made_them(tmp_path):
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"x": np.arange(6).reshape(2, 3).T, "y": np.float32([0.5])}

    first = cached_arrays(tmp_path, "poses", (Settings(),), make)
    second = cached_arrays(tmp_path, "poses", (Settings(),), make)
    assert len(made) == 1
    for arrays in (first, second):
        assert arrays["x"].tolist() == [[0, 3], [1, 4], [2, 5]]
        assert arrays["y"].dtype == np.float32
    cached_arrays(tmp_path, "poses", (Settings(2),), make)
    cached_arrays(tmp_path, "clips", (Settings(),), make)
    assert len(made) == 3


def test_a_damaged_store_is_made_again(tmp_path):
    cached_arrays(tmp_path, "poses", (1,), lambda: {"x": np.arange(3)})
    (stored,) = tmp_path.iterdir()
    whole = stored.read_bytes()
    stored.write_bytes(whole[:-4])
    assert cached_arrays(tmp_path, "poses", (1,), lambda: {"x": np.arange(3)})["x"].tolist() == [0, 1, 2]
    assert stored.read_bytes() == whole


def test_a_failure_while_making_stores_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        cached_arrays(tmp_path, "poses", (1,), lambda: {"x": 1 / 0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", [0.0, 4e9])
def test_files_of_any_time_are_used(moment, tmp_path):
    """A clock that was wrong when they were written, or is now: 1970, 2096."""
    cached_arrays(tmp_path, "poses", (1,), lambda: {"x": np.arange(3)})
    (stored,) = tmp_path.iterdir()
    os.utime(stored, (moment, moment))
    assert cached_arrays(tmp_path, "poses", (1,), lambda: 1 / 0)["x"].tolist() == [0, 1, 2]
    before = fingerprint(stored)
    os.utime(stored, (moment + 1, moment + 1))
    assert fingerprint(stored) == before


def test_only_what_a_killed_write_of_this_machine_left_is_removed(tmp_path, monkeypatch):
    gone = killed_write(tmp_path / "a.csv")
    with monkeypatch.context() as patch:
        patch.setattr(artifacts.platform, "node", lambda: "another")
        elsewhere = killed_write(tmp_path / "a.csv")
    mine = tmp_path / ".a.partial.csv"
    mine.write_text("a user's own")
    with replacing(tmp_path / "b.csv") as written:
        written.write_text("half")
        artifacts.remove_partial(tmp_path)
        assert not gone.exists() and elsewhere.exists() and mine.exists()
    assert (tmp_path / "b.csv").read_text() == "half"
