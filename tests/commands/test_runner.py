"""The runner on small notebooks of its own: parameters, failures, stable bytes, nothing run twice."""

import hashlib
import json
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from mbrepro.commands import copies, runner
from mbrepro.errors import InputError
from tests.fixtures.killed import killed_write
from tests.fixtures.notebooks import BODY, printed, times_run, write_notebook, write_parameters
from tests.fixtures.tiny_checkpoint import write_checkpoint


def test_parameters_are_read_with_their_values(study):
    expected = {"profile": "demo", "run": "", "count": 2, "rate": 0.5, "fast": False}
    assert runner.parameters_of("toy") == expected
    assert "how many" in runner.describe("toy")


def test_values_cascade_from_shared_to_profile_to_notebook_to_what_is_given(study):
    write_notebook(study / "notebooks", "other", BODY)
    write_parameters(
        study / "notebooks",
        shared={"count": 3, "rate": 1.5, "fast": False, "unknown": 1},
        profiles={"calms21": {"count": 4, "rate": 2.5}},
        notebooks={"toy": {"rate": 3.5}},
    )
    assert runner.parameters_of("other") == {"profile": "demo", "run": "", "count": 3, "rate": 1.5, "fast": False}
    expected = {"profile": "calms21", "run": "", "count": 4, "rate": 3.5, "fast": False}
    assert runner.parameters_of("toy", "calms21") == expected
    assert "count = 4  how many" in runner.describe("toy", "calms21")
    runner.run_study("demo", {"count": 2}, ["other"])
    assert printed(study / "results/demo/notebooks/other.ipynb") == "demo  3.0 False\n"


def test_a_damaged_parameters_file_is_named(study):
    (study / "notebooks/parameters.yml").write_text("shared: {count: 3\n")
    with pytest.raises(InputError, match=r"parameters.yml: not the notebooks' parameters"):
        runner.parameters_of("toy")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cuont": 3}, "no parameter 'cuont'; it has profile, run, count, rate, fast"),
        ({"count": "three"}, "count takes a value of type int like 2, not 'three'"),
        ({"count": 2.5}, "count takes a value of type int"),
        ({"count": True}, "count takes a value of type int"),
        ({"fast": 1}, "fast takes a value of type bool"),
        ({"rate": float("inf")}, "rate must be a finite number, not inf"),
        ({"rate": float("nan")}, "rate must be a finite number, not nan"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(study, given, sentence):
    with pytest.raises(InputError, match=sentence):
        runner.run_study("demo", given, ["toy"], "mine")
    assert times_run(study) == 0
    assert not (study / "results").exists()


def test_an_unknown_notebook_is_refused_with_the_names_there_are(study):
    with pytest.raises(InputError, match="no notebook 'toys'; there are toy"):
        runner.run_study("demo", {}, ["toys"])


def test_what_a_kill_left_of_a_notebook_is_no_notebook(study):
    killed_write(study / "notebooks/toy.ipynb")
    assert runner.notebook_names() == ["toy"]


def test_a_whole_number_is_taken_for_a_float(study):
    runner.run_study("demo", {"rate": 3})
    assert printed(study / "results/demo/notebooks/toy.ipynb") == "demo  6.0 False\n"


def test_a_run_with_a_name_is_kept_apart_with_its_parameters_beside(study):
    runner.run_study("demo", {})
    before = (study / "results/demo/notebooks/toy.ipynb").read_bytes()
    assert runner.run_study("demo", {"count": 4}, run="four") == ["toy"]
    folder = study / "results/demo/runs/four"
    assert printed(folder / "notebooks/toy.ipynb") == "demo four 2.0 False\n"
    assert json.loads((folder / "parameters.json").read_text()) == {"count": 4, "profile": "demo", "run": "four"}
    assert (study / "results/demo/notebooks/toy.ipynb").read_bytes() == before
    with pytest.raises(InputError, match=r"parameters.json: this run has other parameters; choose another name"):
        runner.run_study("demo", {"count": 5}, run="four")
    assert runner.run_study("demo", {"count": 4}, run="four") == []


def test_a_runs_name_is_readable_short_and_its_own():
    assert runner.run_name({}) == ""
    assert runner.run_name({"run": "mine", "seeds": 3}) == "mine"
    name = runner.run_name({"view": "last_100", "clip_seconds": 1.0})
    assert re.fullmatch(r"clip_seconds=1\.0,view=last_100-[0-9a-f]{8}", name)
    assert name == runner.run_name({"clip_seconds": 1.0, "view": "last_100"})
    long = [runner.run_name({"model": "/models/" + 300 * "x" + end, "behaviours": "a,b c"}) for end in "ab"]
    assert long[0] != long[1] and all(len(name) < 80 and "/" not in name and " " not in name for name in long)


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", " ", 101 * "x"])
def test_a_run_stays_in_its_folder(study, name):
    if name:
        with pytest.raises(InputError, match="a run's name is up to 100 letters"):
            runner.run_study("demo", {}, run=name)
    assert times_run(study) == 0


def test_an_unchanged_notebook_is_not_run_again_and_a_changed_one_is(study):
    assert runner.run_study("demo", {}) == ["toy"]
    assert runner.run_study("demo", {}) == []
    assert runner.run_study("demo", {"count": 3}) == ["toy"]
    assert times_run(study) == 2


def test_two_runs_give_the_same_bytes_and_the_injected_values_are_folded(study):
    digests = []
    for _ in range(2):
        runner.run_study("demo", {})
        path = study / "results/demo/notebooks/toy.ipynb"
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        tags = [cell.metadata.get("tags", []) for cell in nbformat.read(path, as_version=4).cells]
        path.unlink()
    assert times_run(study) == 2
    assert digests[0] == digests[1]
    (injected,) = [mine for mine in tags if "injected-parameters" in mine]
    assert "hide-input" in injected


def test_a_page_folds_every_cell_and_is_a_notebook_that_is_valid(study):
    runner.run_study("demo", {})
    made = copies.as_page(study / "results/demo/notebooks/toy.ipynb", "calms21")
    nbformat.validate(made)
    *cells, last = made.cells
    assert all("hide-input" in cell.metadata.tags for cell in cells if cell.cell_type == "code")
    assert "mbrepro run toy --profile calms21" in last.source
    run = copies.read(study / "results/demo/notebooks/toy.ipynb").cells
    code = [[cell for cell in part if cell.cell_type == "code"] for part in (run, cells)]
    assert "\n\n".join(cell.source for cell in code[0]) == "\n\n".join(cell.source for cell in code[1])
    assert [o for cell in code[0] for o in cell.outputs] == [o for cell in code[1] for o in cell.outputs]
    assert len(code[1]) < len(code[0]) and all(cell.outputs for cell in code[1][:-1])


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
    write_notebook(study / "notebooks", "other", BODY)
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


def test_weights_changed_behind_a_model_given_by_folder_are_another_run(study):
    model = write_checkpoint(study / "model")
    weights = model / "model.safetensors"
    source = runner.paths.notebooks() / "toy.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[0].source += 'model = ""\n'
    nbformat.write(notebook, source)
    assert runner.run_study("demo", {"model": str(model)}) == ["toy"]
    assert runner.run_study("demo", {"model": str(model)}) == []
    whole = bytearray(weights.read_bytes())
    whole[-1] ^= 1
    weights.write_bytes(whole)
    assert runner.run_study("demo", {"model": str(model)}) == ["toy"]


def test_stage_2_is_run_once_a_seed_by_the_notebooks_that_look_at_clips():
    def seeds(name, given):
        return runner.stage2_seeds(runner.check_run([name], "demo", given))

    assert seeds("03_clip", {"seeds": 3}) == 3
    assert seeds("06_embedding_space", {}) == seeds("07_language", {}) == 1
    assert seeds("08_audit", {"seeds": 2}) == 2  # the ladder of corrections
    assert seeds("01_baseline", {}) == seeds("09_sparsity", {}) == 0
    plan = runner.check_run(runner.notebook_names(), "demo", {"seeds": 4, "baseline_epochs": 2})
    assert runner.stage2_seeds(plan) == 4
    with pytest.raises(InputError, match="seeds takes a value of type int"):
        seeds("03_clip", {"seeds": "many"})


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
        output.write_bytes(before.replace(b"demo  1.0 False", b"demo  1.1 False"))
    else:
        output.write_bytes(before[:-20])
    assert copies.fault(output, study / "results/demo")
    assert runner.run_study("demo", {}) == ["toy"] and runner.run_study("demo", {}) == []
    assert output.read_bytes() == before and row.read_text() == "2" and not copies.fault(output, row.parents[1])


def test_what_a_killed_run_left_is_cleared_away(study):
    left = killed_write(study / "results/demo/notebooks/toy.ipynb")
    runner.run_study("demo", {})
    assert not left.exists()
