"""Small notebooks of their own in place of the study's."""

from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mbrepro import paths

PARAMETERS = 'profile = "demo"  # which recordings\nrun = ""\ncount = 2  # how many\nrate = 0.5\nfast = False\n'
BODY = (
    'import pathlib\nlog = pathlib.Path("log.txt")\nlog.write_text((log.read_text() if log.exists() else "") + "x")\n'
    "assert count != 13, 'unlucky'\nprint(profile, run, count * rate, fast)"
)


def write_notebook(folder: Path, name: str, body: str, parameters: str = PARAMETERS) -> None:
    """A notebook that asks for a kernel that is nowhere installed."""
    cell = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [cell, new_markdown_cell("# Work\n\nwords\n\n## Harder work"), new_code_cell(body)]
    kernel = {"name": "of-a-deleted-environment", "display_name": "x", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / f"{name}.ipynb")


def write_parameters(folder: Path, **parts: object) -> None:
    """A parameters.yml with these parts, the others empty."""
    content = {"shared": {}, "profiles": {}, "notebooks": {}, "own": [], "stage2": [], "runs": []} | parts
    (folder / "parameters.yml").write_text(yaml.safe_dump(content))


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """A study folder with one notebook `toy`, which fails when count is 13 and leaves a mark each time it runs."""
    sources = tmp_path / "notebooks"
    sources.mkdir()
    write_notebook(sources, "toy", BODY)
    write_parameters(sources)
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    monkeypatch.setattr(paths, "notebooks", lambda: sources)
    return tmp_path
