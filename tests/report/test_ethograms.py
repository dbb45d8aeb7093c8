"""Ethograms in the page: what they show as made, and that the page's script scores as the package does."""

import json
import shutil
import subprocess
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mbrepro import paths
from mbrepro.data.recordings import TASK1_CLASSES, UNLABELLED, Prediction, runs
from mbrepro.metrics.agreement import TOLERANCES, agreement_metrics
from mbrepro.metrics.frames import evaluate
from mbrepro.report import ethograms, plots
from mbrepro.study.results import Run
from tests.fixtures.colours import NEAR, SIGHTS, lab

STOPS, SEEDS, RATES = (0.0, 0.5, 1.0), 2, (30.0, 25.0)
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def flat(track) -> list[int]:
    return [part for start, stop, value in runs(track) for part in (stop - start, value)]


@pytest.fixture(scope="module")
def labels() -> tuple[list, list]:
    """Runs of classes of two recordings, and [recording][seed][stop] of them with some frames named anew."""
    rng = np.random.default_rng(0)
    true = [np.repeat(rng.integers(0, 4, 60), rng.integers(1, 40, 60)) for _ in RATES]
    true = [np.where(t == 0, 3, t) for t in true]  # no attack anywhere

    def named(track):
        return np.roll(np.where(np.repeat(rng.random(len(track) // 9 + 1) < 0.3, 9)[: len(track)], 3, track), 4)

    return true, [[[named(t) for _ in STOPS] for _ in range(SEEDS)] for t in true]


@pytest.fixture(scope="module")
def held(labels) -> dict:
    rng = np.random.default_rng(1)
    recordings = [
        {
            "name": f"mouse{k} <b>", "fps": fps, "true": flat(true), "labels": [list(map(flat, s)) for s in said],
            "first": [flat(rng.integers(1, 4, len(true))) for _ in range(SEEDS)],
        }
        for k, (fps, true, said) in enumerate(zip(RATES, *labels, strict=True))
    ]  # fmt: skip
    return {
        "classes": list(TASK1_CLASSES), "stops": list(STOPS), "tolerances": [0.0, *TOLERANCES],
        "recordings": recordings, "clips": [[0, 7, 20], [0, 9, 22]], "tflop": 0.37, "seconds": 81.0,
    }  # fmt: skip


def scored(labels, stop: int, tolerance: float) -> float:
    true, said = labels
    found = []
    for seed in range(SEEDS):
        one = [by_seed[seed][stop] for by_seed in said]
        if tolerance:
            found.append(agreement_metrics(true, one, TASK1_CLASSES, RATES)[f"f1_within_{1000 * tolerance:.0f}ms"][0])
        else:
            found.append(evaluate(true, one, None, TASK1_CLASSES)["f1"])
    return np.mean(found)


def numbers(labels, held, stop: int, place: int) -> list[str]:
    """What the figure should say at a stop under the tolerance at a place."""
    tolerance = held["tolerances"][place]
    first = [np.concatenate([np.repeat(r["first"][s][1::2], r["first"][s][::2]) for r in held["recordings"]])
             for s in range(SEEDS)]  # fmt: skip
    spent = np.mean([clips[stop] for clips in held["clips"]]) * 0.37 / 81 * 3600
    share = np.mean([(one <= stop).mean() for one in first])
    return [f"{scored(labels, s, tolerance):.3f}" for s in (stop, 0)] + [f"{share:.1%}", f"{spent:.3f}"]


@pytest.fixture(scope="module")
def figure(labels, held) -> str:
    lines = [(float(scored(labels, k, 0)), 0.25 * k, 10.0 * k) for k in range(len(STOPS))]
    told = pd.DataFrame(lines, columns=["f1", "share_of_video", "tflop_per_hour"])
    return ethograms.gate_explorer(held, told, 0.5, "simulated").data


def test_without_its_script_the_figure_shows_the_state_it_was_made_with(figure, labels, held):
    shown = BeautifulSoup(figure, "html.parser")
    f1 = [f"{scored(labels, k, 0):.3f}" for k in (1, 0)]
    assert [cell.get_text() for cell in shown.find_all("dd")] == [*f1, "25.0%", "10.000"]
    assert all(control.has_attr("disabled") and control.parent.name == "label" for control in shown.select("[name]"))
    assert shown.find("option").get_text() == f"mouse0 <b>, {len(labels[0][0]) / 30:.0f} s" and shown.find("noscript")
    word = "more than" if f1[0] > f1[1] else "less than"
    assert f"With 50% of the clips' time shown the F1 is {f1[0]}, {word} the {f1[1]} of poses alone." in (
        shown.figcaption.get_text()
    )
    mount = shown.select("svg")[0].find("path", fill="#370ba6")["d"]
    assert mount.count("M") == sum(value == 2 for *_, value in runs(labels[0][0]))
    assert [svg["aria-label"].split(",")[0] for svg in shown.select("svg")] == [
        "labelled", "poses alone", "gated", "shown to stage 2",
    ]  # fmt: skip


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_pages_script_gives_the_packages_numbers_wherever_the_sliders_stand(
    figure, labels, held, runs_by_title, tmp_path
):
    script = (paths.SOURCE / "book" / "_static" / "ethograms.js").as_uri()
    settings = [(2, 0), (1, 3), (0, 5), (2, 1)]
    driver = f"""<script>addEventListener("load", () => {{
        const [stop, tolerance, recording] = document.querySelectorAll(".mb-explore [name]"), told = [];
        const read = () => [...document.querySelectorAll("dd")].map((cell) => cell.textContent);
        told.push(read());
        for (const [one, other] of {json.dumps(settings)}) {{
            stop.value = one; tolerance.value = other;
            stop.dispatchEvent(new Event("input"));
            told.push(read());
        }}
        recording.selectedIndex = 1; recording.dispatchEvent(new Event("input"));
        told.push([...document.querySelectorAll(".mb-explore svg")].map((svg) => svg.getAttribute("viewBox")));
        told.push([...document.querySelectorAll("output")].map((cell) => cell.textContent));
        const [zoom, lines, axis] = ["[name=zoom]", ".mb-lines", ".mb-time"]
            .map((of) => document.querySelector(`.mb-stack ${{of}}`));
        const tick = () => axis.children[1];
        const second = () => [axis.clientWidth, tick().style.left, tick().textContent].map(parseFloat);
        told.push([zoom.disabled, lines.style.width, ...second()]);
        zoom.value = 3; zoom.dispatchEvent(new Event("input"));
        told.push([lines.style.width, ...second()]);
        document.body.insertAdjacentHTML("beforeend", "<pre></pre>");
        document.querySelector("pre").textContent = JSON.stringify(told);
    }});</script>"""
    stack, page = ethograms.stacked(runs_by_title, "simulated").data, tmp_path / "page.html"
    page.write_text(f'<!doctype html><script src="{script}"></script>{figure}{stack}{driver}', encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=300, check=True)
    first, *moved, boxes, outputs, before, after = json.loads(BeautifulSoup(done.stdout, "html.parser").pre.get_text())
    assert first == numbers(labels, held, 1, 0)
    assert moved == [numbers(labels, held, *setting) for setting in settings]
    assert boxes == [f"0 0 {len(labels[0][1])} 1"] * 4 and outputs == ["100%", "0.1 s"]
    assert before[:2] == [False, ""] and after[0] == "300%"
    for wide, share, seconds in (before[2:], after[1:]):  # px, percent of it, s of the first video's time axis
        assert 60 <= wide * share / 100 <= 150 and share / 100 == pytest.approx(seconds / (50 / 30), abs=1e-3)


@pytest.fixture(scope="module")
def runs_by_title() -> dict[str, list[Run]]:
    """Two videos: one seed that shifts an edge and misses a bout, one that finds all, under titles of their own."""
    true = [np.repeat([3, 0, 3, 2, 3], 10), np.repeat([3, 1, 3], 10)]
    tracks = {"shifted <i>": [np.repeat([3, 0, 3], [10, 15, 25]), true[1]], "all": true}

    def run(tracks):
        pairs = enumerate(zip(true, tracks, strict=True))
        videos = (Prediction(f"mouse{k}", t, said, np.eye(4)[said], 30.0) for k, (t, said) in pairs)
        return Run(0, "task1", TASK1_CLASSES, tuple(videos))

    return {title: [run(part)] for title, part in tracks.items()}


def test_stacked_ethograms_colour_hits_by_behaviour_and_the_rest_by_mistake(runs_by_title):
    shown = BeautifulSoup(ethograms.stacked(runs_by_title, "simulated").data, "html.parser")
    drawn = {svg["aria-label"]: {p["fill"]: p["d"] for p in svg.find_all("path")} for svg in shown.select("svg")}
    attack, investigation, mount, _ = (plots.colour_of(name) for name in TASK1_CLASSES)
    assert drawn == {
        "mouse0, labelled": {attack: "M10 0h10v1h-10z", mount: "M30 0h10v1h-10z"},
        "mouse0, shifted <i>": {
            attack: "M10 0h10v1h-10z",
            ethograms.MISTAKES["shifted edge"]: "M20 0h5v1h-5z",
            ethograms.MISTAKES["miss"]: "M30 0h10v1h-10z",
        },
        "mouse0, all": {attack: "M10 0h10v1h-10z", mount: "M30 0h10v1h-10z"},
        **{f"mouse1, {name}": {investigation: "M10 0h10v1h-10z"} for name in ("labelled", "shifted <i>", "all")},
    }
    assert [name.get_text() for name in shown.find_all("strong")] == ["mouse0, 2 s", "mouse1, 1 s"]
    table = ethograms.kinds_table(runs_by_title)
    assert table.loc["shifted <i>"][["hit", "miss", "shifted edge"]].tolist() == pytest.approx(
        [20 / 35, 10 / 35, 5 / 35]
    )
    assert table.loc["all", "hit"] == 1 and table.sum(axis=1).tolist() == pytest.approx([1, 1])
    assert "means over seeds: shifted <i> 57.1%, all 100.0%." in shown.figcaption.get_text()


@pytest.mark.parametrize("sight", SIGHTS)
def test_mistakes_are_told_apart_from_each_other_and_from_classes(sight):
    colours = ethograms.MISTAKES | {name: plots.colour_of(name) for name in TASK1_CLASSES}
    for one, other in combinations(colours.values(), 2):
        assert np.linalg.norm(lab(one, sight) - lab(other, sight)) >= NEAR, (one, other)


def test_what_nobody_labelled_is_neither_drawn_nor_counted():
    """Bouts on either side of it are one, as in every score."""
    true = np.array([3, 0, 0, UNLABELLED, UNLABELLED, 0, 3, 3])
    said = np.array([0, 0, 0, 0, 0, 0, 3, 3])
    found = {"p": [Run(0, "own", TASK1_CLASSES, (Prediction("v", true, said, np.eye(4)[said], 2.0),))]}
    table = ethograms.kinds_table(found).loc["p"]
    assert table[["hit", "shifted edge"]].tolist() == [3 / 4, 1 / 4]
    shown = BeautifulSoup(ethograms.stacked(found, "your").data, "html.parser")
    drawn = {path["fill"]: path["d"] for path in shown.select("svg")[1].find_all("path")}
    assert drawn == {
        ethograms.MISTAKES["shifted edge"]: "M0 0h1v1h-1z",
        plots.colour_of("attack"): "M1 0h2v1h-2zM5 0h1v1h-1z",
    }
