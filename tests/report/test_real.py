"""The page on real animals: its tables hold what is recorded, and its text claims no more than they show."""

import pytest
from bs4 import BeautifulSoup

from mbrepro.report import real
from mbrepro.study import ablations, audit, namer, poster, recorded


@pytest.fixture(scope="module")
def found():
    return {name: recorded.read(name)["figures"] for name in ("human", "feral", "namer", "official", "rats")}


@pytest.fixture(scope="module")
def pairs(found):
    return {"two people": found["human"]["first"], "FERAL, every frame seen": found["feral"]}


def test_frame_table_holds_people_model_and_what_others_print(pairs):
    table = real.frame_table(pairs).set_index("labels")
    assert table.loc["two people", "F1 of 3 behaviours"] == "0.826 [0.745, 0.859]"
    assert table.loc["FERAL, every frame seen", "action against other"].startswith("0.943 [")
    assert table.loc["the poster, both stages (its confusion matrix)", "F1 of 3 behaviours"] == "0.382"
    assert table.loc["official network, ±200 frames (Sun et al. 2021)", "attack"] == "0.664"


def test_bout_table_has_a_line_a_metric(pairs):
    table = real.bout_table(pairs).set_index("metric")
    assert table.loc["bout F1 at tIoU .5, attack", "two people"].startswith("0.25 [")
    assert table.loc["bouts", "two people"].startswith("561 [")
    assert table.loc["starts off by (s), median", "FERAL, every frame seen"].startswith("0.10 [")


def test_part_tables_hold_the_curve_and_the_cuts(found):
    pieces = real.pieces_table(found["namer"]["all"][namer.OWN])
    points = found["namer"]["all"][namer.OWN]["curve"]
    assert len(pieces) == len(points["clips"]) + len(points["glance"])
    assert pieces["F1"][0].startswith(f"{points['clips'][0]['f1']['value']:.3f} [")
    cuts = real.cuts_table(found["namer"]).set_index("stage 1")
    assert cuts.loc[namer.OWN, audit.CUT_TITLES["as_cut"]].startswith("0.398 [")
    assert cuts.loc[namer.AUTHOR, "on"] == "mouse071 alone" and "[" not in cuts.loc[namer.AUTHOR, "cut at frame / 60"]


def test_official_tables_hold_both_recordings(found):
    dyad = real.dyad_table(found["official"])
    assert dyad["AUROC"].round(3).tolist() == [0.976, 0.945]
    assert (dyad.iloc[0] > dyad.iloc[1]).all()  # better than closeness does
    pairs = real.pairs_table(found["official"])
    assert len(pairs) == 6 and pairs.loc[1, "action"] == "67.0%"


def test_figures_are_drawn_of_what_is_recorded(found, pairs):
    axis = real.tolerance_curves(pairs).axes[0]
    assert [line.get_label() for line in axis.lines] == list(pairs)
    assert axis.lines[0].get_ydata()[0] == found["human"]["first"]["metrics"]["f1"]["value"]
    counts = {"the poster": poster.CONFUSION, "FERAL": found["feral"]["confusion"]}
    shown = [[text.get_text() for text in axis.texts] for axis in real.matrices(counts).axes]
    assert shown[0][1] == "0.67" and shown[1][0] == "0.84"


def test_what_the_page_says_is_what_the_figures_show(found):
    """Words of notebook 11 that compare, each against its figures."""
    human, feral = found["human"]["first"]["metrics"], found["feral"]["metrics"]
    own = found["namer"]["all"][namer.OWN]
    assert feral["f1"]["low"] > human["f1"]["value"]  # a model above two people
    assert feral["bout_f1_50"]["value"] > human["bout_f1_50"]["value"]  # bout by bout the order is the same
    assert all(told["bout_f1_50"]["value"] < told["f1"]["value"] for told in (human, feral))
    clips = {p["seconds"]: p for p in own["curve"]["clips"]}
    assert clips[0.5]["f1"]["value"] > feral["f1"]["value"] - 0.01  # little is lost by one label a piece
    frame, bout = (clips[0.5][name]["value"] - clips[10][name]["value"] for name in ("f1", "bout_f1"))
    assert bout > frame  # bout F1 falls faster as pieces grow
    glance = {p["seconds"]: p for p in own["curve"]["glance"]}
    assert glance[0.1]["f1"]["value"] > clips[2]["f1"]["value"] - 0.01  # a glance is nearly as good
    assert glance[0.1]["seen"]["value"] > 10 * glance[0.1]["touched"]["value"]  # but shown is not seen
    wrong, right = (own["poster"][cut]["f1"]["value"] for cut in ("as_cut", "cut_right"))
    assert abs(wrong - poster.readings()["f1"]) < 0.03 < 0.2 < right - wrong  # the cutting alone
    perfect = {p["seconds"]: p for p in found["namer"]["all"][namer.TRUE]["curve"]["clips"]}
    for stage in (clips, perfect):
        f1 = [point["f1"]["value"] for _, point in sorted(stage.items())]
        assert f1 == sorted(f1, reverse=True)  # longer pieces keep less, whichever stage 1
    assert clips[2.0]["f1"]["value"] > right + 0.2  # what length and the rule that proposes cost at the true time
    assert all(perfect[s]["f1"]["value"] > clips[s]["f1"]["value"] for s in clips)  # a perfect one adds to every length


def test_captions_of_the_pages_on_labels_say_what_the_figures_show():
    """Words of notebooks 08 and 09 that compare."""
    audited, sparse = (recorded.read(name)["figures"] for name in ("audit", "sparsity"))
    always = audited["test"]["clips"]["always"]
    assert always["low"] < 0.47 < always["value"]  # the paper's clip accuracy, below it and within its interval
    for split in sparse.values():
        assert split["bouts"]["all"]["under_5s"]["value"] > 0.5  # most are over before a clip of five seconds is
        windows = [split["windows"][f"{s:g}s"]["value"] for s in (0.5, 1, 2, 5, 10)]
        assert windows == sorted(windows, reverse=True)
        for by_length in split["ceilings"].values():  # short proposals allow more at every gap
            f1 = [by_length[name]["value"] for name in ("1s", "2s", "5s", "whole")]
            assert f1 == sorted(f1, reverse=True)


def test_captions_of_the_ablation_say_what_is_recorded():
    """Words of notebook 10 that compare."""
    f1 = ablations.recorded_table()[1]["F1"].astype(float)
    by_rate = {tuple(map(str, at)): value for at, value in f1.items()}
    for (shown, rate, view), value in by_rate.items():
        if rate == "2":
            assert by_rate[shown, "8", view] > value  # at 8 frames a second every line is above its like at 2
        if shown == "frame":
            assert by_rate["mice", rate, view] > value  # and the square's above the whole frame's


def test_rats_table_holds_every_localizer_in_order(found):
    table = real.rats_table(found["rats"]).set_index("localizer")
    assert list(table.index)[:3] == [
        "the poster's network, ±100 frames",
        "the same network, ±200 frames",
        "boosted pose features",
    ]
    assert table.loc["boosted pose features", "F1 of 2 behaviours"] == "0.613 [0.580, 0.636]"
    assert table.loc["boosted pose features", "bouts predicted"].startswith("3,155 [")
    assert table.loc["the poster's network, ±100 frames", "action against other, F1"].startswith("0.806 [")


def test_the_first_pages_figure_and_table_tell_the_same_of_real_mice(found):
    lines = real.summary().set_index("labels")["F1 of 3 behaviours"]
    assert lines.iloc[0] == poster.readings()["f1"]  # the worst comes first
    assert lines["FERAL's labels, the poster's clips cut at frame / 60"] == found["namer"]["all"][namer.OWN]["poster"][
        "as_cut"]["f1"]  # fmt: skip
    drawn = BeautifulSoup(real.summary_figure(), "html.parser")
    assert [label.get_text() for label in drawn.find_all("dt")] == list(lines.index)
    dots = [float(dot["style"].removeprefix("left:").removesuffix("%")) for dot in drawn.select(".mb-dot")]
    assert dots == sorted(dots) and dots[0] == 38.2
    assert len(drawn.select(".mb-reach")) == len(lines) - len(drawn.select(".mb-hollow")) == 7
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in
            BeautifulSoup(real.summary_table(), "html.parser").find_all("tr")[1:]]  # fmt: skip
    assert [row[0] for row in rows] == list(lines.index)[::-1] and rows[-1][3] == "0.38"
    assert rows[0][3].startswith("0.89 [") and rows[1][1:3] == ["42%", "58%"]
