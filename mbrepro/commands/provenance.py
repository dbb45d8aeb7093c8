"""What made what: a note beside each executed notebook, all of a study's in one manifest, and that as an RO-Crate.

The crate (w3id.org/ro/crate/1.1, profile Process Run Crate 0.5) is written in place, as metadata of the results folder.
"""

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

import mbrepro
from mbrepro import paths
from mbrepro.artifacts import file_hash, library_versions, read_json, write_json
from mbrepro.commands import copies
from mbrepro.embedding.standin import STAND_IN_WEIGHTS
from mbrepro.errors import InputError
from mbrepro.report import faults

MANIFEST, CRATE = "manifest.json", "ro-crate-metadata.json"
_CONTEXT, _PROFILE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun/process/0.5"
_ASKED = (("rev-parse", "HEAD"), ("status", "--porcelain"))  # of git
_DONE = "http://schema.org/CompletedActionStatus"
_LICENCE = "https://spdx.org/licenses/MIT"
_KINDS = {".ipynb": "application/x-ipynb+json", ".csv": "text/csv", ".json": "application/json"}


def note_of(executed: Path) -> Path:
    """Where the note of an executed notebook lies."""
    return executed.with_suffix(".run.json")


def write_note(executed: Path, values: Mapping[str, object], began: datetime) -> None:
    """Note how a notebook was just run: its parameters, code, libraries and machine, when, and for how long."""
    ended = datetime.now(UTC)
    machine = {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()}
    told = {"parameters": dict(values), "began": _iso(began), "ended": _iso(ended), "code": code()}
    libraries = {"python": platform.python_version(), **library_versions()}
    write_json(
        note_of(executed), {**told, "seconds": (ended - began).total_seconds(), "libraries": libraries, **machine}
    )


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def code() -> dict[str, object]:
    """The package's version and, in a git checkout, its commit and whether files were changed since."""
    git = ["git", "-C", str(paths.SOURCE)]
    told = [subprocess.run([*git, *words], capture_output=True, text=True, check=False) for words in _ASKED]
    known = all(done.returncode == 0 for done in told)
    commit, changed = (told[0].stdout.strip(), bool(told[1].stdout)) if known else (None, None)
    return {"version": mbrepro.__version__, "commit": commit, "changed": changed}


def shipped() -> list[Path]:
    """The inputs that are part of the repository: recorded figures that notebooks show, and the stand-in's weights."""
    unused = {faults.PAGE, faults.MUTANTS}
    figures = [path for path in sorted(paths.recorded().glob("[!.]*.json")) if path.stem not in unused]
    return [*figures, *sorted(STAND_IN_WEIGHTS.iterdir())]


def manifest(folder: Path) -> dict[str, Any]:
    """Everything that made a study's results: each notebook's note and hashes, and the inputs that are shipped.

    Raises InputError for a notebook that has no note.
    """
    runs = {}
    for path in sorted((folder / "notebooks").glob("[!.]*.ipynb")):
        try:
            told = read_json(note_of(path))
        except (OSError, ValueError) as error:
            raise InputError(f"{note_of(path)} does not say how {path.stem} was run ({error}): delete both") from error
        hashes = {"source_sha256": file_hash(paths.notebooks() / path.name), "executed_sha256": file_hash(path)}
        runs[path.stem] = {**told, **hashes, "wrote": copies.read(path).metadata[copies.WROTE]}
    return {"notebooks": runs, "inputs": {path.name: file_hash(path) for path in shipped()}}


def made_by(told: Mapping[str, Any]) -> pd.DataFrame:
    """A row a notebook of a `manifest`: how long it ran, with which code, and what it wrote beside its page."""
    rows = {}
    for name, run in told["notebooks"].items():
        commit = (run["code"]["commit"] or "no git checkout")[:10] + (" and changes" if run["code"]["changed"] else "")
        folders = Counter(PurePosixPath(file).parent.name or file for file in run["wrote"])
        files = [name if "." in name else f"{count} in {name}" for name, count in sorted(folders.items())]
        rows[name] = {"seconds": f"{run['seconds']:.0f}", "code": commit, "wrote": ", ".join(files) or "its page alone"}
    return pd.DataFrame(rows).T


def write_manifest(folder: Path) -> Path:
    """Write `manifest` into the results folder and return its path."""
    write_json(folder / MANIFEST, manifest(folder))
    return folder / MANIFEST


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the last build of the book wrote as the manifest. Raises InputError if there is none, or it is damaged."""
    try:
        told = read_json(folder / MANIFEST)
        return {"notebooks": told["notebooks"], "inputs": told["inputs"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} is no manifest ({error!r}): run make book") from error


def write_crate(folder: Path, title: str) -> Path:
    """Describe a results folder as a Process Run Crate, in place, and return the metadata's path.

    It says what `read_manifest` does, as the book's pages do. Every notebook's run is an action: its parameters and the
    shipped inputs, the package as its instrument, and the executed copy and the files it wrote as its results.
    title: what the root is called.
    """
    told = read_manifest(folder)
    runs, entities = told["notebooks"], [_about(MANIFEST, folder / MANIFEST)]
    inputs = [{"@id": f"#input-{name}", "@type": "CreativeWork", "name": name, "sha256": digest}
              for name, digest in told["inputs"].items()]  # fmt: skip
    for name, run in runs.items():
        entities += _action(folder, name, run, inputs)
    files = [entity for entity in entities if entity["@type"] == "File"]
    root = {
        "@id": "./", "@type": "Dataset", "name": title, "license": {"@id": _LICENCE},
        "description": "Results of the mbrepro study: executed notebooks, rows, predictions and tables.",
        "datePublished": max(run["ended"] for run in runs.values()), "conformsTo": {"@id": _PROFILE},
        "author": {"@id": "#maintainers"}, "publisher": {"@id": "#maintainers"},
        "hasPart": _refs(files), "mentions": _refs(e for e in entities if e["@type"] == "CreateAction"),
    }  # fmt: skip
    head = {"@id": CRATE, "@type": "CreativeWork", "conformsTo": {"@id": _CONTEXT}, "about": {"@id": "./"}}
    graph = [head, root, *_CONTEXTUAL, *_software(runs), *inputs, *entities]
    write_json(folder / CRATE, {"@context": f"{_CONTEXT}/context", "@graph": graph})
    return folder / CRATE


_CONTEXTUAL = (
    {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
    {"@id": "#maintainers", "@type": "Organization", "name": "the mbrepro maintainers"},
    {"@id": _LICENCE, "@type": "CreativeWork", "name": "MIT", "description": "The MIT licence",
     "identifier": _LICENCE},
)  # fmt: skip


def _refs(entities: Iterable[Mapping[str, Any]]) -> list[dict[str, str]] | dict[str, str]:
    """References to entities; one alone is no list, as RO-Crate has it."""
    found = [{"@id": entity["@id"]} for entity in entities]
    return found[0] if len(found) == 1 else found


def _about(name: str, path: Path) -> dict[str, object]:
    """A file of the crate."""
    kind = _KINDS.get(path.suffix, "application/octet-stream")
    size = {"contentSize": str(path.stat().st_size), "sha256": file_hash(path)}
    return {"@id": name, "@type": "File", "name": name, "encodingFormat": kind, **size}


def _software(runs: Mapping[str, Mapping]) -> list[dict[str, object]]:
    """The package at each state of its code that a notebook was run with."""
    known = {"@type": "SoftwareApplication", "name": "mbrepro", "license": {"@id": _LICENCE}}
    states = sorted({_instrument(run) for run in runs.values()})
    return [{"@id": state, **known, "softwareVersion": state.removeprefix("#mbrepro-")} for state in states]


def _instrument(run: Mapping[str, Mapping]) -> str:
    commit = run["code"]["commit"] or "unknown"
    return f"#mbrepro-{run['code']['version']}+{commit}{'+changed' if run['code']['changed'] else ''}"


def _action(folder: Path, name: str, run: Mapping, inputs: list[dict]) -> list[dict[str, object]]:
    """What a notebook's run is in the crate: the action, its parameters, and the files that it made."""
    names = [f"notebooks/{name}.ipynb", *run["wrote"]]
    made = [_about(file, folder / file) for file in names]
    given = [{"@id": f"#{name}-{key}", "@type": "PropertyValue", "name": key, "value": value}
             for key, value in run["parameters"].items()]  # fmt: skip
    action = {
        "@id": f"#run-{name}", "@type": "CreateAction", "name": f"run of {name}", "actionStatus": _DONE,
        "description": f"notebooks/{name}.ipynb ({run['source_sha256']}), executed by papermill",
        "startTime": run["began"], "endTime": run["ended"], "instrument": {"@id": _instrument(run)},
        "object": _refs((*given, *inputs)), "result": _refs(made),
    }  # fmt: skip
    return [action, *given, *made]
