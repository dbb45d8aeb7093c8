"""A whole small study through the project's own runner: notebooks, table, book, and what a second run does."""

import hashlib
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mbrepro import paths
from mbrepro.commands import book, runner
from mbrepro.report import page
from mbrepro.study import poster, results

pytestmark = pytest.mark.study

SMALL = {"scale": 0.15, "seeds": 2, "epochs": 2, "baseline_epochs": 2, "behaviours": "sniff_face"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The demo study with few recordings, two seeds and two epochs, and its book."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("study")
        patch.setenv("MBREPRO_ROOT", str(root))
        assert runner.run_study("demo", SMALL) == runner.notebook_names()
        book.build("demo")
        yield root


@pytest.fixture(scope="module")
def table(study) -> pd.DataFrame:
    return pd.read_csv(study / "results/demo/table.csv")


def pages(study: Path) -> dict[str, BeautifulSoup]:
    html = study / "_build/html"
    found = {str(path.relative_to(html)): path.read_text(encoding="utf-8") for path in html.rglob("*.html")}
    return {name: BeautifulSoup(text, "html.parser") for name, text in found.items()}


def test_the_table_has_every_row_under_both_protocols_with_the_posters_figures(table):
    assert list(table.columns) == results.COLUMNS
    for row in poster.ROWS:
        for protocol in results.PROTOCOLS:
            part = table[(table["row"] == row) & (table["protocol"] == protocol)].set_index("metric")
            for metric in ("f1", "map"):
                assert part.loc[metric, "published"] == poster.TABLE[row][metric]
                assert part.loc[metric, "n_seeds"] == 2
                low, high = part.loc[metric, "low"], part.loc[metric, "high"]
                assert np.isnan(low) or 0 <= low <= high <= 1


def test_stored_predictions_score_again_to_the_table_and_the_page(study, table):
    assert len(results.verify("demo")) == len(table)
    assert book.verify("demo") == 5 * (2 * len(poster.ROWS) + 1)


def test_the_index_shows_the_tables_numbers_beside_the_posters(study, table):
    (shown,) = [t for t in pages(study)["index.html"].find_all("table") if "mb-table" in t.get("class", [])]
    head = [cell.get_text() for cell in shown.find_all("th")]
    lines = {row.td.get_text(): [cell.get_text() for cell in row.find_all("td")] for row in shown.find_all("tr")[1:]}
    for row in poster.ROWS:
        mean = table.set_index(["row", "protocol", "metric"]).loc[(row, "corrected", "f1"), "mean"]
        cell = lines[poster.TITLES[row]][head.index("corrected (simulated)")]
        assert cell.startswith(f"{mean:.2f} ± ")
        assert lines[poster.TITLES[row]][head.index("poster (real mice)")] == f"{poster.TABLE[row]['f1']:.2f}"


def test_prose_numbers_are_the_results(study, table):
    text = re.sub(r"\s+", " ", pages(study)["index.html"].get_text())
    told = poster.readings()
    assert f"confusion matrix gives {told['macro_f1']:.3f} read that way, and {told['f1']:.3f} on CalMS21" in text
    f1 = table.set_index(["row", "protocol", "metric"]).loc[("localization", "published", "f1"), "mean"]
    assert f"against {f1:.3f} for the localizer" in text


def test_every_page_with_simulated_numbers_says_so(study):
    found = pages(study)
    for name in ["index.html", "methods.html", *(f"notebooks/{n}.html" for n in runner.notebook_names())]:
        banner = found[name].find(class_="mb-banner")
        assert banner is not None and page.SIMULATED in banner.get_text(), name


def test_pages_load_nothing_from_elsewhere(study):
    for name, html in pages(study).items():
        for tag, attribute in (("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src")):
            for element in html.find_all(tag):
                target = element.get(attribute) or ""
                if tag == "link" and "stylesheet" not in element.get("rel", []):
                    continue
                assert not target.startswith(("http:", "https:", "//")), (name, target)


def test_no_page_names_a_path_of_the_machine(study):
    for name, html in pages(study).items():
        assert str(study) not in html.get_text(), name
        assert str(paths.SOURCE) not in html.get_text(), name


def test_no_notebook_printed_a_warning(study):
    for path in sorted((study / "results/demo/notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr", (path.name, output.get("text"))


def test_a_second_run_computes_nothing_and_a_deleted_result_comes_back_the_same(study):
    assert runner.run_study("demo", SMALL) == []
    kept = [study / "results/demo/notebooks/04_pose_vlm.ipynb", *sorted((study / "results/demo/rows").glob("*.json"))]
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}
    artifacts = sorted((study / "artifacts").rglob("*"))
    for path in kept:
        path.unlink()
    for name in ("01_baseline", "02_localization", "03_clip", "05_few_shot"):
        (study / f"results/demo/notebooks/{name}.ipynb").unlink()
    runner.run_study("demo", SMALL)
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in kept} == before
    assert sorted((study / "artifacts").rglob("*")) == artifacts


def test_results_say_what_they_came_from(study):
    content = json.loads((study / "results/demo/rows/clip-published.json").read_text())
    assert content["source"] == "simulated"
    assert content["settings"]["protocol_settings"]["clips"]["assumed_fps"] == 60.0
