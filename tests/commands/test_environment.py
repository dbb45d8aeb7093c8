"""The locks, the conda environment and pyproject.toml name the same packages in the same versions."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def locked(name: str = "requirements.lock") -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and line[0] != "#"]
    pins = dict(line.split("==") for line in lines)
    return {canonicalize_name(name): version for name, version in pins.items()}


def extra_locked() -> dict[str, str]:
    return locked("requirements-test.lock")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def needed() -> list[Requirement]:
    return [Requirement(line) for line in project()["dependencies"]]


def extras() -> list[Requirement]:
    """What the second lock holds; movement is in none."""
    named = project()["optional-dependencies"].items()
    return [Requirement(line) for name, extra in named for line in extra if name != "movement"]


def reached(requirements: Iterable[Requirement]) -> set[str]:
    """Every package that requirements bring, by what the installed ones say of themselves."""
    found, todo = set(), [(r, extra) for r in requirements for extra in (None, *r.extras)]
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in found:
            continue
        try:
            brought = distribution(name).requires or []
        except PackageNotFoundError:
            pytest.fail(f"{name} is in no lock")
        found.add((name, extra))
        for inner in map(Requirement, brought):
            if inner.marker is None or inner.marker.evaluate({"extra": extra or ""}):
                todo += [(inner, each) for each in (None, *inner.extras)]
    return {name for name, _ in found}


def conda_pins() -> dict[str, str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    pins = dict(line.split("==") for line in pip if not line.startswith("-"))
    return {Requirement(name).name: version for name, version in pins.items()}


@pytest.mark.parametrize("requirement", needed() + extras(), ids=str)
def test_locks_satisfy_pyproject(requirement):
    lock = locked() if requirement in needed() else extra_locked()
    assert requirement.specifier.contains(lock[canonicalize_name(requirement.name)])


def test_first_lock_is_what_the_study_brings_and_the_second_what_extras_add():
    study, everything = reached(needed()), reached(needed() + extras())
    build = {"setuptools", "wheel"}  # what an editable installation is built with
    assert set(locked()) - build == study - build
    assert set(extra_locked()) == everything - study - build
    assert not set(locked()) & {"ray", "pyarrow", "peft", "accelerate", "hypothesis", "pytest", "ruff"}


def test_installed_versions_are_the_locked_ones():
    for name, version in (locked() | extra_locked()).items():
        assert distribution(name).version.partition("+")[0] == version, name


EXTRAS_MISSING = """
import sys
for name in {names}:
    sys.modules[name] = None
import pkgutil
import mbrepro
for module in pkgutil.walk_packages(mbrepro.__path__, "mbrepro."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
from mbrepro.embedding import EmbedderSettings, distributed, load_embedder, lora
from mbrepro.errors import InputError
load_embedder(EmbedderSettings())
from pathlib import Path
for attempt in (
    lambda: lora.check_start(Path("nowhere"), EmbedderSettings()),
    lambda: distributed.embed_with_ray([], None, EmbedderSettings(), Path(), 1),
):
    try:
        attempt()
    except InputError as error:
        print(error)
"""


def test_without_the_second_lock_all_can_be_imported_and_what_is_missing_is_said():
    """The packages of the second lock hidden, as they are after make reproduce."""
    modules = ["ray", "pyarrow", "peft", "accelerate", "hypothesis", "pytest", "_pytest", "msgpack"]
    modules += ["google.protobuf", "banos", "mir_eval"]
    code = EXTRAS_MISSING.format(names=modules)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    fine_tuning, ray = done.stdout.splitlines()
    assert fine_tuning == "fine-tuning needs peft, which is not installed: run make extras"
    assert ray == "ray is not installed: run make extras, or leave --engine at local"


def test_conda_environment_has_every_direct_requirement_at_the_locked_version():
    lock = locked()
    assert conda_pins() == {r.name: lock[canonicalize_name(r.name)] for r in needed()}


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


def test_a_users_pip_that_installs_outside_environments_is_overruled(tmp_path):
    """pip installs nothing here, but looks whether it may."""
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    environment = {name: value for name, value in os.environ.items() if name != "PIP_USER"}
    environment["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--quiet", "pip"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode and "--user" in refused.stderr
    made = ["make", "--eval", f"probe: ; @{' '.join(command)}", "probe"]
    allowed = subprocess.run(made, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert allowed.returncode == 0, allowed.stderr


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


def test_a_folder_of_ones_own_is_handed_to_every_step():
    for target, steps in {"reproduce": ("run --all", "book"), "verify": ("verify",)}.items():
        planned = make(ROOT, "--dry-run", target, "PROFILE=own", "DATA=my data").stdout
        for step in steps:
            assert f"mbrepro {step} --profile own --data 'my data'" in planned
        assert "fetch" not in planned
