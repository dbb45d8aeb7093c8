"""What a run of soak leaves in the book: its row, and a page that names tests which are there."""

import json
import re

import pytest

from mbrepro import paths
from mbrepro.commands import provenance, soak
from mbrepro.errors import InputError
from mbrepro.report import faults
from mbrepro.study import recorded


def test_a_run_takes_the_place_of_an_earlier_one_of_the_same_work(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "path_of", lambda page: tmp_path / f"{page}.json")
    monkeypatch.setattr(soak, "recordings", lambda folder: [])
    monkeypatch.setattr(soak, "attempt", lambda *_: ((_[2] / "made").write_text("x"), (0, ""))[1])
    monkeypatch.setattr(soak, "soak", lambda *_: None)
    monkeypatch.setitem(soak.WORKS, "again", soak.WORKS["embed"])
    soak.command(3, "embed")
    soak.command(7, "embed", seed=1)

    def differs(*_):
        raise InputError("after kill 2 the bytes differ from a straight run's")

    monkeypatch.setattr(soak, "soak", differs)
    with pytest.raises(InputError, match="after kill 2"):
        soak.command(4, "again")
    kept = json.loads((tmp_path / "faults.json").read_text())["figures"]
    assert {what: (row["kills"], row["outcome"]) for what, row in kept.items()} == {
        "embed": (7, soak.HELD), "again": (4, "after kill 2 the bytes differ from a straight run's"),
    }  # fmt: skip
    shown = faults.kills_table()
    assert "<td>7 times</td>" in shown and "<td>3 times</td>" not in shown and "after kill 2" in shown


def test_recorded_kills_are_no_input_of_any_notebook():
    assert recorded.path_of(faults.PAGE) not in provenance.shipped()
    assert recorded.path_of("audit") in provenance.shipped()


def test_every_test_that_the_page_names_is_there():
    page = (paths.SOURCE / "book" / "faults.md").read_text(encoding="utf-8")
    there = "\n".join(path.read_text(encoding="utf-8") for path in (paths.SOURCE / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) > 15 and not [name for name in named if f"def {name}(" not in there]
