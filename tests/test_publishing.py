"""The workflow and the Binder folder name what is there: targets, versions, locks."""

import os
import re
import subprocess
import tomllib

import yaml

from mbrepro.paths import SOURCE

MAKEFILE = (SOURCE / "Makefile").read_text(encoding="utf-8")
REQUIRED = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
PYTHON = re.match(r">=(3\.\d+),", REQUIRED)[1]


def test_the_workflow_runs_targets_that_exist_on_the_python_that_is_needed():
    workflow = yaml.safe_load((SOURCE / ".github/workflows/study.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    targets = [step["run"].removeprefix("make ") for step in steps if "run" in step]
    assert targets == ["test", "reproduce", "verify", "crate"]
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)
    assert {step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")} == {PYTHON}
    shown = next(step["with"]["path"] for step in steps if "upload-pages" in step.get("uses", ""))
    assert shown == "_build/html"


def test_binder_installs_the_lock_on_the_python_that_is_needed():
    folder = SOURCE / "binder"
    assert (folder / "runtime.txt").read_text() == f"python-{PYTHON}\n"
    (line,) = (folder / "requirements.txt").read_text().splitlines()
    assert (folder / line.removeprefix("-r ")).resolve() == SOURCE / "requirements.lock"
    assert os.access(folder / "postBuild", os.X_OK)
    assert subprocess.run(["bash", "-n", folder / "postBuild"], check=False).returncode == 0
    installs = re.search(r"pip install (.*--editable \.)", (folder / "postBuild").read_text())[1]
    assert installs in MAKEFILE.replace("--quiet --no-compile ", "")
