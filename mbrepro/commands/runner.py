"""Run notebooks through papermill: parameters checked first, stable bytes, nothing run twice, failures kept apart."""

import ast
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

from mbrepro import paths
from mbrepro.artifacts import fingerprint, replacing, write_text
from mbrepro.commands import copies
from mbrepro.errors import InputError
from mbrepro.study import results
from mbrepro.study.profiles import calms21_folder

KERNEL = "mbrepro"
KEY = "mbrepro_key"


def notebook_names() -> list[str]:
    """Names of the study's notebooks, in the order they are run."""
    return sorted(path.stem for path in paths.notebooks().glob("*.ipynb"))


def parameters_of(name: str) -> dict[str, object]:
    """A notebook's parameters with their default values.

    Raises InputError naming the notebooks there are if there is none of this name.
    """
    if name not in notebook_names():
        raise InputError(f"there is no notebook {name!r}; there are {', '.join(notebook_names())}")
    inferred = papermill.inspect_notebook(str(paths.notebooks() / f"{name}.ipynb"))
    return {key: ast.literal_eval(value["default"]) for key, value in inferred.items()}


def seeds_of_stage2(name: str, given: Mapping[str, object]) -> int:
    """For how many seeds a notebook would run stage 2 with these parameters; 0 if it loads no embedder.

    Raises InputError as `check_parameters` does, but for parameters of other notebooks.
    """
    known = parameters_of(name)
    values = check_parameters(name, {key: value for key, value in given.items() if key in known})
    source = (paths.notebooks() / f"{name}.ipynb").read_text(encoding="utf-8")
    return values.get("seeds", 1) if "load_embedder(" in source else 0


def describe(name: str) -> str:
    """A notebook's parameters, a line each: name, default, and what its comment says."""
    known = parameters_of(name)
    inferred = papermill.inspect_notebook(str(paths.notebooks() / f"{name}.ipynb"))
    return "\n".join(f"{key} = {known[key]!r}  {inferred[key]['help']}" for key in known)


def check_parameters(name: str, given: Mapping[str, object]) -> dict[str, object]:
    """All parameters of a run: the notebook's defaults with the given ones in their place.

    Raises InputError for a parameter the notebook does not have, or a value of another kind than its default.
    """
    known = parameters_of(name)
    for key, value in given.items():
        if key not in known:
            raise InputError(f"{name} has no parameter {key!r}; it has {', '.join(known)}")
        if not _same_kind(known[key], value):
            kind = type(known[key]).__name__
            raise InputError(f"{name}: parameter {key} takes a value of type {kind} like {known[key]!r}, not {value!r}")
    return {key: _like(known[key], given.get(key, known[key])) for key in known}


def _same_kind(default: object, value: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return isinstance(value, (int, float))
    return isinstance(value, type(default))


def _like(default: object, value: object) -> object:
    return float(value) if isinstance(default, float) else value


def run_notebook(name: str, parameters: Mapping[str, object], output: Path, folder: Path) -> bool:
    """Execute one notebook into `output`; return False if an up-to-date run is already there.

    A run is up to date if it is of these parameters and inputs, and neither its executed copy nor what it wrote into
    the results `folder` has been changed or deleted since. The executed copy appears only when every cell has
    succeeded. A failed run is kept as `NAME.failed.ipynb` in a folder `failed` beside it, for reading. Raises
    InputError with the last error if a cell fails.
    """
    values = check_parameters(name, parameters)
    source = paths.notebooks() / f"{name}.ipynb"
    key = fingerprint(source, values, *_package_files(), *_inputs(values.get("profile")))
    failed = output.parent / "failed" / f"{name}.failed.ipynb"
    if output.exists() and not copies.fault(output, folder) and copies.read(output).metadata.get(KEY) == key:
        return False
    before = copies.state(folder)
    # transformers asks for widgets that a printed book has no use for
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    with replacing(output) as temporary:
        try:
            papermill.execute_notebook(
                str(source), str(temporary), parameters=values, kernel_name=KERNEL, cwd=str(paths.root()),
                progress_bar=sys.stderr.isatty(),
                extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns about its own transport on every start
            )  # fmt: skip
        except PapermillExecutionError as error:
            write_text(failed, temporary.read_text(encoding="utf-8"))
            raise InputError(f"{name} stopped: {error.ename}: {error.evalue} (see {failed})") from error
        notebook = _stable(temporary, key)
        copies.seal(notebook, folder, before)
        write_text(temporary, nbformat.writes(notebook))
    failed.unlink(missing_ok=True)
    return True


def _package_files() -> list[Path]:
    """Sources of the package and what is shipped with it: the stand-in's weights, the recorded figures."""
    found = [*(paths.SOURCE / "mbrepro").rglob("*"), *paths.recorded().glob("*.json")]
    return sorted(path for path in found if path.is_file() and path.suffix != ".pyc")


def _inputs(profile: object) -> list[object]:
    """What a run depends on beside its parameters: the fetched data and the model, by name, size and time of change."""
    model = os.environ.get("MBREPRO_MODEL", "")
    if profile != "calms21":
        return []
    files = [path for path in sorted(calms21_folder().rglob("*")) if path.is_file()]
    files += sorted(Path(model).glob("*")) if model and Path(model).is_dir() else []
    return [model, [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]]


def _stable(path: Path, key: str) -> nbformat.NotebookNode:
    """The executed notebook without what differs from run to run: times, random ids, paths."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata[KEY] = key
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        for field in ("papermill", "execution"):
            cell.metadata.pop(field, None)
    return notebook


def run_study(profile: str, parameters: Mapping[str, object], names: list[str] | None = None) -> list[str]:
    """Run the study's notebooks in order; return the names of those that were not up to date.

    Each notebook is given the parameters it has. Raises InputError if a parameter is in none of them.
    """
    paths.check_profile(profile)
    names = names or notebook_names()
    known = {name: parameters_of(name) for name in names}
    for key in parameters:
        if not any(key in known[name] for name in names):
            raise InputError(f"no notebook has a parameter {key!r}")
    done = []
    bar = tqdm(names, unit="notebook", file=sys.stdout, dynamic_ncols=True)
    for name in bar:
        bar.set_description(name)
        mine = {key: value for key, value in parameters.items() if key in known[name]} | {"profile": profile}
        folder = paths.results(profile)
        if run_notebook(name, mine, folder / "notebooks" / f"{name}.ipynb", folder):
            done.append(name)
    results.tidy(paths.results(profile))
    return done


def run_one(name: str, profile: str, parameters: Mapping[str, object]) -> Path:
    """Run one notebook and return its executed copy.

    With parameters it is a run of its own, kept under `results/<profile>/runs`; the table stays as it is.
    """
    if not parameters:
        run_study(profile, {}, [name])
        return paths.results(profile) / "notebooks" / f"{name}.ipynb"
    label = ",".join(f"{key}={value}" for key, value in sorted(parameters.items()))
    folder = paths.results(profile) / "runs" / label.replace("/", "_")
    output = folder / f"{name}.ipynb"
    run_notebook(name, dict(parameters) | {"profile": profile, "run": label}, output, folder)
    return output
