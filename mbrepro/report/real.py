"""Tables and figures of the page on real animals, from recorded figures."""

import html
from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mbrepro.data.recordings import OTHER, TASK1_CLASSES, behaviours
from mbrepro.metrics.agreement import TOLERANCES
from mbrepro.metrics.banos import MEASURES
from mbrepro.metrics.bouts import COUNTS, THRESHOLDS
from mbrepro.metrics.frames import row_normalised
from mbrepro.report.page import BOUT_F1, METRICS, table
from mbrepro.report.plots import GRID, METHODS, heat
from mbrepro.study import audit, namer, poster, rats, recorded
from mbrepro.study.ladder import PUBLISHED

MABE, VASSI = "winner of the MABe challenge, from poses (Sun et al. 2021)", "boosted pose features, smoothed (vassi)"
# Macro-F1 of others on CalMS21's Task 1 test videos as they print it.
PRINTED = {
    "official network, ±200 frames (Sun et al. 2021)": PUBLISHED["±200 frames"],
    MABE: {"f1": 0.864},
    VASSI: {"f1": 0.840},
}
RATS = {
    rats.PUBLISHED: "the poster's network, ±100 frames",
    rats.LONG: "the same network, ±200 frames",
    rats.BOOSTED: "boosted pose features",
    rats.SMOOTHED: "the same, its scores averaged over a median bout",
    rats.DECODED: "the same, decoded into bouts",
    rats.TRAINED: "what mbrepro train makes of the files",
    rats.CHOSEN: "the same, its settings chosen in each fold",
}
LINES = dict(zip(("two people", "FERAL, every frame seen"), METHODS, strict=False))


def frame_table(pairs: Mapping[str, Mapping]) -> pd.DataFrame:
    """Frame metrics of labellings (`people.compared`), a line each, then the poster and `PRINTED`, with intervals."""
    shown = {"F1 of 3 behaviours": "f1"} | {name: f"f1_{name}" for name in (*behaviours(TASK1_CLASSES), OTHER)}
    rows = {}
    for title, told in pairs.items():
        line = {column: _with_interval(told["metrics"][name]) for column, name in shown.items()}
        line["action against other"] = _with_interval(told["action"]["f1"])
        rows[title] = line | {"kappa": _with_interval(told["metrics"]["kappa"])}
    known = {"the poster, both stages (its confusion matrix)": poster.readings()} | PRINTED
    for title, told in known.items():
        rows[title] = {column: f"{told[name]:.3f}" if name in told else "" for column, name in shown.items()}
    return pd.DataFrame(rows).T.fillna("").rename_axis("labels").reset_index()


def bout_table(pairs: Mapping[str, Mapping]) -> pd.DataFrame:
    """Bout metrics of labellings (`people.compared`), a column each, a line a metric, with intervals."""
    of_behaviours = {f"{BOUT_F1}_{name}": f"{METRICS[BOUT_F1]}, {name}" for name in behaviours(TASK1_CLASSES)}
    edges = [f"{edge}{kind}" for edge in ("onset", "offset") for kind in ("_abs", "_abs_90", "")]
    at = [f"bout_f1_{100 * threshold:.0f}" for threshold in THRESHOLDS]
    rows = {}
    for name in (*at, *of_behaviours, *MEASURES, "edit", *edges, *COUNTS):
        form = ("{:,.0f}" if name in COUNTS else "{:.1f}" if name == "edit" else "{:.2f}").format
        line = {title: _with_interval(told["metrics"][name], form) for title, told in pairs.items()}
        rows[(METRICS | of_behaviours)[name]] = line
    return pd.DataFrame(rows).T.rename_axis("metric").reset_index()


def _with_interval(told: Mapping[str, float], form: Callable[[float], str] = "{:.3f}".format) -> str:
    between = "" if told["low"] is None else f" [{form(told['low'])}, {form(told['high'])}]"
    return "not defined" if told["value"] is None else form(told["value"]) + between


def pieces_table(stage: Mapping) -> pd.DataFrame:
    """What FERAL's eye is worth by how much it is shown, from one stage 1's curve (`namer.looked`)."""
    titles = {
        "clips": "pieces of at most {:g} s, seen whole",
        "glance": "{:.2g} s in the middle of pieces of at most 2 s",
    }
    rows = [
        {
            "looked at": title.format(p["seconds"]),
            "share shown": f"{p['touched']['value']:.1%}",
            "with 32 frames either side": f"{p['seen']['value']:.1%}",
            "F1": _with_interval(p["f1"]),
            "bout F1, tIoU 0.5": _with_interval(p["bout_f1"], "{:.2f}".format),
        }
        for policy, title in titles.items()
        for p in stage["curve"][policy]
    ]
    return pd.DataFrame(rows)


def cuts_table(found: Mapping) -> pd.DataFrame:
    """The poster's rule and clips with FERAL's eye, by stage 1 and by when clips are cut, beside the poster."""
    rows = {}
    for name, told in {**found["all"], **found["mouse071"]}.items():
        where = "19 test videos" if name in found["all"] else "mouse071 alone"
        line = {audit.CUT_TITLES[cut]: _with_interval(told["poster"][cut]["f1"]) for cut in audit.CUTS}
        rows[name] = {"on": where} | line
    rows["the poster, both stages its own"] = {
        "on": "19 test videos",
        "cut at frame / 60": f"{poster.readings()['f1']:.3f}",
    }
    return pd.DataFrame(rows).T.fillna("").rename_axis("stage 1").reset_index()


def summary() -> pd.DataFrame:
    """What the first page tells of real mice: a line a way of labelling, worst first.

    Columns: labels, shown and seen (shares of the video, empty where nobody measured them), F1 and bout F1 as figures
    with their intervals; a bare number is as printed, or arithmetic on what is.
    """
    figures = {name: recorded.read(name)["figures"] for name in ("human", "feral", "namer")}
    people, feral = figures["human"]["first"]["metrics"], figures["feral"]["metrics"]
    own = figures["namer"]["all"][namer.OWN]
    pieces = [p for p in own["curve"]["clips"] if p["seconds"] in (0.5, 2)]
    glance = [p for p in own["curve"]["glance"] if p["seconds"] == 0.1]
    told = {f"FERAL's labels, one a piece of {p['seconds']:g} s or less": p for p in pieces}
    told |= {f"FERAL's labels, one a piece of 2 s or less, of which {p['seconds']:g} s is shown": p for p in glance}
    lines = [
        ("the poster, both stages", "", "", poster.readings()["f1"], ""),
        ("two people, on other recordings", "all", "none", people["f1"], people[BOUT_F1]),
        ("FERAL, a video model that sees every frame", "all", "all", feral["f1"], feral[BOUT_F1]),
        *((f"poses alone, {name}", "none", "none", told["f1"], "") for name, told in PRINTED.items()),
        *((f"FERAL's labels, the poster's clips {audit.CUT_TITLES[cut]}", "", "", own["poster"][cut]["f1"], "")
          for cut in audit.CUTS),
        *((title, f"{p['touched']['value']:.0%}", f"{p['seen']['value']:.0%}", p["f1"], p["bout_f1"])
          for title, p in told.items()),
    ]  # fmt: skip
    lines.sort(key=lambda line: _middle(line[3]))
    seen = "video FERAL had seen"
    return pd.DataFrame(lines, columns=["labels", "video shown", seen, "F1 of 3 behaviours", METRICS[BOUT_F1]])


def _middle(told: Mapping[str, float] | float) -> float:
    return told["value"] if isinstance(told, Mapping) else told


def summary_table() -> str:
    """`summary` as HTML, best first."""
    form = "{:.2f}".format
    shown = summary().iloc[::-1].map(lambda v: _with_interval(v, form) if isinstance(v, Mapping) else v)
    return table(shown.map(lambda v: form(v) if isinstance(v, float) else v), words=True).data


def sources_table() -> str:
    """What the recorded figures of real animals were computed from, where that is public, and by which command."""
    lines = []
    for page in recorded.PAGES:
        told = recorded.read(page)["provenance"]
        source = told.get("source", "mbrepro fetch calms21 --videos none")
        lines.append({"figures of": told["data"], "from": source, "by": f"mbrepro record {page}"})
    return table(pd.DataFrame(lines), words=True).data


def summary_figure() -> str:
    """F1 of each line of `summary` as a dot with its interval, in HTML: in the reader's colours, width and font."""
    rows = []
    for line in summary().to_dict("records"):
        told, marks = line["F1 of 3 behaviours"], ""
        if isinstance(told, Mapping):
            at = f"left:{100 * told['low']:.1f}%;width:{100 * (told['high'] - told['low']):.1f}%"
            marks = f'<span class="mb-reach" style="{at}"></span>'
        kind = "mb-dot" if marks else "mb-dot mb-hollow"
        marks += f'<span class="{kind}" style="left:{100 * _middle(told):.1f}%"></span>'
        label = f"<dt>{html.escape(line['labels'])}</dt>"
        rows.append(f'{label}<dd><span class="mb-track">{marks}</span> {_middle(told):.2f}</dd>')
    return f'<dl class="mb-ranges">{"".join(rows)}</dl>'


def tolerance_curves(pairs: Mapping[str, Mapping]) -> plt.Figure:
    """Frame F1 against the tolerance in time, a line a pair with its interval by video."""
    figure, axis = plt.subplots(figsize=(7.4, 3.4))
    seconds = [0.0, *TOLERANCES]
    for title, told in pairs.items():
        names = ["f1", *(f"f1_within_{1000 * s:.0f}ms" for s in TOLERANCES)]
        value, low, high = ([told["metrics"][name][key] for name in names] for key in ("value", "low", "high"))
        axis.fill_between(seconds, low, high, color=LINES[title], alpha=0.12, linewidth=0)
        axis.plot(seconds, value, "o-", color=LINES[title], label=title, markersize=4.5)
    axis.set(xlabel="tolerance in time (s)", ylabel="F1 of 3 behaviours", ylim=(0.7, 1))
    axis.grid(color=GRID)
    axis.legend(loc="lower right")
    return figure


def matrices(counts: Mapping[str, Sequence]) -> plt.Figure:
    """Confusion matrices side by side, rows true: counts of frames, or the poster's shares, by title."""
    figure, axes = plt.subplots(1, len(counts), figsize=(3.2 * len(counts), 3.6), sharey=True)
    for axis, (title, values) in zip(np.atleast_1d(axes), counts.items(), strict=True):
        shares = pd.DataFrame(row_normalised(np.array(values, float)), TASK1_CLASSES, TASK1_CLASSES)
        heat(shares, axis, fmt=".2f", vmin=0, square=True)
        axis.set(title=title, xlabel="predicted")
        axis.tick_params(axis="x", rotation=30)
    axes[0].set_ylabel("true")
    return figure


def dyad_table(official: Mapping) -> pd.DataFrame:
    """How well P(action) of the official network, and closeness alone, tell interaction in a recorded dyad."""
    titles = {"official": "official network, P(action)", "closeness": "closeness of the two mice"}
    shown = {"AUROC": "auroc", "average precision": "average_precision"}
    told = official["dyad"]["interact"]
    rows = {title: {column: told[name][key] for column, key in shown.items()} for name, title in titles.items()}
    return pd.DataFrame(rows).T


def pairs_table(official: Mapping) -> pd.DataFrame:
    """What the official network calls the frames of each pair of three mice, the first being its resident."""
    names = ("action", *TASK1_CLASSES)
    rows = {pair: {name: f"{told['called'][name]:.1%}" for name in names} for pair, told in official["pairs"].items()}
    return pd.DataFrame(rows).T.rename_axis("resident and intruder").reset_index()


def rats_table(found: Mapping) -> pd.DataFrame:
    """How well each localizer names two rats' frames (`rats.figures`), a line each, with intervals by video."""
    shown = {
        "F1 of 2 behaviours": "f1", "aggression": "f1_aggression", "social": "f1_social", "MAP": "map",
        METRICS["kappa"]: "kappa", METRICS[BOUT_F1]: BOUT_F1,
    }  # fmt: skip
    rows = {}
    for name, title in RATS.items():
        told = found["localizers"][name]
        line = {column: _with_interval(told[metric]) for column, metric in shown.items()}
        line["action against other, F1"] = _with_interval(found["action"][name]["f1"])
        line[METRICS["predicted_bouts"]] = _with_interval(told["predicted_bouts"], "{:,.0f}".format)
        rows[title] = line
    return pd.DataFrame(rows).T.rename_axis("localizer").reset_index()
