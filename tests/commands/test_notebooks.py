"""What every notebook source must be: parameters with help, nothing defined, short cells, no outputs."""

import ast
import inspect
import re
from itertools import pairwise

import nbformat
import pytest
import yaml

from mbrepro import paths
from mbrepro.commands import runner
from mbrepro.commands.copies import CAPTION
from mbrepro.embedding import load_embedder
from mbrepro.study.parameters import runs_stage2
from mbrepro.study.profiles import training_epochs

HOME = {name: profile for profile in ("own", "demo") for name in runner.notebook_names(profile)}  # opened by hand
NAMES = sorted(HOME)


@pytest.fixture(params=NAMES)
def notebook(request):
    return nbformat.read(paths.notebooks() / f"{request.param}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_a_notebook_for_every_row_of_the_table():
    assert runner.notebook_names()[:6] == [
        "00_dataset",
        "01_baseline",
        "02_localization",
        "03_clip",
        "04_pose_vlm",
        "05_few_shot",
    ]


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
def test_a_notebook_opened_by_hand_runs_with_the_values_of_its_study(name):
    declared = {key: ast.literal_eval(value["default"]) for key, value in runner._declared(name, HOME[name]).items()}
    assert runner.parameters_of(name, HOME[name]) == declared
    assert {"profile", "run"} <= set(declared)
    for profile in paths.PROFILES:
        if name in runner.notebook_names(profile):
            runner.check_run([name], profile, {})


def test_studies_share_no_notebook_but_those_that_can_run_on_anyones_recordings():
    every = {path.stem for path in paths.notebooks().glob("*.ipynb")}
    studies = {profile: set(runner.notebook_names(profile)) for profile in paths.PROFILES}
    assert studies["demo"] == studies["calms21"] and studies["demo"] | studies["own"] == every
    assert studies["demo"] & studies["own"] == {"14_learning_curve"}


def test_every_value_of_the_cascade_is_some_notebooks_parameter_of_the_same_kind():
    declared = {name: runner.parameters_of(name, HOME[name]) for name in NAMES}
    parameters = yaml.safe_load((paths.notebooks() / "parameters.yml").read_text())
    assert set(parameters["profiles"]) <= set(paths.PROFILES) and set(parameters["notebooks"]) <= set(NAMES)
    for key, value in parameters["shared"].items():
        kinds = {type(values[key]) for values in declared.values() if key in values}
        assert kinds == {type(value)}, key
    for part in parameters["profiles"].values():
        assert set(part) <= set(parameters["shared"])
    for name, part in parameters["notebooks"].items():
        assert set(part) <= set(declared[name])


def test_epochs_are_the_profiles_own():
    assert (
        runner.parameters_of("01_baseline", "calms21")["baseline_epochs"]
        == training_epochs("calms21", "baseline")
        == 15
    )
    assert runner.parameters_of("03_clip", "calms21")["epochs"] == training_epochs("calms21", "localizer") == 15
    assert runner.parameters_of("03_clip")["epochs"] == training_epochs("demo", "localizer")


def reached(names: set[str], there: dict, seen: set) -> set:
    """Functions of the package behind names, looked up in a namespace and its modules, and those that these call."""
    modules = [there[name] for name in names if inspect.ismodule(there.get(name))]
    for found in [space.get(name) for name in names for space in (there, *map(vars, modules))]:
        if inspect.isfunction(found) and found not in seen and found.__module__.startswith("mbrepro"):
            seen.add(found)
            code = [inspect.unwrap(found).__code__]
            for part in code:
                code += [inner for inner in part.co_consts if inspect.iscode(inner)]
            reached({name for part in code for name in part.co_names}, found.__globals__, seen)
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_that_load_an_embedder_are_those_declared_to(name):
    """The guard against hours of CPU asks parameters.yml; what a notebook calls decides whether that is true."""
    notebook, there = nbformat.read(paths.notebooks() / f"{name}.ipynb", as_version=4), {}
    tree = ast.parse("\n".join(cell.source for cell in code(notebook)))
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    exec(compile(ast.Module(imports, []), name, "exec"), there)
    names = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}
    assert (load_embedder in reached(names, there, set())) == runs_stage2(name)


# No tables, no figures.
WORDS = {"banner", "recorded_notice", "measured_with", "said", "epochs_chosen", "in_words", "stops_short"}


def shows(cell) -> bool:
    """Whether a cell's last line makes a figure or shows a table."""
    last = ast.parse(cell.source).body[-1]
    if not isinstance(last, ast.Expr) or "plots.labelled" in cell.source:
        return "plots.labelled" in cell.source
    value = last.value.body if isinstance(last.value, ast.IfExp) else last.value
    return isinstance(value, ast.Call) and value.func.attr not in WORDS | {"glue_number", "glue_rows"}


def test_every_figure_and_table_has_a_numbered_caption_that_ends_in_what_follows(notebook, request):
    name, numbers = request.node.callspec.params["notebook"], {"Figure": 0, "Table": 0}
    prefix = f"{int(name[:2])}." if name[:2].isdigit() else ""
    cells = [*notebook.cells, nbformat.v4.new_markdown_cell()]
    for cell, below in pairwise(cells):
        caption = CAPTION.match(below.source) if below.cell_type == "markdown" else None
        assert bool(caption) == (cell.cell_type == "code" and len(cell.source) > 0 and shows(cell)), cell.source
        if caption:
            numbers[caption[1]] += 1
            assert below.source.startswith(f"**{caption[1]} {prefix}{numbers[caption[1]]}.** ")
            assert re.search(r"[.?!] \*[^*]{20,}\.\*$", below.source.replace("\n", " ")), below.source


def test_every_table_and_figure_of_a_written_page_has_a_caption_too():
    for path in sorted((paths.SOURCE / "book").glob("*.md")):
        blocks = path.read_text(encoding="utf-8").split("\n\n")
        for block, below in pairwise([*blocks, ""]):
            if re.search(r"_generated/(figure|real|table|claims|kills|fuzz|made_by|graph)\.md", block):
                assert CAPTION.match(below) and below.replace("\n", " ").strip().endswith(".*"), (path.name, block)
