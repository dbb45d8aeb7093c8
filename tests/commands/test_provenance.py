"""What is noted of a notebook's run, and the research object made of a study's notes."""

import hashlib
import json
from datetime import datetime

import pytest

from mbrepro import cli
from mbrepro.commands import provenance, runner
from mbrepro.errors import InputError


@pytest.fixture
def folder(study):
    runner.run_study("demo", {"count": 3}, ["toy"])
    return study / "results" / "demo"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_is_noted_with_parameters_times_code_and_libraries(folder):
    told = json.loads((folder / "notebooks" / "toy.run.json").read_text())
    assert told["parameters"]["count"] == 3 and told["parameters"]["profile"] == "demo"
    took = datetime.fromisoformat(told["ended"]) - datetime.fromisoformat(told["began"])
    assert told["seconds"] > 0 and abs(told["seconds"] - took.total_seconds()) <= 1  # times are in whole seconds
    assert told["libraries"]["papermill"] and set(told["code"]) == {"version", "commit", "changed"}


def test_without_its_note_a_notebook_runs_again_and_with_it_does_not(folder):
    assert runner.run_study("demo", {"count": 3}, ["toy"]) == []
    provenance.note_of(folder / "notebooks" / "toy.ipynb").unlink()
    with pytest.raises(InputError, match="does not say how toy was run"):
        provenance.manifest(folder)
    assert runner.run_study("demo", {"count": 3}, ["toy"]) == ["toy"]


def test_the_manifest_has_the_hash_of_everything(folder, study):
    told = provenance.manifest(folder)["notebooks"]["toy"]
    assert told["source_sha256"] == sha256(study / "notebooks" / "toy.ipynb")
    assert told["executed_sha256"] == sha256(folder / "notebooks" / "toy.ipynb")
    assert all(digest == sha256(folder / name) for name, digest in told["wrote"].items())
    table = provenance.made_by(provenance.manifest(folder))
    assert table.index.tolist() == ["toy"] and table.loc["toy", "seconds"].isdigit()
    wrote = ["a.csv", "rows/x-1.json", "rows/x-2.json", "predictions/y"]
    made = {"code": {"commit": "0123456789abcdef", "changed": True}, "seconds": 1.6, "wrote": dict.fromkeys(wrote, "")}
    row = provenance.made_by({"notebooks": {"x": made, "z": made | {"wrote": {}}}})
    assert row.loc["x"].tolist() == ["2", "0123456789 and changes", "a.csv, 1 in predictions, 2 in rows"]
    assert row.loc["z", "wrote"] == "its page alone"


def test_the_crate_names_every_file_once_and_every_reference_is_in_it(folder, capsys):
    assert cli.main(["crate"]) == 2  # pages and crate show one manifest, which is the book's
    assert "manifest.json is no manifest" in capsys.readouterr().err
    provenance.write_manifest(folder)
    assert cli.main(["crate"]) == 0
    graph = json.loads((folder / provenance.CRATE).read_text())["@graph"]
    names = [entity["@id"] for entity in graph]
    assert len(names) == len(set(names))

    def refs(value):
        if isinstance(value, dict):
            yield from [value["@id"]] if set(value) == {"@id"} else [r for part in value.values() for r in refs(part)]
        elif isinstance(value, list):
            yield from (r for part in value for r in refs(part))

    outside = {ref for ref in refs(graph) if ref not in names}
    assert outside == {"https://w3id.org/ro/crate/1.1"}
    files = [entity for entity in graph if entity["@type"] == "File"]
    assert {"notebooks/toy.ipynb", provenance.MANIFEST} <= {entity["@id"] for entity in files}
    assert all(entity["sha256"] == sha256(folder / entity["@id"]) for entity in files)
    action = next(entity for entity in graph if entity["@type"] == "CreateAction")
    assert {"@id": "#toy-count"} in action["object"] and action["result"] == {"@id": "notebooks/toy.ipynb"}


def test_pages_show_the_manifest_of_their_build_and_a_damaged_one_is_named(folder):
    provenance.write_manifest(folder)
    assert provenance.read_manifest(folder) == json.loads(json.dumps(provenance.manifest(folder)))
    (folder / provenance.MANIFEST).write_text("{}")
    with pytest.raises(InputError, match=r"manifest.json is no manifest .*: run make book"):
        provenance.read_manifest(folder)


def test_without_a_study_there_is_no_crate(study, capsys):
    assert cli.main(["crate"]) == 2
    assert "holds no study: run make reproduce first" in capsys.readouterr().err
