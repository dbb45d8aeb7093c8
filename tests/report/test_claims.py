"""The claims: verdicts are held to the recorded figures they rest on, and every link and command leads somewhere."""

import re

import pytest
from bs4 import BeautifulSoup

from mbrepro import paths
from mbrepro.report import claims
from mbrepro.study import audit, namer, poster, recorded

GLUED = {"space_1_NN_full": "0.52", "space_1_NN_best": "0.61", "space_ridge_full": "0.4"}


@pytest.fixture(scope="module")
def found():
    return {claim.claimed: claim for claim in claims.claims(GLUED, "simulated")}


def figures(name):
    return recorded.read(name)["figures"]


def test_verdicts_are_what_the_recorded_figures_say(found):
    clips, pieces = figures("audit")["test"]["clips"], figures("namer")["all"][namer.OWN]
    assert found["The clips' embedding tells behaviours above chance: accuracy .47."].verdict.startswith(
        "not shown to be above"
    )
    assert clips["always"]["value"] > 0.47 > clips["always"]["low"]  # not above it, and not shown to be below
    assert found["Five seconds of video for each find are enough."].verdict == "does not hold under its rule"
    assert figures("sparsity")["test"]["posters_rule"]["f1"]["high"] < poster.TABLE["baseline"]["f1"]
    assert found["Video need be looked at only where something happens."].verdict.startswith(
        "not refuted: at best, with short pieces"
    )
    piece, rule = pieces["curve"]["clips"][0], pieces["poster"]["cut_right"]["f1"]
    assert figures("feral")["metrics"]["f1"]["value"] - piece["f1"]["value"] < 0.01 < 1 - piece["touched"]["value"]
    assert rule["high"] < piece["f1"]["low"]
    (localizer,) = [claim for claim in found.values() if "F1 .92" in claim.claimed]
    people = figures("human")["first"]["action"]["f1"]
    assert f"0.88 [{people['low']:.2f}, {people['high']:.2f}]" in localizer.told and localizer.verdict == "holds"


def test_the_first_pages_box_answers_in_a_minute_and_its_verdicts_are_the_figures():
    said = BeautifulSoup(claims.first_box("simulated"), "html.parser")
    heads = ["Claimed", "Holds", "Why it failed", "Works instead", "How sure", "Simulated", "Do it again"]
    assert [head.get_text() for head in said.find_all("dt")] == heads
    assert len(re.findall("[A-Za-z]{2,}", said.get_text(" "))) <= 240  # as many as are read in a minute
    own = figures("namer")["all"][namer.OWN]
    wrong = own["poster"]["as_cut"]["f1"]
    assert (
        wrong["low"] <= poster.readings()["f1"] <= wrong["high"] < own["poster"]["cut_right"]["f1"]["low"]
    )  # "likely"
    assert "neither real video" in said.get_text() and "neither real" not in claims.first_box("CalMS21")
    assert f"{audit.collapsed_baseline()['f1']:.2f}" == f"{poster.TABLE['localization']['f1']:.2f}"  # one F1 for both


def test_words_that_compare_the_studys_own_numbers_follow_from_them(found):
    (few,) = [claim for claim in found.values() if "curse" in claim.claimed]
    assert "reaches 0.61 at the number" in few.told and "more than the 0.52 of the whole space" in few.told
    assert "A linear head reaches 0.40, less than the 0.52" in few.told and "a stand-in says nothing" in few.told
    real = [claim for claim in claims.claims(GLUED, "CalMS21") if "curse" in claim.claimed]
    assert real[0].evidence == claims.REAL and "stand-in" not in real[0].told


def test_every_line_has_its_evidence_a_page_that_is_there_and_a_command_that_is(found):
    commands = {path.stem.replace("_", "-") for path in (paths.SOURCE / "mbrepro" / "commands").glob("*.py")}
    for box, html in enumerate((claims.claims_table(found.values()), claims.first_box("simulated"))):
        parsed = BeautifulSoup(html, "html.parser")
        for link in parsed.select("a[href^=notebooks]"):
            name = re.fullmatch(r"notebooks/(\w+)\.html", link["href"])[1]
            assert (paths.notebooks() / f"{name}.ipynb").exists() and link.get_text() == f"page {name[:2]}"
        assert (
            len(parsed.select(".mb-real, .mb-simulated, .mb-arithmetic"))
            == len(parsed.select("a[href^=notebooks]")) + box
        )
    for claim in found.values():
        words = claim.command.split()
        assert words[:3] == ["make", "reproduce", "PROFILE=calms21"] or (words[0] == "mbrepro" and words[1] in commands)
        if words[1] == "record":
            assert words[2] in recorded.PAGES
        if words[1] == "run":
            assert (paths.notebooks() / f"{words[2]}.ipynb").exists()
        assert (claim.known == "") == (claim.verdict == "open")
