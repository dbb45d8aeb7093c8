"""What every notebook source must be: parameters with help, nothing defined, short cells, no outputs."""

import ast

import nbformat
import pytest

from mbrepro import paths
from mbrepro.commands import runner

NAMES = runner.notebook_names()


@pytest.fixture(params=NAMES)
def notebook(request):
    return nbformat.read(paths.notebooks() / f"{request.param}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_a_notebook_for_every_row_of_the_table():
    assert NAMES[:6] == ["00_dataset", "01_baseline", "02_localization", "03_clip", "04_pose_vlm", "05_few_shot"]


def test_sources_carry_no_outputs(notebook):
    assert all(not cell.outputs and cell.execution_count is None for cell in code(notebook))


def test_cells_define_nothing_and_are_short(notebook):
    for cell in code(notebook):
        tree = ast.parse(cell.source)
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda))]
        assert len(cell.source.splitlines()) <= 12


def test_cells_compute_nothing(notebook):
    """What is computed has a test, and a notebook's cells have none: they call, choose and show."""
    for cell in code(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.BinOp):  # dictionaries are joined, and names added to folders
                joined = isinstance(node.op, ast.Div) and isinstance(getattr(node.right, "value", None), str)
                assert isinstance(node.op, ast.BitOr) or joined, cell.source
            elif isinstance(node, ast.Compare):  # what is chosen may be named
                assert all(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops), cell.source
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                assert all(name.split(".")[0] in ("mbrepro", "dataclasses") for name in names), cell.source


def test_one_cell_holds_the_parameters_and_each_has_its_help(notebook):
    (cell,) = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    for line in cell.source.splitlines():
        name, _, rest = line.partition(" = ")
        value, mark, comment = rest.partition("  # ")
        assert name.isidentifier() and mark and comment, line
        ast.literal_eval(value)


@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_has_a_profile_and_a_run_name(name):
    parameters = runner.parameters_of(name)
    assert parameters["profile"] == "demo"
    assert parameters["run"] == ""
