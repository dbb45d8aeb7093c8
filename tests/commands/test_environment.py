"""The lock, the conda environment and pyproject.toml name the same packages in the same versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def locked() -> dict[str, str]:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    pins = dict(line.split("==") for line in lines)
    return {canonicalize_name(name): version for name, version in pins.items()}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements() -> list[Requirement]:
    extras = [line for extra in project()["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in project()["dependencies"] + extras]


def conda_pins() -> dict[str, str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    pins = dict(line.split("==") for line in pip if not line.startswith("-"))
    return {Requirement(name).name: version for name, version in pins.items()}


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_lock_satisfies_pyproject(requirement):
    assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)])


def test_conda_environment_has_every_direct_requirement_at_the_locked_version():
    lock = locked()
    assert conda_pins() == {r.name: lock[canonicalize_name(r.name)] for r in requirements()}


def test_python_version_is_the_same_everywhere():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert "python=3.11" in environment["dependencies"]
    assert project()["requires-python"] == ">=3.11,<3.12"
    assert "(3, 11)" in (ROOT / "Makefile").read_text()


def test_make_help_explains_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    explained = re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE)
    assert sorted(targets) == sorted(explained)
