"""The lock, the conda environment and pyproject.toml name the same packages in the same versions."""

import re
import shutil
import subprocess
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


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder with the Makefile and what a study, a run of one's own and hours of embedding leave."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("_build/html", "book/notebooks", "results/demo/runs/mine", "results/recorded", "artifacts/demo"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    return tmp_path


def make(folder: Path, *arguments: str, answer: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(["make", *arguments], cwd=folder, input=answer, capture_output=True, text=True, check=False)


def left(folder: Path) -> set[str]:
    return {str(path.parent.relative_to(folder)) for path in folder.rglob("file")}


def test_clean_keeps_what_took_long(checkout):
    assert make(checkout, "clean").returncode == 0
    assert left(checkout) == {"results/demo/runs/mine", "results/recorded", "artifacts/demo"}


@pytest.mark.parametrize("answer", ["", "no\n", "y\n"])
def test_purge_asks_first(checkout, answer):
    done = make(checkout, "purge", answer=answer)
    assert done.returncode != 0 and "nothing was removed" in done.stderr
    assert left(checkout) == {"results/demo/runs/mine", "results/recorded", "artifacts/demo"}


@pytest.mark.parametrize(("arguments", "answer"), [(["purge"], "yes\n"), (["purge", "YES=1"], "")])
def test_purge_removes_all_but_what_is_part_of_the_repository(checkout, arguments, answer):
    assert make(checkout, *arguments, answer=answer).returncode == 0
    assert left(checkout) == {"results/recorded"}


def test_another_scale_is_a_run_of_its_own_with_a_book_of_its_own():
    planned = make(ROOT, "--dry-run", "reproduce", "SCALE=10").stdout
    assert "mbrepro run --all --profile demo -p scale 10 -p run scale-10" in planned
    assert "mbrepro book --profile demo --run scale-10" in planned
    planned = make(ROOT, "--dry-run", "reproduce").stdout.partition("mbrepro run")[2]
    assert planned.startswith(" --all --profile demo") and " -p " not in planned and "--run" not in planned
