"""The runs that are stored beside a study: what each was given, what it scored, and sweeps found among them."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro import paths
from mbrepro.artifacts import read_json
from mbrepro.errors import InputError
from mbrepro.study import results
from mbrepro.study.parameters import cascade

PARAMETERS = "parameters.json"
STUDY = "study"  # what `compared` calls the study itself
SAME = 1e-9  # means closer than this are of the same predictions
NAMES = ("profile", "run")  # given, and nothing of what is computed
METRICS, SCORES = ("f1", "map"), ["mean", "sd", "low", "high"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """Runs that differ in the same parameters, and what became of one row and protocol.

    factors: parameters of more than one value. fixed: those that all were given alike. table: a line a run, by its
    name: the factors, and of F1 and MAP the mean, its sd over seeds and its interval ("f1", "f1_sd", "f1_low", …).
    study: F1 of the study's own row, NaN if it has not been run. source: where the recordings come from.
    """

    row: str
    protocol: str
    factors: tuple[str, ...]
    fixed: Mapping[str, object]
    table: pd.DataFrame
    study: float
    source: str


def row_files(profile: str) -> list[Path]:
    """The files of the rows of all stored runs, in the order of their names."""
    return sorted((paths.results(profile) / "runs").glob("*/rows/[!.]*.json"))


def given(profile: str, run: str) -> dict[str, object]:
    """The parameters that a run was given, none of the study itself. Raises InputError if there is no such run."""
    if run == STUDY:
        return {}
    path = paths.results(profile, run) / PARAMETERS
    try:
        known = read_json(path)
    except (OSError, ValueError) as error:
        there = ", ".join(sorted(found.parent.name for found in path.parents[1].glob(f"*/{PARAMETERS}"))) or "none"
        raise InputError(f"{path}: there is no such run ({error}); there are {STUDY} and {there}") from None
    return {name: value for name, value in known.items() if name not in NAMES}


def sweeps(profile: str) -> list[Sweep]:
    """What stored runs say of their parameters: those given the same ones, by row and protocol, if these scored apart.

    Rows that no parameter changed are left out, and runs that stand alone.
    """
    scores, together = _scores(profile), {}
    own = results.read_rows(paths.results(profile)).set_index(["row", "protocol", "metric"])["mean"]
    for run in scores.index.unique("run"):
        known = given(profile, run)
        together.setdefault(tuple(sorted(known)), {})[run] = known
    found = []
    for names, runs in sorted(together.items()):
        known = pd.DataFrame.from_dict(runs, "index", columns=list(names)).rename_axis("run")
        factors = tuple(name for name in names if known[name].nunique() > 1)
        fixed = {name: value for name, value in next(iter(runs.values())).items() if name not in factors}
        lines = known[list(factors)].join(scores, how="inner").sort_values(list(factors), kind="stable")
        for row, protocol in results.ROWS if factors else ():
            table = lines[(lines["row"] == row) & (lines["protocol"] == protocol)]
            if table["f1"].nunique() > 1:
                (source,) = results.sources(paths.results(profile, table.index[0]))
                table = table.drop(columns=["row", "protocol"])
                study = float(own.get((row, protocol, "f1"), np.nan))
                found.append(Sweep(row, protocol, factors, fixed, table, study, source))
    return found


def _scores(profile: str) -> pd.DataFrame:
    """F1 and MAP of every row of every stored run: index run; columns row, protocol, f1, f1_low, …."""
    folders = dict.fromkeys(path.parents[1] for path in row_files(profile))
    nothing = pd.DataFrame(columns=[*results.COLUMNS, "run"])
    rows = pd.concat([results.read_rows(folder).assign(run=folder.name) for folder in folders] or [nothing])
    wide = rows[rows["metric"].isin(METRICS)].pivot(index=["run", "row", "protocol"], columns="metric", values=SCORES)
    wide.columns = [metric if score == "mean" else f"{metric}_{score}" for score, metric in wide.columns]
    return wide.reset_index(["row", "protocol"])


def compared(profile: str, one: str, other: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """In what two runs, or one and the study, differ: their parameters, and the metrics' means.

    The second table is by row, protocol and metric, of rows that both have; where both predicted the same test videos,
    F1's difference has its paired interval by video. Raises InputError if one is not there.
    """
    known = [given(profile, run) for run in (one, other)]
    values = cascade(profile)
    told = {
        name: [part.get(name, values.get(name, "as in the notebook")) for part in known]
        for name in dict.fromkeys((*known[0], *known[1]))
    }
    differing = {name: pair for name, pair in told.items() if pair[0] != pair[1]}
    folders = [paths.results(profile, "" if run == STUDY else run) for run in (one, other)]
    tables = [results.read_rows(folder).set_index(["row", "protocol", "metric"])["mean"] for folder in folders]
    metrics = pd.concat(tables, axis=1, keys=["one", "other"], join="inner").assign(low=np.nan, high=np.nan)
    metrics.insert(2, "difference", metrics["one"] - metrics["other"])
    metrics = metrics[(metrics["difference"].abs() > SAME) | (metrics["one"].isna() != metrics["other"].isna())]
    for row, protocol, metric in metrics.index[metrics.index.get_level_values("metric") == "f1"]:
        with contextlib.suppress(InputError):  # of clips that differ there is no pair
            between = results.difference(*(results.read_row(row, protocol, folder) for folder in folders))
            metrics.loc[(row, protocol, metric), ["low", "high"]] = between["low"], between["high"]
    return pd.DataFrame.from_dict(differing, "index", columns=["one", "other"]), metrics
