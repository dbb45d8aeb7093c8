"""A study of one's own recordings, as a laboratory has them: run, bound, verified, and apart from any other."""

import shutil

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mbrepro import cli, paths
from mbrepro.commands import book, options, runner
from mbrepro.errors import InputError
from mbrepro.study import results
from tests.fixtures.lab_files import write_lab

pytestmark = pytest.mark.study

QUICK = {"baseline_epochs": 1, "validation_fraction": 0.0, "draws": 2}
NAMES = ["own_recordings", "own_rows", "own_stages", "14_learning_curve"]
CLASSES = ("sniffing", "rough_contact")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The root of a study of six simulated recordings; beside it lies another study's table and book."""
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBREPRO_ROOT", str(root))
        patch.setenv("MBREPRO_DATA", str(root / "kept"))
        patch.delenv("MBREPRO_OWN", raising=False)
        for other in ("results/demo/table.csv", "_build/html/index.html", "artifacts/demo/a"):
            (root / other).parent.mkdir(parents=True)
            (root / other).write_text("another study's")
        folder, _ = write_lab(root / "lab", new=0)
        assert cli.main(["init", str(folder), "--fps", "25"]) == 0
        options.use_profile("own", data=folder, poses=True)
        assert runner.run_study("own", QUICK) == sorted(NAMES, key=NAMES.index)
        book.build("own")
        yield root


def pages(study) -> dict[str, str]:
    """The text of each page, without code."""
    html = paths.results("own") / "_build" / "html"
    found = {name: html / f"{name}.html" for name in ("index", *(f"notebooks/{name}" for name in NAMES))}
    built = {name: BeautifulSoup(path.read_text("utf-8"), "html.parser") for name, path in found.items()}
    for html in built.values():
        for code in html.select(".cell_input"):
            code.decompose()
    return {name: html.get_text(" ") for name, html in built.items()}


def test_the_table_has_both_networks_and_both_ways_of_the_trees_of_all_six_recordings(study):
    table = pd.read_csv(paths.results("own") / "table.csv")
    assert list(table.loc[table["row"] == "baseline", "protocol"].unique()) == [
        "published",
        "corrected",
        "boosting_raw",
        "beyond",
    ]
    assert (table["n_videos"] == 6).all() and table["published"].isna().all()
    kappa = table[table["metric"] == "kappa"].set_index("protocol")["mean"]
    assert kappa["beyond"] > 0.1  # 0 by chance


def test_the_book_says_whose_recordings_they_are_and_nothing_of_mice_or_the_poster(study):
    for name, text in pages(study).items():
        assert "your 6 recordings of 6 animals in “data”" in text, name
        assert not any(word in text for word in ("imulated", "poster", "mice")), name
        assert "as it was run" in text or name == "index"
    index = pages(study)["index"]
    assert "layered trees, smoothed: mbrepro train" in index and "no video, or no model named" in index
    assert all(name in pages(study)["notebooks/own_rows"] for name in CLASSES)
    assert all(f"m_{k}" in pages(study)["notebooks/own_recordings"] for k in range(1, 7))


def test_it_is_verified_and_nothing_is_run_twice(study, capsys):
    assert cli.main(["verify", "--profile", "own"]) == 0
    rows, places = (int(line.split()[0]) for line in capsys.readouterr().out.splitlines())
    assert rows == len(pd.read_csv(paths.results("own") / "table.csv")) and places > 100
    assert runner.run_study("own", QUICK) == []
    built = paths.results("own") / "_build/html/index.html"
    whole = built.read_text(encoding="utf-8")
    shown = results.read_rows(paths.results("own")).set_index(["protocol", "metric"]).loc[("beyond", "f1"), "mean"]
    built.write_text(whole.replace(f"{shown:.3f}", "0.999"), encoding="utf-8")
    with pytest.raises(InputError, match=r"index\.html: generated part 2.*'0\.999"):
        book.verify("own")
    built.write_text(whole, encoding="utf-8")


def test_another_study_beside_it_stays_and_another_folder_has_one_of_its_own(study, monkeypatch):
    for other in ("results/demo/table.csv", "_build/html/index.html", "artifacts/demo/a"):
        assert (study / other).read_text() == "another study's"
    assert not (study / "book").exists()
    here = paths.results("own")
    key = runner.notebook_key("own_rows", {}, "own")
    shutil.copytree(study / "lab/data", study / "copy/data")
    monkeypatch.setenv("MBREPRO_OWN", str(study / "copy/data"))
    assert paths.results("own") != here and paths.results("own").parent == here.parent
    assert runner.notebook_key("own_rows", {}, "own") != key
    monkeypatch.delenv("MBREPRO_OWN")
    labels = study / "lab/data/m1.csv"
    text = labels.read_text()
    labels.write_text(text + "\n")
    assert paths.results("own") == here and runner.notebook_key("own_rows", {}, "own") != key
    labels.write_text(text)
