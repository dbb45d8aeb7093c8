"""Tables that a spreadsheet opens: nothing in them is computed, and what was written is read back."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbrepro import paths
from mbrepro.data.annotations import read_bouts
from mbrepro.data.annotations.boris import write_boris
from mbrepro.data.annotations.bout import Bout
from mbrepro.data.recordings import Recording
from mbrepro.data.tables import csv_text, marked, unmarked
from mbrepro.study.predict import write_prediction

FORMULAS = ('=HYPERLINK("http://a.org","b")', "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "'=1", "''@a")
COMPUTED = ("=", "+", "-", "@", "\t", "\r")


def cells_of(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [cell for row in csv.reader(file) for cell in row]


def is_number(cell: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", cell) is not None


@pytest.mark.parametrize("name", FORMULAS)
def test_labels_that_are_formulas_are_text_in_every_csv_and_are_read_back(tmp_path, name):
    labels = np.repeat([1, 0, 1], 10)
    recording = Recording("a", np.zeros((30, 2, 7, 2)), (name, "other"), fps=30.0, frame_size=(9, 9))
    files = write_prediction(tmp_path, "a", recording, recording.classes, labels, np.eye(2)[labels], labels / 2, {})
    write_boris(tmp_path / "b.csv", [Bout(name, 10, 20, name)], np.arange(31) / 30, name)
    for path in (*files[:2], tmp_path / "b.csv"):
        assert all(is_number(cell) or not cell.startswith(COMPUTED) for cell in cells_of(path)), path
        (bout,) = read_bouts(path, 30.0, name)
        assert (bout.start, bout.stop) == (10, 20)
    assert bout.channel == name


@given(st.text("=+-@\t\r'a,\"") | st.text())
def test_what_is_marked_is_no_formula_and_becomes_what_it_was(text):
    assert not marked(text).startswith(COMPUTED) and unmarked(marked(text)) == text


def test_numbers_and_gaps_stay_as_they_are():
    table = pd.DataFrame({"-a": [-1.5, np.nan], "b": ["-b", None], "c": [-2, 3]})
    assert csv_text(table, "%.1f") == "'-a,b,c\n-1.5,'-b,-2\n,,3\n"
    assert csv_text(table[:0]) == "'-a,b,c\n"


def test_no_csv_is_written_otherwise():
    sources = {path: path.read_text(encoding="utf-8") for path in (paths.SOURCE / "mbrepro").rglob("*.py")}
    assert [path.name for path, text in sources.items() if ".to_csv(" in text] == ["tables.py"]
    of_marked_cells = [path.name for path, text in sources.items() if "csv.writer(" in text]
    assert sorted(of_marked_cells) == ["copies.py", "draft.py"]
