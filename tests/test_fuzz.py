"""Changed files for every reader: a sample of what `make fuzz` does, and that it finds faults."""

import json
import multiprocessing
import random
import signal
import stat
import time
import zipfile
from collections import Counter

import h5py
import numpy as np
import pytest

from mbrepro.errors import InputError
from mbrepro.report import faults
from mbrepro.study import recorded
from tests.fixtures import fuzz
from tests.fixtures.fuzz.__main__ import fuzz_all
from tests.fixtures.fuzz.changes import CHANGES, changed
from tests.fixtures.fuzz.readers import READERS


def test_a_sample_of_changed_data_files_is_read_or_refused():
    found = fuzz.fuzz(dict.fromkeys(READERS, 40), 0)
    assert {name: set(outcomes) - {fuzz.READ, fuzz.REFUSED} for name, outcomes in found.items()} == {
        name: set() for name in READERS
    }
    refused = {name: outcomes[fuzz.REFUSED] for name, outcomes in found.items()}
    assert all(outcomes.total() == 40 for outcomes in found.values()) and min(refused.values()) > 0, refused


def test_a_sample_of_changed_files_made_here_and_of_models_is_read_or_refused():
    made = fuzz.readers_of(()).keys() - READERS.keys()
    found = fuzz.fuzz({name: 3 if name == "folder of a video model" else 20 for name in sorted(made)}, 0)
    assert not [outcomes for outcomes in found.values() if set(outcomes) - {fuzz.READ, fuzz.REFUSED}]


DEEP = b'{"a":' * 5000
FOUND = {  # what a whole file was changed to that once gave something else than a sentence
    "Bento annot": [lambda b: b.replace(b"30.000000", b"1.2.3")],
    "BORIS": [
        lambda b: b.replace(b"Behavior type", b"Behaviour kind"),
        lambda b: b.replace(b"0.100000", b"1:" * 5000 + b"1"),
        lambda b: b.replace(b"0.100000", b"1e308"),
    ],
    "csv of bouts": [
        lambda b: b.replace(b"start_frame", b"label", 1),
        lambda b: b.replace(b"label", b" label"),
    ],
    "csv of frames": [lambda b: b.replace(b"score_attack", b"label")],
    "recordings.csv and dataset.yml": [lambda b: b + b"x" * 200_000 + b",\n"],
    "DeepLabCut csv": [lambda b: b.replace(b"net", b"x" * 200_000, 1)],
    "DeepLabCut h5": [lambda b: b[:72] + b"\0" * 4 + b[72:]],
    "npy": [lambda b: b.replace(b"(30, 2, 3, 2), }", b"(30, 2, 3, 2)  (")],
    "description of a release": [
        lambda b: b.replace(b'"title"', b'"title": 1, "x"', 1),
        lambda b: b"\xff" + b,
        lambda b: DEEP,
        lambda b: b.replace(b'"split": "test"', b'"split": 1', 1),
    ],
    "record of a fetch": [
        lambda b: DEEP,
        lambda b: b.replace(b'"held"', b'"x"'),
        lambda b: b.replace(b'"b"', b'"b", "x": 1')[:-9],
    ],
}


@pytest.mark.parametrize(("name", "change"), [(name, change) for name, changes in FOUND.items() for change in changes])
def test_what_was_found_is_read_or_refused(tmp_path, monkeypatch, name, change):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    reader, folder = READERS[name], tmp_path / "files"
    folder.mkdir()
    reader.write(folder)
    path = next(path for path in folder.iterdir() if path.match(reader.changed[0]))
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    assert path.read_bytes() != whole
    assert fuzz._outcome(reader.read, folder) in (fuzz.READ, fuzz.REFUSED)


def test_an_h5_file_with_more_values_than_columns_is_refused(tmp_path):
    READERS["DeepLabCut h5"].write(tmp_path)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        group = file["df_with_missing"]
        values = group["block0_values"][()]
        del group["block0_values"]
        group["block0_values"] = values[:, :-1]
        group["block0_values"].attrs["transposed"] = np.uint8(1)
    with pytest.raises(InputError, match=r"a\.h5: 18 columns are named, and 17 there"):
        READERS["DeepLabCut h5"].read(tmp_path)


def test_a_member_without_a_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("xa", b"a")
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes().replace(b"xa", b"\0a"))
    with pytest.raises(InputError, match="is not a plain file inside a folder"):
        READERS["zip of a release"].read(tmp_path)


def test_members_that_lie_behind_the_end_of_a_zip_are_refused(tmp_path):
    READERS["zip of a release"].write(tmp_path)
    whole = bytearray((tmp_path / "a.zip").read_bytes())
    second = whole.rfind(b"PK\x01\x02")
    whole[second + 42 : second + 46] = (2**31 - 1).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(whole)
    with pytest.raises(InputError, match="not a whole zip"):
        READERS["zip of a release"].read(tmp_path)


def test_a_changed_file_is_the_same_again_and_every_way_of_changing_is_taken():
    whole = b"a,b\n1,2.5\n3,4\n" * 20
    one, again = ([changed(whole, random.Random(f"0 a {k}")) for k in range(300)] for _ in range(2))
    assert one == again and sum(made != whole for made in one) > 250
    for change in CHANGES:
        for empty in (b"", b"\n", b"7"):
            assert isinstance(change(empty, random.Random(0)), bytes)
        assert any(change(whole, random.Random(k)) != whole for k in range(20)), change
    tree = json.dumps({"a": [1, {"b": 2}], "c": "d"}).encode()
    assert len({change(tree, random.Random(k)) for change in CHANGES[-2:] for k in range(50)}) > 20


def outcome(folder, read):
    (folder / "a").write_text("a")
    try:
        return fuzz._outcome(read, folder)
    finally:
        signal.alarm(0)


def test_every_kind_of_fault_is_told(tmp_path):
    def raising(error, cause=None):
        def read(folder):
            raise error from cause

        return read

    def leaving(folder):
        (folder / "b.partial").write_text("half")
        raise InputError("no")

    assert outcome(tmp_path, lambda folder: None) == fuzz.READ
    for error in (InputError("a"), FileNotFoundError("a")):
        assert outcome(tmp_path, raising(error)) == fuzz.REFUSED
    assert outcome(tmp_path, raising(KeyError("x"))).startswith("KeyError at ")
    assert outcome(tmp_path, raising(SystemExit(1))).startswith("SystemExit at ")
    assert outcome(tmp_path, raising(InputError("a"), MemoryError())).startswith("memory: MemoryError at ")
    assert outcome(tmp_path, leaving) == "left b.partial behind"


def _endless(folder, work):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    fuzz.SECONDS = 1
    fuzz._outcome(lambda folder: all(1 for _ in iter(int, 1)) if work else time.sleep(60), folder)


@pytest.mark.parametrize("work", [0, 1])
def test_a_reader_that_gives_no_answer_is_ended(tmp_path, work):
    """One that waits after a time of any kind, one that works after as much work."""
    child = multiprocessing.get_context("fork").Process(target=_endless, args=(tmp_path, work))
    child.start()
    child.join(60)
    assert child.exitcode in (-signal.SIGALRM, -signal.SIGPROF) and (work or child.exitcode == -signal.SIGALRM)


def test_a_process_that_dies_is_told_and_the_next_file_is_read(tmp_path, monkeypatch):
    """In the place of Python a program that answers one file and dies of the next, once by the alarm and once not."""
    script = tmp_path / "python"
    script.write_text(f"""#!/bin/sh
echo ready
echo '"read"'
echo x >> {tmp_path}/begun
test $(wc -l < {tmp_path}/begun) = 1 && kill -ALRM $$
echo bad luck >&2
kill -SEGV $$
""")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(fuzz.sys, "executable", str(script))
    (told,) = fuzz.fuzz({"npy": 4}, 0).values()
    assert told.pop("no answer in 10 s") == 1 and told.pop("read") == 2
    ((died, times),) = told.items()
    assert times == 1 and died.startswith("the process died (11): bad luck")
    script.write_text("#!/bin/sh\necho no such reader >&2\n")
    with pytest.raises(InputError, match="do not read their own whole files: no such reader"):
        fuzz.fuzz({"npy": 1}, 0)


def test_counts_are_recorded_for_the_page_and_a_fault_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recorded, "path_of", lambda page: tmp_path / f"{page}.json")
    monkeypatch.setattr(fuzz, "readers_of", lambda names: {"npy": None, "mp4": None})
    told = {"npy": Counter({fuzz.READ: 3, fuzz.REFUSED: 4}), "mp4": Counter({fuzz.READ: 5, "KeyError at a.py:1: x": 2})}
    monkeypatch.setattr(fuzz, "fuzz", lambda counts, seed, seen: {name: told[name].copy() for name in counts})
    assert fuzz_all(7) == 1
    assert "mp4: 2 of 7: KeyError at a.py:1: x" in capsys.readouterr().out
    table = faults.fuzz_table()
    assert "<td>npy</td><td>7</td><td>3</td><td>4</td><td>no fault</td>" in table
    assert "<td>mp4</td><td>7</td><td>5</td><td>0</td><td>2 faults</td>" in table
    del told["mp4"]["KeyError at a.py:1: x"]
    assert fuzz_all(7) == 0
    assert "2 faults" not in faults.fuzz_table()
