"""How far two labellings of the same recordings agree, in frames, in bouts and in what is counted of a recording."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from mbrepro.data.annotations.paired import Labelled
from mbrepro.data.recordings import behaviours, other_index
from mbrepro.method.decoding import tidied
from mbrepro.metrics import resampling
from mbrepro.metrics.bouts import bouts, tiou
from mbrepro.metrics.frames import average_precision, confusion, evaluate
from mbrepro.metrics.matching import CRITERIA, Criteria, match_bouts
from mbrepro.metrics.reliability import intraclass

ALL = "all"  # behaviours together
SIDES = ("true", "predicted")
MATCHES = ("matched", "missed", "false")  # of both labellings, of the true one alone, of the predicted one alone
EDGES = ("start_frame", "stop_frame", "start_s", "stop_s")
SECONDS = (0.0, 0.1, 0.25, 0.5, 1.0)  # gaps filled and bouts dropped by a sweep, unless said otherwise


def evaluation(labelled: Sequence[Labelled], classes: Sequence[str], criteria: Criteria) -> dict[str, object]:
    """Everything that is measured of the frames that both labellings have, bouts on either side of others joined.

    "metrics": as of `resampling.estimates`. "average_precision": by behaviour, where there are scores. "confusion":
    frames by true and predicted class. "bouts": by criterion and behaviour, F1, precision and recall, with intervals by
    recording. "counts": as of `counted`. "not_scorable": frames that are left out, by who has no label for them.
    """
    true, predicted = _frames(labelled)
    return {
        "recordings": len(labelled),
        "frames": sum(map(len, true)),
        "minutes": sum(len(t) / each.fps for t, each in zip(true, labelled, strict=True)) / 60,
        "not_scorable": {side: sum(int((getattr(each, side) < 0).sum()) for each in labelled) for side in SIDES},
        "classes": list(classes),
        "metrics": resampling.estimates(true, predicted, classes, [each.fps for each in labelled]),
        "average_precision": _average_precision(labelled, classes),
        "confusion": np.sum([confusion(t, p, len(classes)) for t, p in zip(true, predicted, strict=True)], 0).tolist(),
        "bouts": found_by_criterion(match_table(labelled, classes, criteria), classes),
        "counts": counted(labelled, classes),
    }


def match_table(labelled: Sequence[Labelled], classes: Sequence[str], criteria: Criteria) -> pd.DataFrame:
    """A row a bout and criterion: whether it is matched, missed or false, its frames and seconds in either labelling.

    What one labelling lacks is NaN. onset_s and offset_s are predicted minus true. A bout that goes on beyond frames
    that are not scorable is one.
    """
    rows: list[dict[str, Any]] = []
    for each, name in product(labelled, behaviours(classes)):
        label, kept = classes.index(name), np.flatnonzero(each.scorable)
        real, found = (bouts(track[kept], label) for track in (each.true, each.predicted))
        overlap = tiou(real, found)
        for criterion, (hits, claims) in match_bouts(real, found, each.fps, criteria).items():
            places: list[tuple[int | None, int | None]] = [(int(i), int(j)) for i, j in zip(hits, claims, strict=True)]
            places += [(i, None) for i in range(len(real)) if i not in hits]
            places += [(None, j) for j in range(len(found)) if j not in claims]
            for i, j in places:
                row: dict[str, Any] = {"recording": each.name, "behaviour": name, "criterion": criterion}
                row["match"] = MATCHES[1 if j is None else 2 if i is None else 0]
                row |= {} if None in (i, j) else {"tiou": overlap[i, j]}
                rows.append(row | _span("true", real, i, kept, each) | _span("predicted", found, j, kept, each))
    columns = [f"{side}_{edge}" for side, edge in product(SIDES, EDGES)]
    table = pd.DataFrame(rows, columns=["recording", "behaviour", "criterion", "match", *columns, "tiou"])
    table = table.astype({name: "Int64" for name in columns if name.endswith("frame")})
    table["onset_s"] = table["predicted_start_s"] - table["true_start_s"]
    table["offset_s"] = table["predicted_stop_s"] - table["true_stop_s"]
    return table


def _span(side: str, spans: np.ndarray, place: int | None, kept: np.ndarray, of: Labelled) -> dict[str, float]:
    if place is None:
        return {}
    start, stop = kept[spans[place, 0]], kept[spans[place, 1] - 1] + 1
    values = (start, stop, of.start_s + start / of.fps, of.start_s + stop / of.fps)
    return {f"{side}_{edge}": value for edge, value in zip(EDGES, values, strict=True)}


def found_by_criterion(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, dict[str, dict]]:
    """Bout F1, precision and recall by criterion and behaviour of a `match_table`, and of all behaviours' bouts.

    As of `resampling.share`: value, low and high, NaN intervals under `LEAST_VIDEOS` recordings.
    """
    found, recordings = {criterion: {} for criterion in CRITERIA}, table["recording"].unique()
    for criterion, name in product(CRITERIA, [*behaviours(classes), ALL]):
        rows = table[(table["criterion"] == criterion) & ((table["behaviour"] == name) | (name == ALL))]
        counts = pd.crosstab(rows["recording"], rows["match"]).reindex(index=recordings, columns=MATCHES, fill_value=0)
        hits, missed, false = (counts[match] for match in MATCHES)
        parts = {"f1": (2 * hits, 2 * hits + missed + false), "precision": (hits, hits + false)}
        parts["recall"] = (hits, hits + missed)
        found[criterion][name] = {measure: resampling.share(*pair) for measure, pair in parts.items()}
    return found


def counted(labelled: Sequence[Labelled], classes: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """By behaviour, of the number of bouts and of their seconds in a recording: both means, and `intraclass`'s."""
    table = {}
    for name in behaviours(classes):
        label, ratings = classes.index(name), {"bouts": [], "seconds": []}
        for each in labelled:
            tracks = [track[each.scorable] for track in (each.true, each.predicted)]
            ratings["bouts"].append([len(bouts(track, label)) for track in tracks])
            ratings["seconds"].append([(track == label).sum() / each.fps for track in tracks])
        table[name] = {
            what: dict(zip(SIDES, np.mean(values, 0).tolist(), strict=True)) | intraclass(np.array(values))._asdict()
            for what, values in ratings.items()
        }
    return table


def sweep(
    labelled: Sequence[Labelled], classes: Sequence[str], criteria: Criteria, gaps: Sequence[float] = SECONDS,
    shortest: Sequence[float] = SECONDS,
) -> pd.DataFrame:  # fmt: skip
    """Frame F1 and bout F1 by each criterion, all behaviours' bouts together, of the prediction tidied in several ways.

    gaps, shortest: seconds, as of `tidied`; the truth is left as it is. What is best here is best for these recordings.
    """
    rows = []
    for gap, least in product(gaps, shortest):
        tidy = [_tidied(each, other_index(classes), gap, least) for each in labelled]
        bouts_found = match_table(tidy, classes, criteria).groupby(["criterion", "match"]).size()
        row = {"gaps_filled_s": gap, "bouts_dropped_s": least, "f1": evaluate(*_frames(tidy), None, classes)["f1"]}
        for criterion in CRITERIA:
            hits, missed, false = (bouts_found.get((criterion, match), 0) for match in MATCHES)
            row[f"bout_f1_{criterion}"] = 2 * hits / (2 * hits + missed + false) if hits + missed + false else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _tidied(each: Labelled, other: int, gap: float, shortest: float) -> Labelled:
    frames = (round(seconds * each.fps) for seconds in (gap, shortest))
    return replace(each, predicted=tidied(each.predicted, other, *frames))


def _frames(labelled: Sequence[Labelled]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    true, predicted = ([getattr(each, side)[each.scorable] for each in labelled] for side in SIDES)
    return true, predicted


def _average_precision(labelled: Sequence[Labelled], classes: Sequence[str]) -> dict[str, float]:
    """Of each behaviour for which every recording's prediction has scores at all frames that count."""
    found = {}
    for name in behaviours(classes):
        scores = [each.scores[name][each.scorable] for each in labelled if name in each.scores]
        if len(scores) == len(labelled) and np.isfinite(np.concatenate(scores)).all():
            positive = [each.true[each.scorable] == classes.index(name) for each in labelled]
            found[name] = float(average_precision(positive, scores)[0])
    return found
