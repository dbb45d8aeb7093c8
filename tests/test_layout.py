"""The house: folders as the architecture page names them, imports that only go down, small functions and modules."""

import ast
from itertools import chain
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mbrepro"
FLOORS = ("commands", "report", "study", "demo", "method", "embedding", "metrics", "data")  # from the top
GROUND = {"errors", "paths", "artifacts"}
FILES = {"__init__.py", "__main__.py", "cli.py", "errors.py", "paths.py", "artifacts.py"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imported(path: Path) -> set[str]:
    """The rooms that a module's imports name, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mbrepro":
            inner = node.module.split(".")[1:2]
            found |= set(inner or [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            named = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in named if parts[0] == "mbrepro" and len(parts) > 1}
    return found


def test_package_holds_the_folders_of_the_architecture_and_nothing_else():
    there = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert there == FILES | set(FLOORS)
    page = (PACKAGE.parent / "book" / "architecture.md").read_text(encoding="utf-8")
    for name in chain(FLOORS, sorted(GROUND)):
        assert f"`{name}" in page, name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path):
    here = room(path)
    if here in ("cli", "__init__", "__main__"):
        return
    below = set() if here in GROUND else set(FLOORS[FLOORS.index(here) + 1 :])
    if here == "metrics":
        below = set()
    assert imported(path) <= below | GROUND | {here}


def test_every_folder_says_in_one_sentence_what_it_is_for():
    for folder in FLOORS:
        said = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8")))
        assert said and said.splitlines()[0].endswith("."), folder


def test_only_the_report_knows_html_and_figures_and_only_commands_know_papermill():
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
        names |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        if room(path) != "report":
            assert not names & {"IPython", "matplotlib", "seaborn", "myst_nb", "html"}, path
        if room(path) not in ("commands", "cli"):
            assert not names & {"papermill", "nbformat", "typer", "argparse", "bs4"}, path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 40, node.name


def test_tests_import_nothing_from_each_other():
    """What several need is in tests/fixtures."""
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
                assert node.module.startswith("tests.fixtures"), path


def test_package_grows_no_further():
    """Whoever adds without need takes away as much; an issue that asks for more raises the number by what it adds."""
    assert sum(path.read_text(encoding="utf-8").count("\n") for path in MODULES) <= 28_034
