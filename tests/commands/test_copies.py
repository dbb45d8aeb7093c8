"""Pages made of executed notebooks: captions say what made them, and give the data of what stands above."""

import csv

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mbrepro.commands import copies
from mbrepro.report import page

FILES = {"one": "table-7.1.csv", "two": "figure-7.1.csv", "three": "figure-7.2.csv"}


def cell(*datas: dict) -> nbformat.NotebookNode:
    return new_code_cell("show()", outputs=[new_output("display_data", data) for data in datas])


@pytest.fixture
def executed(tmp_path):
    table = page.table(pd.DataFrame({"what, told": ["a <b>", "=c"], "F1": ["0.5 [0.4, 0.6]", "-0.25"]})).data
    cells = [
        cell({"text/html": table}), new_markdown_cell("**Table 7.1.** A table. *So.*", id="one"),
        cell({copies.CSV: "x,y\n1,2\n"}, {"image/png": "", "text/plain": "<Figure>"}),
        new_markdown_cell("**Figure 7.1.** A figure. *So.*", id="two"),
        cell({"text/html": "<p>a picture</p>"}), new_markdown_cell("**Figure 7.2.** A picture. *So.*", id="three"),
        cell(), new_markdown_cell("**Table 7.2.** Of nothing. *So.*", id="four"),
        cell({copies.CSV: "x\n"}), new_markdown_cell("Words.", id="five"), new_code_cell("last()"),
    ]  # fmt: skip
    nbformat.write(new_notebook(cells=cells), tmp_path / "07_toy.ipynb")
    return tmp_path / "07_toy.ipynb"


def test_captions_name_maker_command_and_data_and_what_shows_nothing_has_none(executed):
    cells = copies.as_page(executed, "demo").cells
    captions = {cell.id: cell.source for cell in cells if copies.CAPTION.match(cell.source)}
    assert list(captions) == ["one", "two", "three"]
    for name, source in captions.items():
        assert "`notebooks/07_toy.ipynb`; again: `.venv/bin/mbrepro run 07_toy --profile demo`" in source
        assert (f"{{download}}`its data as CSV <csv/07_toy/{FILES[name]}>`" in source) == (name != "three")
    assert not [o for cell in cells for o in cell.get("outputs", []) if copies.CSV in o.data]
    assert "Words." in [cell.source for cell in cells]


def test_data_are_what_a_table_shows_and_a_figure_draws(executed):
    found = copies.data_of(executed)
    assert list(found) == [FILES["one"], FILES["two"]] and found[FILES["two"]] == "x,y\n1,2\n"
    assert list(csv.reader(found[FILES["one"]].splitlines())) == [
        ["what, told", "F1"], ["a <b>", "0.5 [0.4, 0.6]"], ["'=c", "-0.25"],
    ]  # fmt: skip
