"""Small notebooks of their own in place of the study's."""

from pathlib import Path

import pytest

from mbrepro import paths
from tests.fixtures.notebooks import BODY, write_notebook, write_parameters


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
