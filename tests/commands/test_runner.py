"""The runner on small notebooks of its own: parameters, failures, stable bytes, nothing run twice."""

import hashlib
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from mbrepro import paths
from mbrepro.commands import copies, runner
from mbrepro.errors import InputError

PARAMETERS = 'profile = "demo"  # which recordings\nrun = ""\ncount = 2  # how many\nrate = 0.5\nfast = False\n'
BODY = (
    'import pathlib\nlog = pathlib.Path("log.txt")\nlog.write_text((log.read_text() if log.exists() else "") + "x")\n'
)


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """A study folder with one notebook `toy`, which fails when count is 13 and leaves a mark each time it runs."""
    sources = tmp_path / "notebooks"
    sources.mkdir()
    cell = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    work = new_code_cell(BODY + "assert count != 13, 'unlucky'\nprint(profile, count * rate, fast)")
    kernel = {"name": "mbrepro", "display_name": "x", "language": "python"}
    notebook = new_notebook(cells=[cell, work], metadata={"kernelspec": kernel})
    nbformat.write(notebook, sources / "toy.ipynb")
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    monkeypatch.setattr(paths, "notebooks", lambda: sources)
    return tmp_path


def times_run(study: Path) -> int:
    log = study / "log.txt"
    return len(log.read_text()) if log.exists() else 0


def printed(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_parameters_are_read_with_their_values(study):
    expected = {"profile": "demo", "run": "", "count": 2, "rate": 0.5, "fast": False}
    assert runner.parameters_of("toy") == expected
    assert "how many" in runner.describe("toy")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cuont": 3}, "no parameter 'cuont'; it has profile, run, count, rate, fast"),
        ({"count": "three"}, "count takes a value of type int like 2, not 'three'"),
        ({"count": 2.5}, "count takes a value of type int"),
        ({"count": True}, "count takes a value of type int"),
        ({"fast": 1}, "fast takes a value of type bool"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(study, given, sentence):
    with pytest.raises(InputError, match=sentence):
        runner.run_one("toy", "demo", given)
    assert times_run(study) == 0
    assert not (study / "results").exists()


def test_an_unknown_notebook_is_refused_with_the_names_there_are(study):
    with pytest.raises(InputError, match="no notebook 'toys'; there are toy"):
        runner.run_one("toys", "demo", {})


def test_a_whole_number_is_taken_for_a_float(study):
    path = runner.run_one("toy", "demo", {"rate": 3})
    assert printed(path) == "demo 6.0 False\n"


def test_a_run_with_parameters_is_kept_apart_from_the_study(study):
    runner.run_study("demo", {})
    before = (study / "results/demo/notebooks/toy.ipynb").read_bytes()
    path = runner.run_one("toy", "demo", {"count": 4})
    assert path == study / "results/demo/runs/count=4/toy.ipynb"
    assert printed(path) == "demo 2.0 False\n"
    assert (study / "results/demo/notebooks/toy.ipynb").read_bytes() == before


def test_an_unchanged_notebook_is_not_run_again_and_a_changed_one_is(study):
    assert runner.run_study("demo", {}) == ["toy"]
    assert runner.run_study("demo", {}) == []
    assert runner.run_study("demo", {"count": 3}) == ["toy"]
    assert times_run(study) == 2


def test_two_runs_give_the_same_bytes(study):
    digests = []
    for _ in range(2):
        runner.run_study("demo", {})
        path = study / "results/demo/notebooks/toy.ipynb"
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        path.unlink()
    assert times_run(study) == 2
    assert digests[0] == digests[1]


def test_a_failed_run_is_never_taken_for_a_finished_one(study):
    output = study / "results/demo/notebooks/toy.ipynb"
    with pytest.raises(InputError, match="toy stopped: AssertionError: unlucky"):
        runner.run_study("demo", {"count": 13})
    assert not output.exists()
    assert list(output.parent.glob("*")) == [output.parent / "failed"]
    assert "unlucky" in (output.parent / "failed/toy.failed.ipynb").read_text()
    runner.run_study("demo", {})
    assert output.exists()
    assert not (output.parent / "failed/toy.failed.ipynb").exists()


def test_a_failed_rerun_leaves_the_earlier_result(study):
    runner.run_study("demo", {})
    output = study / "results/demo/notebooks/toy.ipynb"
    before = output.read_bytes()
    with pytest.raises(InputError):
        runner.run_study("demo", {"count": 13})
    assert output.read_bytes() == before


def test_a_parameter_no_notebook_has_is_refused(study):
    with pytest.raises(InputError, match="no notebook has a parameter 'typo'"):
        runner.run_study("demo", {"typo": 1})
    assert times_run(study) == 0


def test_other_data_or_another_model_is_another_run(study, monkeypatch):
    data, model = study / "data", study / "model"
    for folder in (data, model):
        folder.mkdir()
        (folder / "file").write_text("1")
    monkeypatch.setenv("MBREPRO_MODEL", str(model))
    monkeypatch.setattr(runner, "calms21_folder", lambda: data)
    assert runner.run_study("calms21", {}) == ["toy"]
    assert runner.run_study("calms21", {}) == []
    for folder in (data, model):
        (folder / "file").write_text("22")
        assert runner.run_study("calms21", {}) == ["toy"]
        assert runner.run_study("calms21", {}) == []


def test_notebooks_that_load_an_embedder_run_stage_2_once_a_seed():
    assert runner.seeds_of_stage2("03_clip", {"seeds": 3, "baseline_epochs": 2}) == 3
    assert runner.seeds_of_stage2("07_language", {"seeds": 3}) == 1
    assert runner.seeds_of_stage2("01_baseline", {}) == runner.seeds_of_stage2("08_audit", {}) == 0
    with pytest.raises(InputError, match="seeds takes a value of type int"):
        runner.seeds_of_stage2("03_clip", {"seeds": "many"})


WRITING = (
    "from pathlib import Path\nfolder = Path('results/demo/rows')\nfolder.mkdir(parents=True, exist_ok=True)\n"
    "_ = (folder / 'made.json').write_text(str(count))"
)


@pytest.mark.parametrize("harm", ["delete", "change", "executed copy", "unreadable copy"])
def test_a_run_whose_results_or_executed_copy_are_not_as_it_left_them_is_run_again(study, harm):
    source = study / "notebooks/toy.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.cells.append(new_code_cell(WRITING))
    nbformat.write(notebook, source)
    assert runner.run_study("demo", {}) == ["toy"] and runner.run_study("demo", {}) == []
    output, row = study / "results/demo/notebooks/toy.ipynb", study / "results/demo/rows/made.json"
    before = output.read_bytes()
    if harm == "delete":
        row.unlink()
    elif harm == "change":
        row.write_text("3")
    elif harm == "executed copy":
        output.write_bytes(before.replace(b"demo 1.0 False", b"demo 1.1 False"))
    else:
        output.write_bytes(before[:-20])
    assert copies.fault(output, study / "results/demo")
    assert runner.run_study("demo", {}) == ["toy"] and runner.run_study("demo", {}) == []
    assert output.read_bytes() == before and row.read_text() == "2" and not copies.fault(output, row.parents[1])


def test_what_a_killed_run_left_is_cleared_away(study):
    left = study / "results/demo/notebooks/.ab12cd34.partial.ipynb"
    left.parent.mkdir(parents=True)
    left.write_text("{")
    runner.run_study("demo", {})
    assert not left.exists()
