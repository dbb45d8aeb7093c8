"""The whole calms21 profile through a mirror of a simulated release, with a local Qwen2.5-VL folder as the model."""

import json
import os
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mbrepro import cli, paths
from mbrepro.commands import runner
from mbrepro.data.calms21.release import data_folder
from mbrepro.demo.simulated import DemoSettings
from mbrepro.errors import InputError
from mbrepro.report import page
from mbrepro.study import estimate, profiles, results
from tests.fixtures.mirror import serve
from tests.fixtures.tiny_checkpoint import write_checkpoint
from tests.fixtures.zipped import write_zips

pytestmark = pytest.mark.study

REAL = "11_real"  # shows recorded figures of real animals, nothing simulated
GIVEN = {"seeds": 2, "epochs": 2, "baseline_epochs": 2, "behaviours": "sniff_face", "most_clips": 6, "draws": 2}
SMALL = [word for name, value in GIVEN.items() for word in ("-p", name, str(value))]
RUN = ["run", "--all", "--profile", "calms21", *SMALL, "-p", "run", "small"]
FOLDER = "results/calms21/runs/small"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """A mirror of a small simulated release, as zips."""
    folder = tmp_path_factory.mktemp("mirror")
    few = DemoSettings(3, 1, 3, 90, 90, task3_train=1, task3_test=1, task3_seconds=30, rare_seconds=30)
    write_zips(folder, ["sniff_face"], few)
    with serve(folder) as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory, mirror):
    """Folders for the data and the study, the mirror as source, and a model of random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBREPRO_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("MBREPRO_ROOT", str(tmp_path_factory.mktemp("study")))
        patch.setenv("MBREPRO_CALMS21", mirror.url)
        patch.setenv("MBREPRO_MODEL", str(write_checkpoint(tmp_path_factory.mktemp("model"))))
        yield paths.root()


@pytest.fixture(scope="module")
def study(place):
    """The study as `make reproduce PROFILE=calms21` runs it, with few seeds and epochs, so as a run of one's own."""
    for command in (
        ["fetch", "calms21", "--videos", "none"], ["estimate", "--videos", "all"], ["fetch", "calms21"], RUN,
        ["book", "--profile", "calms21", "--run", "small"],
    ):  # fmt: skip
        assert cli.main(command) == 0, command
    return place


def parsed(study, name) -> BeautifulSoup:
    return BeautifulSoup((study / FOLDER / f"_build/html/{name}.html").read_text(encoding="utf-8"), "html.parser")


def test_every_row_is_measured_and_scores_again(study, capsys):
    assert cli.main(["verify", "--profile", "calms21", "--run", "small"]) == 0
    table = pd.read_csv(study / FOLDER / "table.csv")
    measured = set(zip(table["row"], table["protocol"], strict=True))
    assert measured == {(row, protocol) for row, protocols in results.OF_ROW.items() for protocol in protocols}
    assert not (study / "results/demo").exists()
    assert not (study / "results/calms21/table.csv").exists() and not (study / "_build").exists()


def test_a_simulated_release_is_called_simulated_on_every_page(study):
    assert results.sources(study / FOLDER) == {"simulated"}
    for name in ["index", *(f"notebooks/{n}" for n in runner.notebook_names() if n != REAL)]:
        assert page.SIMULATED in parsed(study, name).find(class_="mb-banner").get_text(), name


def test_few_shot_uses_the_sequences_found_in_task_1_videos_and_says_which(study):
    stored = results.read_predictions(study / FOLDER / "predictions/few_shot-corrected.safetensors")
    data = profiles.load_dataset("task3/sniff_face", "calms21")
    filmed = [r.name for r in data.test if r.video]
    assert [v.name for v in stored[0].videos] == filmed and 0 < len(filmed) < len(data.test)
    told = re.sub(r"\s+", " ", parsed(study, "notebooks/05_few_shot").get_text())
    assert data.partial in told and "Which sequences have video" in told
    row = json.loads((study / FOLDER / "rows/few_shot-corrected.json").read_text())
    assert row["rows"][0]["partial"] == data.partial


def test_the_embedder_was_the_local_model(study):
    for protocol in results.PROTOCOLS:
        row = json.loads((study / FOLDER / f"rows/clip-{protocol}.json").read_text())
        assert row["settings"]["protocol_settings"]["embedder"]["model"] == os.environ["MBREPRO_MODEL"]


def test_a_second_run_fetches_and_computes_nothing(study, mirror):
    before = mirror.sent.total()
    assert cli.main(["fetch", "calms21"]) == 0
    assert mirror.sent.total() == before
    assert runner.run_study("calms21", GIVEN, run="small") == []


def test_a_partial_study_says_so(study, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path / "study"))
    assert cli.main(["fetch", "calms21", "--videos", "2"]) == 0
    assert cli.main(["run", "03_clip", "--profile", "calms21", "-p", "seeds", "1", "-p", "epochs", "8"]) == 0
    data = profiles.load_dataset("task1", "calms21")
    assert data.partial.startswith("video of 1 of")
    (path,) = (tmp_path / "study").rglob("clip-corrected.json")
    assert {row["partial"] for row in json.loads(path.read_text())["rows"]} == {data.partial}
    (executed,) = (tmp_path / "study").rglob("03_clip.ipynb")
    assert f"Task 1: {data.partial}" in executed.read_text()


def test_nothing_of_the_data_is_in_the_study(study):
    names = {path.name for path in study.rglob("*")}
    assert not [name for name in names if name.endswith((".mp4", ".zip"))]
    assert not names & {path.name for path in data_folder(profiles.os.environ["MBREPRO_CALMS21"]).rglob("*.json")}


def test_without_a_gpu_hours_of_work_are_refused_before_anything_runs(study, monkeypatch, capsys):
    monkeypatch.setattr(estimate.cost, "measured_tflops", lambda *_: 1e-9)
    assert cli.main(["run", "--all", "--profile", "calms21", *SMALL, "-p", "clip_seconds", "1"]) == 2
    said = capsys.readouterr().err
    assert re.search(r"at least [\d,]+ hours \([\d,]+ clips\).*--cpu", said)
    costs = estimate.estimate("calms21", seeds=2)
    with pytest.raises(InputError, match="no CUDA GPU"):
        estimate.refuse_slow(costs)
    more = estimate.estimate("calms21", seeds=4)
    assert (more["clips"] > costs["clips"]).all() and (
        more.loc["published", "clips"] == 2 * costs.loc["published", "clips"]
    )
    estimate.refuse_slow(costs.assign(device="cuda"))


def test_data_that_were_not_fetched_are_asked_for(study, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"is not in .* yet: run mbrepro fetch calms21 --from http"):
        profiles.load_dataset("task1", "calms21")
