"""Run notebooks: parameters checked first, stable bytes, nothing run twice, failures and runs of one's own apart."""

import ast
import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill

from mbrepro import paths
from mbrepro.artifacts import (
    file_hash,
    fingerprint,
    library_versions,
    package_versions,
    read_json,
    replacing,
    write_json,
    write_text,
)
from mbrepro.commands import copies, provenance
from mbrepro.commands.execute import WarmKernel, execute
from mbrepro.embedding import model_state
from mbrepro.errors import InputError
from mbrepro.study import results, stored
from mbrepro.study.parameters import cascade, check_values, of_own, runs_stage2, shows_runs
from mbrepro.study.profiles import calms21_folder

KEY = "mbrepro_key"
READABLE = 60  # characters of a run's name before its hash


def notebook_names(profile: str = "demo") -> list[str]:
    """Names of a study's notebooks, in the order they are run and read."""
    if profile == paths.OWN:
        return of_own()
    return sorted(path.stem for path in paths.notebooks().glob("[!.]*.ipynb") if not path.stem.startswith("own_"))


def full_name(name: str, profile: str = "demo") -> str:
    """The notebook that a name means, with its number or without it; a name that none has is returned as it is."""
    return next((known for known in notebook_names(profile) if name == known.partition("_")[2]), name)


def _declared(name: str, profile: str) -> dict[str, dict]:
    if name not in (known := notebook_names(profile)):
        raise InputError(f"there is no notebook {name!r}; there are {', '.join(known)} in profile {profile}")
    return papermill.inspect_notebook(str(paths.notebooks() / f"{name}.ipynb"))


def parameters_of(name: str, profile: str = "demo") -> dict[str, object]:
    """A notebook's parameters with the values a profile's study gives them.

    Raises InputError naming the notebooks there are if there is none of this name.
    """
    given = cascade(profile, name)
    return {key: given.get(key, ast.literal_eval(told["default"])) for key, told in _declared(name, profile).items()}


def describe(name: str, profile: str = "demo") -> str:
    """A notebook's parameters, a line each: name, value in the profile's study, and what its comment says."""
    declared = _declared(name, profile)
    return "\n".join(f"{k} = {v!r}  {declared[k]['help']}" for k, v in parameters_of(name, profile).items())


def check_run(names: Sequence[str], profile: str, given: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """All parameters of each notebook: the study's values, and in their place those given that it has.

    Raises InputError, before anything runs, for a parameter that none of them has, a value of another kind than the
    study's, or one that no run can use.
    """
    paths.check_profile(profile)
    plan = {name: parameters_of(name, profile) for name in names}
    for key in given:
        if not any(key in known for known in plan.values()):
            (only, *others), known = names, ", ".join(plan[names[0]])
            raise InputError(
                f"no notebook has a parameter {key!r}" if others else f"{only} has no parameter {key!r}; it has {known}"
            )
    for name, values in plan.items():
        values |= {key: _like(values[key], given[key], f"{name}: parameter {key}") for key in values if key in given}
        check_values(values)
    return plan


def _like(default: Any, value: object, told: str) -> Any:
    """The value, a whole number as a float where the default is one. Raises InputError if it is of another kind."""
    kind = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, kind) or isinstance(value, bool) != isinstance(default, bool):
        raise InputError(f"{told} takes a value of type {type(default).__name__} like {default!r}, not {value!r}")
    try:
        return type(default)(value)
    except OverflowError as error:
        raise InputError(f"{told} takes a number, not one of {len(str(value))} digits") from error


def stage2_seeds(plan: Mapping[str, Mapping[str, Any]]) -> int:
    """For how many seeds the notebooks of `check_run` run stage 2."""
    return max((values.get("seeds", 1) for name, values in plan.items() if runs_stage2(name)), default=0)


def named_model(plan: Mapping[str, Mapping[str, object]]) -> str:
    """The model that notebooks of `check_run` are given as a parameter, or none."""
    return next((str(values["model"]) for values in plan.values() if values.get("model")), "")


def run_name(given: Mapping[str, Any]) -> str:
    """The name of a run with these parameters: what they are, cut short, and a hash; its `run` if that is given."""
    if not given or given.get("run"):
        return given.get("run", "")
    text = ",".join(f"{key}={value}" for key, value in sorted(given.items()))
    return f"{re.sub(r'[^A-Za-z0-9_=,.+-]+', '_', text)[:READABLE]}-{fingerprint(dict(given))[:8]}"


def run_study(
    profile: str, given: Mapping[str, object], names: Sequence[str] | None = None, run: str = "",
    kernel: WarmKernel | None = None,
) -> list[str]:  # fmt: skip
    """Run notebooks in order, into the study or into a run of one's own; return the names of those not up to date.

    run: the run's name; its parameters are written beside its results. kernel: to execute them in, for one that goes on
    to another study; without it they have one together. Raises InputError as `check_run` does, and if a run of this
    name has other parameters.
    """
    plan = check_run(names or notebook_names(profile), profile, given)
    folder = paths.results(profile, run)
    if run:
        _keep_parameters(folder / stored.PARAMETERS, given_in(plan, given) | {"profile": profile, "run": run})
    done = []
    with contextlib.nullcontext(kernel) if kernel else contextlib.closing(WarmKernel()) as warm:
        for name in sorted(plan, key=shows_runs):  # pages of stored runs last: this may be one of them
            values = plan[name] | ({"run": run} if "run" in plan[name] else {})
            if run_notebook(name, values, folder, profile, warm):
                done.append(name)
    results.tidy(folder)
    return done


def given_in(plan: Mapping[str, Mapping[str, object]], given: Mapping[str, object]) -> dict[str, object]:
    """The given parameters as the notebooks of `check_run` take them."""
    return {key: next(values[key] for values in plan.values() if key in values) for key in given}


def _keep_parameters(path: Path, given: dict[str, object]) -> None:
    if not path.exists():
        write_json(path, given)
        return
    with contextlib.suppress(ValueError):
        if read_json(path) == given:
            return
    raise InputError(f"{path}: this run has other parameters; choose another name with -p run NAME, or delete it")


def run_notebook(name: str, values: Mapping[str, object], folder: Path, profile: str, kernel: WarmKernel) -> bool:
    """Execute a notebook with all of its parameters; return False if an up-to-date run is already there.

    A run is up to date if it is of these parameters and inputs, and neither its executed copy nor what it wrote into
    the results `folder` has been changed or deleted since. The executed copy appears only when every cell has
    succeeded. A failed run is kept as `NAME.failed.ipynb` in a folder `failed` beside it, for reading. Raises
    InputError with the last error if a cell fails.
    """
    source, output = paths.notebooks() / f"{name}.ipynb", folder / "notebooks" / f"{name}.ipynb"
    failed = output.parent / "failed" / f"{name}.failed.ipynb"
    key = notebook_key(name, values, profile)
    noted = output.exists() and provenance.note_of(output).exists()
    if noted and not copies.fault(output, folder) and copies.read(output).metadata.get(KEY) == key:
        return False
    before, began = copies.state(folder), datetime.now(UTC)
    with replacing(output) as temporary:
        try:
            execute(name, source, temporary, values, kernel)
        except InputError as error:
            write_text(failed, temporary.read_text(encoding="utf-8"))
            raise InputError(f"{error} (see {failed})") from error
        notebook = _stable(temporary, key)
        copies.seal(notebook, folder, before)
        write_text(temporary, nbformat.writes(notebook))
        provenance.write_note(output, values, began)
    failed.unlink(missing_ok=True)
    return True


def notebook_key(name: str, values: Mapping[str, object], profile: str) -> str:
    """What an executed notebook is kept under: its source and parameters, the code and libraries it calls, its inputs.

    Inputs are what is shipped (recorded figures, the stand-in's weights), the model, the fetched data and the real
    recordings on this machine, or one's own; files outside the project by name, size and time of change; and of a page
    that shows stored runs what these are.
    """
    model = values.get("model") or os.environ.get("MBREPRO_MODEL", "")
    theirs = {"calms21": calms21_folder, paths.OWN: paths.own_data}
    outside = [paths.real_data(), theirs[profile]() if profile in theirs else None]
    files = [path for folder in outside if folder for path in sorted(folder.rglob("*")) if path.is_file()]
    states = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    source = paths.notebooks() / f"{name}.ipynb"
    shown = [file_hash(path) for path in stored.row_files(profile)] if shows_runs(name) else []
    return fingerprint(
        source, values, package_versions(), library_versions(), provenance.shipped(), model, model_state(model),
        states, shown,
    )  # fmt: skip


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
