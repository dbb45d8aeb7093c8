"""A whole small study through the project's own runner: notebooks, table, book, and what a second run does."""

import contextlib
import hashlib
import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mbrepro import paths
from mbrepro.commands import book, copies, runner, sweep
from mbrepro.commands.execute import WarmKernel
from mbrepro.errors import InputError
from mbrepro.report import front, page
from mbrepro.study import poster, recorded, results, stored
from tests.fixtures import browser

pytestmark = pytest.mark.study

REAL = "11_real"  # shows recorded figures of real animals, nothing simulated
SMALL = {
    "scale": 0.15, "seeds": 2, "epochs": 2, "baseline_epochs": 2, "behaviours": "sniff_face", "most_clips": 6,
}  # fmt: skip


@pytest.fixture(scope="module")
def run():
    """Runs the study, always in one warm kernel, as its notebooks import for longer than most of them work."""
    with contextlib.closing(WarmKernel()) as kernel:
        yield lambda: runner.run_study("demo", SMALL, kernel=kernel)


@pytest.fixture(scope="module")
def study(tmp_path_factory, run):
    """The demo study with few recordings, two seeds and two epochs, and its book."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("study")
        patch.setenv("MBREPRO_ROOT", str(root))
        assert sorted(run()) == runner.notebook_names()
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
                low, high, videos = part.loc[metric, ["low", "high", "n_videos"]]
                assert np.isnan([low, high]).all() if videos < 8 else np.isnan(low) or 0 <= low <= high <= 1
    asked = table[table["protocol"] == results.PROMPT]  # the stand-in can be
    assert set(asked["row"]) == {"clip", "few_shot"} and set(asked["n_seeds"]) == {1}


def test_pages_have_one_menu_each_side_closed_code_each_script_once_and_pictures_in_words(study):
    for name, built in pages(study).items():
        if name.startswith("_static/"):  # the theme's template, no page
            continue
        assert not built.select("header .sidebar-toggle.primary-toggle"), name
        scripts = [
            script.get("src") or script.string for script in built.select("script") if script.get("type") is None
        ]
        assert len(scripts) == len(set(scripts)), name
        assert "unpkg.com" not in str(built) and "fontawesome.js" not in str(built), name
        assert built.select('link[rel~="icon"]'), name
        assert all(len(image.get("alt", "").split()) >= 3 for image in built.select("img")), name
        cells = built.select("div.cell")
        assert not cells or f".venv/bin/mbrepro run {Path(name).stem}" in built.get_text(), name
        assert all(cell.select("details.above-input:not([open])") for cell in cells if cell.select(".cell_input")), name


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium on this machine")
def test_no_page_has_a_fault_in_a_browser(study):
    """Console, requests, links, themes, widths, keys, menus, sliders, videos and axe: fixtures/browser.py."""
    assert browser.faults(study / "_build/html") == []


@pytest.fixture
def whole(study):
    """Whatever a test changes of results and pages is put back."""
    kept = {
        path: path.read_bytes()
        for path in (*(study / "results").rglob("*"), *(study / "_build/html").rglob("*.html"))
        if path.is_file()
    }
    yield study
    for path, data in kept.items():
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)


def verified(profile="demo"):
    return len(results.verify(profile)) and book.verify(profile)


def other_digits(text: str) -> str:
    return re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), text)


def test_stored_predictions_score_again_to_the_table_and_every_page(study, table):
    assert len(results.verify("demo")) == len(table)
    spans = sum(len(html.select("span.pasted-text")) for html in pages(study).values())
    cells = sum(len(html.select(".mb-table :is(th, td)")) for html in pages(study).values())
    assert spans > 50 and book.verify("demo") >= spans + cells // 2  # cells may be empty


@pytest.mark.parametrize(
    "where",
    [
        "span.pasted-text", ".mb-table td", ".mb-generated li", ".mb-generated :is(p, dd)", ".mb-numbers dd",
        "script[type='application/json']",
    ],
)  # fmt: skip
def test_every_number_changed_in_a_page_is_found(whole, where):
    """All of them at once, and the places that differ are counted: none may go by unseen."""
    changed = 0
    for path in (whole / "_build/html").rglob("*.html"):
        html = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for element in html.select(where):
            for text in element.find_all(string=re.compile(r"\d")):
                text.replace_with(other_digits(text))
                changed += 1
        path.write_text(str(html), encoding="utf-8")
    different = [place for place in book.places(whole / "results/demo", whole / "_build/html") if place[2] != place[3]]
    assert changed and len(different) == changed
    with pytest.raises(InputError, match=r"\.html: .* is .*, and the results say .*: run make book"):
        book.verify("demo")


def test_a_number_too_many_or_too_few_is_named(whole):
    path = whole / "_build/html/index.html"
    before = path.read_text(encoding="utf-8")
    html = BeautifulSoup(before, "html.parser")
    html.select("span.pasted-text")[3].decompose()
    path.write_text(str(html), encoding="utf-8")
    with pytest.raises(InputError, match=r"index\.html: rats_decoded_f1_high of 11_real is "):
        book.verify("demo")
    path.write_text(before.replace("</article>", '<span class="pasted-text">1</span></article>', 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"index\.html: one more number is '1'"):
        book.verify("demo")


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        ("results/demo/notebooks/04_pose_vlm.ipynb", r"04_pose_vlm\.ipynb was changed after it was run"),
        ("results/demo/notebooks/09_sparsity.ipynb", r"09_sparsity\.ipynb was changed after it was run"),
        ("results/demo/rows/clip-corrected.json", r"clip-corrected\.json was changed after it was written"),
        ("results/demo/predictions/few_shot-published.safetensors", r"few_shot-published\.safetensors was changed"),
        ("results/demo/table.csv", r"table\.csv: line 2 is"),
        ("results/demo/likeness.csv", r"likeness\.csv was changed after 00_dataset wrote it"),
    ],
)
def test_a_changed_result_is_named_and_a_rerun_heals_it(whole, harm, named, run):
    path = whole / harm
    before = path.read_bytes()
    places = [found.start() for found in re.finditer(rb"0\.\d\d\d", before)]
    place = places[0] + 2 if places else len(before) - 1
    path.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
    with pytest.raises(InputError, match=named):
        verified()
    run()
    assert path.read_bytes() == before and verified()


def test_a_deleted_row_and_its_predictions_are_named_and_come_back(whole, run):
    files = [
        whole / f"results/demo/{part}"
        for part in ("rows/clip-corrected.json", "predictions/clip-corrected.safetensors")
    ]
    before = [path.read_bytes() for path in files]
    for gone in (files[:1], files[1:], files):
        for path in gone:
            path.unlink()
        with pytest.raises(InputError, match=r"clip-corrected.* is missing|table\.csv: line .* is clip,corrected"):
            verified()
        assert run() == ["03_clip"]
        assert [path.read_bytes() for path in files] == before and verified()


def test_what_the_index_compares_is_as_its_table_has_it(study, table):
    """Sentences that compare are made from numbers; here they are held to the table and the pages they speak of."""
    found = pages(study)
    text = re.sub(r"\s+", " ", found["index.html"].get_text() + found["claims.html"].get_text())
    f1 = table.set_index(["row", "protocol", "metric"])["mean"]
    before, after = f1["pose_vlm", "published", "calms21_f1"], f1["pose_vlm", "corrected", "f1"]
    few, glued = f1["few_shot", "corrected", "f1"], copies.glued(study / "results/demo/notebooks/05_few_shot.ipynb")
    always = float(glued["few_shot_always"])
    for one, other in ((after, before), (few, always)):
        word = "the same as" if f"{one:.2f}" == f"{other:.2f}" else "more than" if one > other else "less than"
        assert f"F1 of {one:.2f}, {word} the {other:.2f}" in text
    leads = f1["baseline", "corrected", "f1"] - after  # every test video of the demo is filmed
    verb = "equals" if round(leads, 2) == 0 else "leads" if leads > 0 else "trails"
    assert f"baseline, which looks at poses alone, {verb} the corrected two stages" in text
    assert "too few for an interval" in text and "other test videos" not in text and "done right" not in text


def test_the_index_shows_the_tables_numbers_beside_the_posters(study, table):
    real, shown = pages(study)["index.html"].select("table.mb-table")
    assert real.td.get_text().startswith("FERAL")  # real mice come first
    head = [cell.get_text() for cell in shown.find_all("th")]
    lines = {row.td.get_text(): [cell.get_text() for cell in row.find_all("td")] for row in shown.find_all("tr")[1:]}
    for row in poster.ROWS:
        line = lines[poster.TITLES[row] + (" †" if row in front.TUNED else "")]
        for protocol in results.PROTOCOLS:
            mean = table.set_index(["row", "protocol", "metric"]).loc[(row, protocol, "calms21_f1"), "mean"]
            assert line[head.index(f"{protocol} (simulated)")].startswith(f"{mean:.2f} ± ")
        assert f"{poster.TABLE[row]['f1']:.2f}" in line[head.index("real mice")]


def test_prose_numbers_are_the_results(study):
    found, told = pages(study), poster.readings()
    text, claims = (re.sub(r"\s+", " ", found[f"{name}.html"].get_text()) for name in ("index", "claims"))
    assert f"the poster's confusion matrix gives {told['f1']:.2f}, to set against 0.79." in text
    assert f"confusion matrix gives {told['macro_f1']:.3f} read so, and {told['f1']:.3f} over the three" in claims
    gain = recorded.read("rats")["figures"]["decoded_gain"]["f1"]["value"]
    assert f"lead that network by {gain:.2f} [" in text


def test_every_page_with_simulated_numbers_says_so(study):
    found = pages(study)
    simulated = [name for name in runner.notebook_names() if name != REAL]
    assert found[f"notebooks/{REAL}.html"].find(class_="mb-real")
    for name in ["index.html", "claims.html", "methods.html", *(f"notebooks/{n}.html" for n in simulated)]:
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


def test_a_second_run_computes_nothing_and_a_deleted_result_comes_back_the_same(study, run):
    assert run() == []
    kept = [study / "results/demo/notebooks/04_pose_vlm.ipynb", *sorted((study / "results/demo/rows").glob("*.json"))]
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}
    artifacts = sorted((study / "artifacts").rglob("*"))
    for path in kept:
        path.unlink()
    for name in ("01_baseline", "02_localization", "03_clip", "05_few_shot"):
        (study / f"results/demo/notebooks/{name}.ipynb").unlink()
    run()
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in kept} == before
    assert sorted((study / "artifacts").rglob("*")) == artifacts


def test_a_sweep_of_heads_embeds_nothing_and_stands_on_its_page(study, run):
    """The heads of clips that are there cost the heads alone, and who sweeps finds the sweep in the book."""
    given = {name: value for name, value in SMALL.items() if name in runner.parameters_of("03_clip")}
    artifacts = {path: path.stat().st_mtime_ns for path in (study / "artifacts").rglob("*")}
    assert sweep.sweep("03_clip", "demo", [given | {"head": head} for head in ("linear", "knn")]) == 2
    assert {path: path.stat().st_mtime_ns for path in (study / "artifacts").rglob("*")} == artifacts
    assert run() == ["10_ablations"]
    (found,) = stored.sweeps("demo")
    shown = "".join(copies.shown(study / "results/demo/notebooks/10_ablations.ipynb"))
    assert all(run in shown for run in found.table.index) and found.factors == ("head",)
    shutil.rmtree(study / "results/demo/runs")
    assert run() == ["10_ablations"]


def test_results_say_what_they_came_from(study):
    content = json.loads((study / "results/demo/rows/clip-published.json").read_text())
    assert content["source"] == "simulated"
    assert content["settings"]["protocol_settings"]["clips"]["assumed_fps"] == 60.0
