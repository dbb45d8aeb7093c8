"""What an evaluation of two labellings says, as a page of markdown."""

import html
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from mbrepro.data.recordings import behaviours
from mbrepro.metrics.agreement import TOLERANCES
from mbrepro.metrics.bouts import COUNTS
from mbrepro.metrics.matching import Criteria
from mbrepro.metrics.resampling import BY_VIDEO, LEAST_VIDEOS
from mbrepro.report.page import METRICS

AGREEMENT = (
    "accuracy", "kappa", "mcc", "f1_by_recording", "edit", "da", "so", "tp", "ic", "near_boundary_500ms",
)  # fmt: skip
ENDS = (
    *COUNTS, "onset", "onset_abs", "onset_abs_90", "offset",
    "offset_abs", "offset_abs_90",
)  # fmt: skip


def markdown(title: str, found: Mapping, criteria: Criteria, tidied: pd.DataFrame, alone: Sequence[str]) -> str:
    """The page of what `evaluation` and `sweep` give.

    title: what was compared with what. criteria: of the matching. alone: files without a partner.
    """
    tables = {
        "Frames": _frames(found),
        f"Bouts found: sharing a frame, with tIoU {criteria.tiou:g}, with ends within {criteria.edges_s:g} s": _bouts(
            found
        ),
        "How bouts differ": _of_behaviours(found, {METRICS[key]: key for key in ENDS}),
        "Agreement": pd.DataFrame({"": {METRICS.get(k, k): _cell(found["metrics"][k]) for k in AGREEMENT}}),
        "What is counted of a recording: means, and the intraclass correlation ICC(A,1)": _counts(found),
        "Frame F1 with a tolerance": _of_behaviours(
            found, {f"{seconds:g} s": f"f1_within_{1000 * seconds:.0f}ms" for seconds in TOLERANCES}, [""]
        ),
        "Frames by true class (rows) and predicted one": pd.DataFrame(
            found["confusion"], found["classes"], found["classes"]
        ),
        "The prediction tidied: F1 of frames, and of all bouts": _tidied(tidied),
    }
    lines = [f"# {_text(title)}", "", *_summary(found, alone)]
    for name, table in tables.items():
        lines += ["", f"## {name}", "", *_table(table)]
    return "\n".join(lines) + "\n"


def _summary(found: Mapping, alone: Sequence[str]) -> Iterable[str]:
    lost = found["not_scorable"]
    yield (
        f"{found['recordings']} recording(s), {found['frames']:,} frames, {found['minutes']:.1f} minutes. Frames that "
        f"count nowhere: {lost['true']:,} without a true label, {lost['predicted']:,} without a predicted one."
    )
    yield (
        f"Intervals: {BY_VIDEO}."
        if found["recordings"] >= LEAST_VIDEOS
        else f"Under {LEAST_VIDEOS} recordings: no intervals."
    )
    if alone:
        yield f"Not compared, as the other folder has no file of that name: {', '.join(map(_text, alone))}."


def _frames(found: Mapping) -> pd.DataFrame:
    columns = {name: _of_behaviours(found, {"": name}, [""])[""] for name in ("f1", "precision", "recall")}
    if found["average_precision"]:
        columns["average precision"] = pd.Series(found["average_precision"])
    return pd.DataFrame(columns, index=[*behaviours(found["classes"]), "mean"])


def _of_behaviours(found: Mapping, columns: Mapping[str, str], mean: Sequence[str] = ()) -> pd.DataFrame:
    """A row a behaviour, its metrics by the title of their column; mean: a row of the mean that a metric has itself."""
    names = {name: f"_{name}" for name in behaviours(found["classes"])} | ({"mean": ""} if mean else {})
    cells = {
        title: {
            name: _cell(found["metrics"][key + end], ",.0f" if key in COUNTS else ".3f") for name, end in names.items()
        }
        for title, key in columns.items()
    }
    return pd.DataFrame(cells)


def _bouts(found: Mapping) -> pd.DataFrame:
    return pd.DataFrame(
        {
            f"{measure}, {criterion}": {name: _cell(of[measure]) for name, of in by_behaviour.items()}
            for measure in ("f1", "precision", "recall")
            for criterion, by_behaviour in found["bouts"].items()
        }
    )


def _counts(found: Mapping) -> pd.DataFrame:
    rows = {f"{name}, {what}": values for name, of in found["counts"].items() for what, values in of.items()}
    cells = {
        name: {"true": v["true"], "predicted": v["predicted"], "ICC": _cell(v | {"value": v["agreement"]})}
        for name, v in rows.items()
    }
    return pd.DataFrame(cells).T


def _tidied(table: pd.DataFrame) -> pd.DataFrame:
    index = [
        f"gaps to {row.gaps_filled_s:g} s filled, bouts under {row.bouts_dropped_s:g} s dropped"
        for row in table.itertuples()
    ]
    return table.drop(columns=["gaps_filled_s", "bouts_dropped_s"]).set_axis(index)


def _cell(of: Mapping[str, float], form: str = ".3f") -> str:
    if np.isnan(of["value"]):
        return "not defined"
    short = form.replace("3", "2")
    between = "" if np.isnan(of["low"]) else f" ({of['low']:{short}} – {of['high']:{short}})"
    return f"{of['value']:{form}}{between}"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return _text(value).replace("|", "\\|")
    return "not defined" if pd.isna(value) else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _text(name: str) -> str:
    """A name from a file as markdown shows it: no HTML, no link, one line."""
    return html.escape(" ".join(name.split()), quote=False).replace("[", "\\[")


def _table(frame: pd.DataFrame) -> Iterable[str]:
    """A frame's lines, its index as the first column."""
    yield " | ".join(["| ", *map(_shown, frame.columns)]) + " |"
    yield "|---" * (frame.shape[1] + 1) + "|"
    for row in frame.itertuples():
        yield "| " + " | ".join(map(_shown, row)) + " |"
