"""Run notebooks: parameters checked first, stable bytes, nothing run twice, failures and runs of one's own apart."""

import ast
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
import papermill

from mbrepro import paths
from mbrepro.artifacts import fingerprint, library_versions, package_versions, replacing, write_json, write_text
from mbrepro.commands import copies
from mbrepro.commands.execute import execute
from mbrepro.embedding import model_state
from mbrepro.embedding.standin import STAND_IN_WEIGHTS
from mbrepro.errors import InputError
from mbrepro.study import results
from mbrepro.study.parameters import cascade, check_values, runs_stage2
from mbrepro.study.profiles import calms21_folder

KEY = "mbrepro_key"
READABLE = 60  # characters of a run's name before its hash


def notebook_names() -> list[str]:
    """Names of the study's notebooks, in the order they are run and read."""
    return sorted(path.stem for path in paths.notebooks().glob("[!.]*.ipynb"))


def _declared(name: str) -> dict[str, dict]:
    if name not in notebook_names():
        raise InputError(f"there is no notebook {name!r}; there are {', '.join(notebook_names())}")
    return papermill.inspect_notebook(str(paths.notebooks() / f"{name}.ipynb"))


def parameters_of(name: str, profile: str = "demo") -> dict[str, object]:
    """A notebook's parameters with the values a profile's study gives them.

    Raises InputError naming the notebooks there are if there is none of this name.
    """
    given = cascade(profile, name)
    own = {key: ast.literal_eval(value["default"]) for key, value in _declared(name).items()}
    return {key: given.get(key, value) for key, value in own.items()}


def describe(name: str, profile: str = "demo") -> str:
    """A notebook's parameters, a line each: name, value in the profile's study, and what its comment says."""
    declared = _declared(name)
    return "\n".join(f"{k} = {v!r}  {declared[k]['help']}" for k, v in parameters_of(name, profile).items())


def check_parameters(name: str, given: Mapping[str, object], profile: str = "demo") -> dict[str, object]:
    """All parameters of a run: the study's values with the given ones in their place.

    Raises InputError for a parameter the notebook does not have, a value of another kind than the study's, or one that
    no run can use.
    """
    known = parameters_of(name, profile)
    for key, value in given.items():
        if key not in known:
            raise InputError(f"{name} has no parameter {key!r}; it has {', '.join(known)}")
        if not _same_kind(known[key], value):
            kind = type(known[key]).__name__
            raise InputError(f"{name}: parameter {key} takes a value of type {kind} like {known[key]!r}, not {value!r}")
    values = {key: _like(known[key], given.get(key, known[key])) for key in known}
    check_values(values)
    return values


def _same_kind(default: object, value: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    return isinstance(value, type(default))


def _like(default: object, value: object) -> object:
    return float(value) if isinstance(default, float) else value


def check_run(names: Sequence[str], profile: str, given: Mapping[str, object]) -> tuple[dict[str, object], int]:
    """The given parameters as the notebooks take them, and for how many seeds stage 2 is run.

    Each notebook is given the parameters it has. Raises InputError, before anything runs, as `check_parameters` does,
    and for a parameter that none of them has.
    """
    paths.check_profile(profile)
    known = {name: parameters_of(name, profile) for name in names}
    for key in given:
        if not any(key in parameters for parameters in known.values()):
            if len(names) == 1:
                raise InputError(f"{names[0]} has no parameter {key!r}; it has {', '.join(known[names[0]])}")
            raise InputError(f"no notebook has a parameter {key!r}")
    values, seeds = {}, 0
    for name in names:
        mine = check_parameters(name, {k: v for k, v in given.items() if k in known[name]}, profile)
        values |= mine
        seeds = max(seeds, mine.get("seeds", 1) if runs_stage2(name) else 0)
    return {key: values[key] for key in given}, seeds


def run_name(given: Mapping[str, object]) -> str:
    """The name of a run with these parameters: what they are, cut short, and a hash; its `run` if that is given."""
    if not given or given.get("run"):
        return given.get("run", "")
    text = ",".join(f"{key}={value}" for key, value in sorted(given.items()))
    return f"{re.sub(r'[^A-Za-z0-9_=,.+-]+', '_', text)[:READABLE]}-{fingerprint(dict(given))[:8]}"


def executed(profile: str, run: str = "") -> Path:
    """The folder of executed notebooks of a profile's study, or of a run of one's own."""
    return paths.results(profile, run) / "notebooks"


def run_study(
    profile: str, parameters: Mapping[str, object], names: Sequence[str] | None = None, run: str = ""
) -> list[str]:
    """Run notebooks in order, into the study or into a run of one's own; return the names of those not up to date.

    run: the run's name; its parameters are written beside its results. Raises InputError as `check_run` does, and if a
    run of this name has other parameters.
    """
    names = names or notebook_names()
    given, _ = check_run(names, profile, parameters)
    if run:
        _keep_parameters(paths.results(profile, run) / "parameters.json", {**given, "profile": profile})
    done = []
    for name in names:
        known = parameters_of(name, profile)
        mine = {key: value for key, value in given.items() if key in known} | {"run": run}
        if run_notebook(name, {k: v for k, v in mine.items() if k in known}, executed(profile, run), profile):
            done.append(name)
    results.tidy(paths.results(profile, run))
    return done


def _keep_parameters(path: Path, given: dict[str, object]) -> None:
    if not path.exists():
        write_json(path, given)
    elif json.loads(path.read_text(encoding="utf-8")) != given:
        raise InputError(f"{path}: this run has other parameters; choose another name with -p run NAME, or delete it")


def run_notebook(name: str, parameters: Mapping[str, object], folder: Path, profile: str = "demo") -> bool:
    """Execute one notebook into `folder`; return False if an up-to-date run is already there.

    A run is up to date if it is of these parameters and inputs, and neither its executed copy nor what it wrote into
    the results `folder` has been changed or deleted since. The executed copy appears only when every cell has
    succeeded. A failed run is kept as `NAME.failed.ipynb` in a folder `failed` beside it, for reading. Raises
    InputError with the last error if a cell fails.
    """
    values = check_parameters(name, parameters, profile)
    source, output = paths.notebooks() / f"{name}.ipynb", folder / f"{name}.ipynb"
    key = notebook_key(name, values, profile)
    failed = folder / "failed" / f"{name}.failed.ipynb"
    if output.exists() and not copies.fault(output, folder.parent) and copies.read(output).metadata.get(KEY) == key:
        return False
    before = copies.state(folder.parent)
    with replacing(output) as temporary:
        try:
            execute(name, source, temporary, values)
        except InputError as error:
            write_text(failed, temporary.read_text(encoding="utf-8"))
            raise InputError(f"{error} (see {failed})") from error
        notebook = _stable(temporary, key)
        copies.seal(notebook, folder.parent, before)
        write_text(temporary, nbformat.writes(notebook))
    failed.unlink(missing_ok=True)
    return True


def notebook_key(name: str, values: Mapping[str, object], profile: str) -> str:
    """What an executed notebook is kept under: its source and parameters, the code and libraries it calls, its inputs.

    Inputs are what is shipped (recorded figures, the stand-in's weights), the model, the fetched data and the real
    recordings on this machine; files outside the project by name, size and time of change.
    """
    shipped = [*sorted(paths.recorded().glob("[!.]*.json")), *sorted(STAND_IN_WEIGHTS.iterdir())]
    model = values.get("model") or os.environ.get("MBREPRO_MODEL", "")
    outside = [paths.real_data(), calms21_folder() if profile == "calms21" else None]
    files = [path for folder in outside if folder for path in sorted(folder.rglob("*")) if path.is_file()]
    states = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    source = paths.notebooks() / f"{name}.ipynb"
    return fingerprint(
        source, values, package_versions(), library_versions(), shipped, model, model_state(model), states
    )


def _stable(path: Path, key: str) -> nbformat.NotebookNode:
    """The executed notebook without what differs from run to run (times, random ids), its injected values folded."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata[KEY] = key
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        for field in ("papermill", "execution"):
            cell.metadata.pop(field, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-input")
    return notebook
