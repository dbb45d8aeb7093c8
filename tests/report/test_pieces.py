"""The figure of pieces and tolerances: its numbers, in Python and in the page's script, are those of the metrics."""

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from mbrepro import paths
from mbrepro.data.recordings import TASK1_CLASSES
from mbrepro.metrics.agreement import TOLERANCES, agreement_metrics
from mbrepro.metrics.frames import evaluate
from mbrepro.report import pieces
from mbrepro.study import namer, people, recorded, sparsity
from tests.fixtures import browser
from tests.fixtures.tracks import track

LENGTHS = (0.5, 2.0, 5.0)


@pytest.fixture(scope="module")
def tracks() -> tuple[list, list]:
    """Two videos' labels, and a model's, which is late and misses a bout; no attack is claimed."""
    true = [track("..aaaa..iimm..mmmm." * 4, "v", fps=4.0), track("mm.a.ii..iiiiii..mm." * 3, "w", fps=4.0)]
    said = ["...iiii..immm..mmmm" * 4, "mmm...ii...iiiiii..m" * 3]
    return true, [track(text, name, fps=4.0) for text, name in zip(said, "vw", strict=True)]


@pytest.fixture(scope="module")
def stages(tracks) -> dict[str, list]:
    true, said = tracks
    return {
        "its own <i>": namer.pieces(true, [t.action for t in said], said, LENGTHS),
        "labels": namer.pieces(true, [t.action for t in true], said, LENGTHS),
    }


@pytest.fixture(scope="module")
def every(tracks) -> dict[str, dict]:
    return {"every frame": people.compared(*tracks), "others": people.compared(*tracks[::-1])}


def scored(tracks, own: bool, seconds: float, place: int) -> list[float]:
    """F1 of all behaviours and of each as the package's metrics have it."""
    true, said = tracks
    actions = [t.action for t in (said if own else true)]
    named = [sparsity.watched("clips", seconds, *job)[0] for job in zip(actions, said, strict=True)]
    labels = [t.labels for t in true]
    if not place:
        found = evaluate(labels, named, None, TASK1_CLASSES)
        return [found[name] for name in ("f1", "f1_attack", "f1_investigation", "f1_mount")]
    found = agreement_metrics(labels, named, TASK1_CLASSES, 4.0)
    name = f"f1_within_{1000 * TOLERANCES[place - 1]:.0f}ms"
    return [float(found[part][0]) for part in (name, *(f"{name}_{label}" for label in TASK1_CLASSES[:3]))]


@pytest.mark.parametrize("own", [True, False])
def test_counts_of_frames_give_the_metrics_at_every_length_and_tolerance(tracks, stages, own):
    for piece in stages["its own <i>" if own else "labels"]:
        for place in range(len(TOLERANCES) + 1):
            told = pieces.f1_of(piece, place)
            assert list(told) == ["all three", "attack", "investigation", "mount"]
            assert list(told.values()) == pytest.approx(scored(tracks, own, piece["seconds"], place))


def test_shares_are_those_of_the_curve(tracks, stages):
    true, said = tracks
    curve = sparsity.curve(true, LENGTHS, [0.5], [t.action for t in said], said, namer.CHUNK)["clips"]
    for piece, point in zip(stages["its own <i>"], curve, strict=True):
        assert [piece["touched"], piece["seen"]] == pytest.approx([point[k]["value"] for k in ("touched", "seen")])


def test_recorded_pieces_are_the_recorded_curve_where_both_have_a_length():
    for stage in recorded.read("namer")["figures"]["all"].values():
        by_length = {piece["seconds"]: piece for piece in stage["pieces"]}
        assert tuple(by_length) == namer.PIECES
        for point in stage["curve"]["clips"]:
            piece = by_length[point["seconds"]]
            assert pieces.f1_of(piece, 0)["all three"] == pytest.approx(point["f1"]["value"], abs=1e-9)
            assert piece["touched"] == pytest.approx(point["touched"]["value"], abs=1e-9)


def test_the_caption_says_what_is_lost_at_the_ends(stages, every):
    shown = BeautifulSoup(pieces.explorer(stages, every).data, "html.parser")
    at = stages["its own <i>"][1]
    lost, left = (every["every frame"]["metrics"][name]["value"] - pieces.f1_of(at, place)["all three"]
                  for name, place in (("f1", 0), ("f1_within_500ms", 3)))  # fmt: skip
    told = shown.figcaption.get_text()
    assert f"lose {lost:.3f} of F1 to every frame, and {left:.3f} with 0.5 s" in told
    assert ("most of what" in told) == (left < lost / 2)


READ = """() => [".mb-numbers dd", ".mb-ranges dd", "output"].map(
    (which) => [...document.querySelectorAll(which)].map((cell) => cell.textContent.trim()))"""


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium on this machine")
def test_the_pages_script_gives_the_packages_numbers_wherever_the_sliders_stand(tracks, stages, every, tmp_path):
    script = (paths.SOURCE / "book" / "_static" / "pieces.js").as_uri()
    made = pieces.explorer(stages, every).data
    (tmp_path / "page.html").write_text(f'<!doctype html><meta charset=utf-8><script src="{script}"></script>{made}')
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=browser.CHROMIUM) as chromium:
        page = chromium.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        still = [[cell.get_text().strip() for cell in BeautifulSoup(made, "html.parser").select(which)]
                 for which in (".mb-numbers dd", ".mb-ranges dd", "output")]  # fmt: skip
        assert page.evaluate(READ) == still == told(tracks, stages, every, True, 1, 0)
        for own, length, place in ((True, 2, 3), (False, 0, 5), (False, 2, 0)):
            page.locator("[name=stage]").select_option(index=int(not own))
            for name, value in (("piece", length), ("tolerance", place)):
                page.locator(f"[name={name}]").fill(str(value))
            assert page.evaluate(READ) == told(tracks, stages, every, own, length, place)


def told(tracks, stages, every, own: bool, length: int, place: int) -> list[list[str]]:
    """What the figure should say."""
    f1 = scored(tracks, own, LENGTHS[length], place)
    name = "f1" if not place else f"f1_within_{1000 * TOLERANCES[place - 1]:.0f}ms"
    beside = [told["metrics"][name]["value"] for told in every.values()]
    piece = list(stages.values())[not own][length]
    seconds = [LENGTHS[length], [0, *TOLERANCES][place]]
    return [
        [f"{f1[0]:.3f}", f"{piece['touched']:.1%}", f"{piece['seen']:.1%}"],
        [f"{value:.3f}" for value in (*f1, *beside)],
        [f"{value:g} s" for value in seconds],
    ]


def test_nothing_claimed_is_no_division(stages):
    empty = {"claimed": 0, "right": [0], "occurring": 0, "found": [0]}
    assert pieces.f1_of({"counts": {"attack": empty}}, 0) == {"all three": 0.0, "attack": 0.0}
    assert json.dumps(stages)  # plain numbers
    assert np.isfinite(pieces.f1_of(stages["labels"][0], 0)["all three"])
