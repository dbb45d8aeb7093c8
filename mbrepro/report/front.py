"""The study's table on the first page: every row in one metric, beside the poster, the trivial answer and people."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from mbrepro.metrics.resampling import LEAST_VIDEOS, RESAMPLES
from mbrepro.report.page import BOUT_F1, METRICS, line, or_undefined, printed, table, two_people, with_interval
from mbrepro.report.tables import by_protocol
from mbrepro.study import poster, results
from mbrepro.study.two_stages import ALWAYS

METRIC = {"F1": "calms21_f1", "MAP": "calms21_map", METRICS[BOUT_F1]: BOUT_F1}  # the same under every protocol
TUNED = ("baseline", "localization")  # rows that the simulator is tuned towards (page 00)
WORSE = "▼"
OWN = {  # what the table of one's own recordings calls its rows and protocols
    ("baseline", "published"): "the published network, last pass kept",
    ("baseline", "corrected"): "the same, passes chosen on train animals",
    ("baseline", "boosting_raw"): "layered trees, each frame by itself",
    ("baseline", "beyond"): "layered trees, smoothed: mbrepro train",
    ("clip", "corrected"): poster.TITLES["clip"],
    ("pose_vlm", "corrected"): poster.TITLES["pose_vlm"],
    ("pose_vlm", "beyond_dense"): "Both stages' scores joined: mbrepro train with an embedder",
    ("few_shot", "corrected"): "Few-shot, by poses: behaviours with few bouts",
}
UNSEEN = "no video, or no model named"
LACKS = {"clip": UNSEEN, "pose_vlm": UNSEEN, "few_shot": "no such behaviour"}


def study_table(rows: pd.DataFrame, watched: Mapping[str, float], source: str) -> str:
    """The study's table as HTML: F1, MAP and bout F1 of each row in CalMS21's metric, whatever the protocol.

    rows: as of `results.read_rows`, with those of the protocol `ALWAYS`. watched: share of the video that the two
    stages look at, by protocol. source: of the recordings. Below stand poses alone taken further and two people, under
    the table what its marks mean.
    """
    lines = []
    for row in poster.ROWS:
        part = rows[rows["row"] == row].set_index(["protocol", "metric"])
        lines += _of_row(row, part, watched if row == "pose_vlm" else {}, source)
    beyond = rows[(rows["row"] == "baseline") & (rows["protocol"] == results.BEYOND)]
    part = beyond.set_index(["protocol", "metric"])
    for place, (shown, metric) in enumerate(METRIC.items() if len(part) else ()):
        title = "Beyond: poses alone, page 12" if not place else ""
        lines.append({"row": title, "metric": shown, f"corrected ({source})": _cell(part, results.BEYOND, metric)})
    for title, told in two_people().items():
        lines.append({"row": f"Two people, {title}", "metric": "F1", "real mice": with_interval(told)})
    shown = rows[rows["metric"].isin(METRIC.values()) & rows["protocol"].isin((*results.PROTOCOLS, results.BEYOND))]
    return table(pd.DataFrame(lines).fillna("")).data + _notes(shown, source)


def own_lines(rows: pd.DataFrame, shown: Collection[str] = poster.ROWS) -> pd.DataFrame:
    """A line a protocol of those rows of one's own recordings, or why there is none."""
    kept = rows[rows["row"].isin(shown)]
    named = kept.assign(protocol=[OWN[pair] for pair in zip(kept["row"], kept["protocol"], strict=True)])
    found = by_protocol(named, {metric: title for title, metric in METRIC.items()}).astype(object)
    for (row, _), title in OWN.items():
        if row in shown and row in LACKS and title not in found.index:
            found.loc[title] = LACKS[row]
    return found.reindex([title for title in OWN.values() if title in found.index])


def own_table(rows: pd.DataFrame) -> str:
    """The table of one's own recordings as HTML: a line a protocol of every row."""
    return table(own_lines(rows), "").data + line(
        f"Means over behaviours; 95 % intervals by recording from {LEAST_VIDEOS} recordings on."
    )


def _of_row(row: str, part: pd.DataFrame, watched: Mapping[str, float], source: str) -> list[dict[str, str]]:
    tuned = " †" if row in TUNED and source == "simulated" else ""
    title, lines = poster.TITLES[row] + (" (partial)" if (part["partial"] != "").any() else "") + tuned, []
    for shown, metric in METRIC.items():
        if metric == BOUT_F1 and not part.index.isin([BOUT_F1], level="metric").any():
            continue  # a row of clips
        line = {
            "row": "" if lines else title,
            "metric": shown,
            "real mice": "" if metric == BOUT_F1 else printed(row, shown.lower()),
        }
        line |= {f"{name} ({source})": _cell(part, name, metric) for name in results.PROTOCOLS}
        line[f"corrected ({source})"] += _worse(part, metric)
        line["always the most frequent"] = "" if metric == BOUT_F1 else _cell(part, ALWAYS, metric)
        lines.append(line)
    if watched:
        shares = {f"{name} ({source})": f"{share:.0%}" for name, share in watched.items()}
        lines.append({"row": "", "metric": "video looked at"} | shares)
    return lines


def _worse(part: pd.DataFrame, metric: str) -> str:
    """A mark where a row got worse by its correction, as far as the digits shown tell."""
    means = [part["mean"].get((protocol, metric), np.nan) for protocol in results.PROTOCOLS]
    published, corrected = np.round(means, 2)
    return f" {WORSE}" if corrected < published else ""


def _cell(part: pd.DataFrame, protocol: str, metric: str) -> str:
    if (protocol, metric) not in part.index:
        return "not run"
    r = part.loc[(protocol, metric)]
    between = "" if pd.isna(r["low"]) else f" [{r['low']:.2f}, {r['high']:.2f}]" + ("*" if r["undefined"] else "")
    spread = f" ± {r['sd']:.2f}" if r["n_seeds"] > 1 and protocol != ALWAYS else ""
    return or_undefined(r["mean"], f"{r['mean']:.2f}{spread}{between}")


def _notes(rows: pd.DataFrame, source: str) -> str:
    told = [f"{WORSE} worse than published, by the means shown."]
    if source == "simulated":
        told.append("† The simulator is tuned towards what such networks reach on mice: no evidence about mice.")
    if (rows["n_videos"] < LEAST_VIDEOS).any():
        few = f"fewer than {LEAST_VIDEOS} test videos (of several tasks: the one with fewest)"
        told.append(f"No interval where a row has {few}.")
    if (undefined := rows.loc[rows["n_videos"] >= LEAST_VIDEOS, "undefined"].max()) > 0:
        told.append(f"* Up to {undefined} of {RESAMPLES:,} resamples have no value and are left out.")
    return line(" ".join(told))
