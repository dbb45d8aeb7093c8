"""Executed notebooks: what they glued and printed, what their runs wrote, and whether both are still as they were."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup, Tag
from nbformat import NotebookNode

from mbrepro.artifacts import file_hash
from mbrepro.data.tables import marked
from mbrepro.errors import InputError

GLUE = "application/papermill.record/text/plain"
WROTE, WHOLE = "mbrepro_wrote", "mbrepro_sha256"
KEPT = ("rows/*.json", "predictions/*.safetensors", "*.csv")  # what a notebook writes beside its executed copy
NUMBER = re.compile(r"-?\d*\.?\d+")
SHARED = ("table.csv",)  # joined from the rows of all notebooks


def read(path: Path) -> NotebookNode:
    """An executed notebook. Raises InputError if it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise InputError(f"{path} is not an executed notebook ({error}): run make reproduce") from None


def state(folder: Path) -> dict[str, int]:
    """Times of change (ns) of the results in a folder, by their paths in it."""
    found = [path for pattern in KEPT for path in folder.glob(pattern)]
    kept = sorted(path for path in found if path.name not in SHARED and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in kept}


def seal(notebook: NotebookNode, folder: Path, before: Mapping[str, int]) -> None:
    """Note in a notebook's metadata which results in `folder` its run wrote since `before`, and a hash of all of it."""
    written = [name for name, changed in state(folder).items() if before.get(name) != changed]
    notebook.metadata[WROTE] = {name: file_hash(folder / name) for name in written}
    notebook.metadata[WHOLE] = _hash(notebook)


def fault(path: Path, folder: Path) -> str:
    """What is no longer as a notebook's run left it, in words; empty if all is."""
    try:
        notebook = read(path)
    except InputError as error:
        return str(error)
    if notebook.metadata.get(WHOLE) != _hash(notebook):
        return f"{path} was changed after it was run"
    for name, expected in notebook.metadata.get(WROTE, {}).items():
        if not (folder / name).exists():
            return f"{folder / name} is missing"
        if file_hash(folder / name) != expected:
            return f"{folder / name} was changed after {path.stem} wrote it"
    return ""


def glued(path: Path) -> dict[str, str]:
    """What an executed notebook glued: key → the value as it stands in the notebook."""
    found = [output for output in _outputs(path) if GLUE in output.get("data", {})]
    return {output.metadata["scrapbook"]["name"]: output.data[GLUE] for output in found}


def shown(path: Path) -> list[str]:
    """The HTML outputs of an executed notebook, in order."""
    return ["".join(o.data["text/html"]) for o in _outputs(path) if "text/html" in o.get("data", {})]


def prose(path: Path) -> str:
    """The text of a page's source: of a notebook, of its markdown cells."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


MADE_BY = """\
*This page is* `notebooks/{name}.ipynb` *as it was run; its code is under "Show code cell source".
Again:* `.venv/bin/mbrepro run {name} --profile {profile}`, *with another value* `-p PARAMETER VALUE`
({{doc}}`../{about}`)."""
CAPTION = re.compile(r"\*\*(Figure|Table) ([\d.]+)\.\*\* ")
UNDER = """\
```{{container}} mb-made
Made by `notebooks/{name}.ipynb`; again: `.venv/bin/mbrepro run {name} --profile {profile}`{data}
```"""
CSV = "text/csv"  # what a figure draws, beside it among a cell's outputs


def as_page(path: Path, profile: str) -> NotebookNode:
    """An executed notebook as a page: code is shown when asked, outputs are open, and last stands how to rerun it.

    Code that shows nothing is folded together with what comes next, so that a fold stands above every output alone. A
    caption says below what made its figure or table, and where its data are (`data_of`); one of nothing is left out.
    """
    notebook, cells, silent, shown, data = read(path), [], [], False, data_of(path)
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            silent.append(cell.source)
            cell.source = "\n\n".join(silent)
            cell.metadata["tags"] = list(dict.fromkeys([*cell.metadata.get("tags", []), "hide-input"]))
            cell.outputs = [output for output in cell.outputs if CSV not in output.get("data", {})]
            shown = bool(cell.outputs)
            if not cell.outputs and cell is not last:
                continue
            silent = []
        elif caption := CAPTION.match(cell.source):
            if not shown:
                continue
            file = _file_of(caption)
            told = f"; {{download}}`its data as CSV <csv/{path.stem}/{file}>`" if file in data else ""
            cell.source += "\n\n" + UNDER.format(name=path.stem, profile=profile, data=told)
        cells.append(cell)
    notebook.cells = cells
    told = MADE_BY.format(name=path.stem, profile=profile, about="index" if profile == "own" else "rerun")
    notebook.cells.append(nbformat.v4.new_markdown_cell(told, id="made-by"))
    return notebook


def data_of(path: Path) -> dict[str, str]:
    """What an executed notebook's figures draw and its tables show, as CSV by the name of a file for it."""
    found, cells = {}, read(path).cells
    for cell, below in pairwise(cells):
        caption = CAPTION.match(below.source)
        if cell.cell_type != "code" or not caption:
            continue
        shown = [output.get("data", {}) for output in cell.outputs]
        drawn = [data[CSV] for data in shown if CSV in data]
        tables = BeautifulSoup("".join(data.get("text/html", "") for data in shown), "html.parser").select(".mb-table")
        if drawn or tables:
            found[_file_of(caption)] = "\n".join(drawn or map(_rows_of, tables))
    return found


def _file_of(caption: re.Match[str]) -> str:
    return f"{caption[1].lower()}-{caption[2]}.csv"


def _rows_of(table: Tag) -> str:
    """A table's cells as lines of CSV, as they are shown; formulas `marked`, negative numbers not."""
    lines = io.StringIO()
    rows = [[_as_csv(" ".join(cell.stripped_strings)) for cell in row.select("th, td")] for row in table.select("tr")]
    csv.writer(lines, lineterminator="\n").writerows(rows)
    return lines.getvalue()


def _as_csv(cell: str) -> str:
    return cell if NUMBER.fullmatch(cell) else marked(cell)


def _outputs(path: Path) -> Iterator[NotebookNode]:
    for cell in read(path).cells:
        yield from cell.get("outputs", [])


def _hash(notebook: NotebookNode) -> str:
    rest = {**notebook, "metadata": {key: value for key, value in notebook.metadata.items() if key != WHOLE}}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
