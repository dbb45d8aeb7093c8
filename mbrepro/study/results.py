"""Results: a notebook's predictions are stored, scored, and joined into the study's table.

`results/<profile>/predictions/ROW-PROTOCOL.safetensors` holds what was predicted, `rows/ROW-PROTOCOL.json` its scores,
`table.csv` all rows. A run with parameters of its own keeps the same files under `runs/<its name>`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save_file

from mbrepro import paths
from mbrepro.artifacts import replacing, write_json, write_text
from mbrepro.data.recordings import Prediction
from mbrepro.errors import InputError
from mbrepro.metrics.frames import evaluate
from mbrepro.metrics.resampling import interval, resample_videos
from mbrepro.study import poster

COLUMNS = ["row", "protocol", "metric", "mean", "sd", "low", "high", "n_seeds", "published", "partial"]
PROTOCOLS = ("published", "corrected")

# What F1 and MAP mean in a row of the poster's table, as names of `metrics.evaluate`. The poster averages the end to
# end row over all classes, "other" included, and gives precision for MAP in every row but the first.
READINGS = {
    ("baseline", "published"): {"f1": "f1", "map": "map"},
    ("localization", "published"): {"f1": "f1", "map": "precision"},
    ("clip", "published"): {"f1": "f1", "map": "precision"},
    ("pose_vlm", "published"): {"f1": "macro_f1", "map": "macro_precision"},
    ("few_shot", "published"): {"f1": "f1", "map": "precision"},
}
CALMS21_READING = {"f1": "f1", "map": "map"}  # every row of the corrected protocol
ALSO = {"calms21_f1": "f1", "calms21_map": "map", "accuracy": "accuracy", "precision": "precision", "recall": "recall"}


@dataclass(frozen=True, eq=False)
class Run:
    """Predictions of one seed on one task's test videos."""

    seed: int
    task: str
    classes: tuple[str, ...]
    videos: tuple[Prediction, ...]


def reading(row: str, protocol: str) -> dict[str, str]:
    """Names of the metrics a row of the table shows → names in `metrics.evaluate`."""
    return {**READINGS.get((row, protocol), CALMS21_READING), **ALSO}


def score(row: str, protocol: str, runs: Sequence[Run], resamples: int = 1000) -> pd.DataFrame:
    """The rows (`COLUMNS`) of predictions: mean and population sd over seeds, and a 95 % interval.

    The interval is a percentile bootstrap over test videos of the mean over seeds. Several tasks (few-shot) are scored
    one by one and averaged. `published` is the poster's figure, for f1 and map. Raises InputError without any run.
    """
    if not runs:
        raise InputError(f"{row} has no predictions to score: seeds must be at least 1")
    seeds = sorted({run.seed for run in runs})
    values = [_mean_over([evaluate(*_arrays(r), r.classes) for r in runs if r.seed == seed]) for seed in seeds]
    tasks = sorted({run.task for run in runs})  # one task's seeds draw the same videos, different tasks their own
    samples = _mean_over([resample_videos(*_arrays(r), r.classes, resamples, tasks.index(r.task)) for r in runs])
    rows = []
    for metric, name in reading(row, protocol).items():
        by_seed = np.array([v[name] for v in values])
        between = interval(samples[name])
        known = poster.TABLE[row].get(metric, np.nan)
        rows.append(
            (row, protocol, metric, by_seed.mean(), by_seed.std(), between.low, between.high, len(seeds), known, "")
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _arrays(run: Run) -> tuple[list[np.ndarray], ...]:
    return tuple([getattr(video, field) for video in run.videos] for field in ("true", "labels", "scores"))


def _mean_over(parts: Sequence[Mapping[str, object]]) -> dict[str, np.ndarray]:
    """The mean of each metric that all parts have; tasks may differ in their classes' own metrics."""
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.mean([part[name] for part in parts], axis=0) for name in shared}


def record(
    row: str, protocol: str, runs: Sequence[Run], profile: str, run: str = "", source: str = "", partial: str = "",
    **settings: object,
) -> pd.DataFrame:  # fmt: skip
    """Store predictions and their scores, renew the table, and return the rows.

    run: empty for the study itself; otherwise the name of a run of one's own, which never changes the table.
    source, settings: recorded beside the scores. partial: what of the data the row was measured on, if not all of it.
    Raises InputError for a row or protocol the table does not have.
    """
    _check_row(row, protocol)
    folder = paths.results(profile, run)
    rows = score(row, protocol, runs).assign(partial=partial)
    _store_predictions(folder / "predictions" / f"{row}-{protocol}.safetensors", runs)
    settings = {name: asdict(value) if is_dataclass(value) else value for name, value in settings.items()}
    plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
    content = {"source": source, "run": run, "settings": settings, "rows": plain}
    write_json(folder / "rows" / f"{row}-{protocol}.json", content)
    write_table(folder)
    return rows


def leave_out(row: str, protocol: str, profile: str, run: str = "") -> pd.DataFrame:
    """Take a row that nothing can be measured for out of the table; return it without values, for its page."""
    _check_row(row, protocol)
    folder = paths.results(profile, run)
    for path in (folder / "rows" / f"{row}-{protocol}.json", folder / "predictions" / f"{row}-{protocol}.safetensors"):
        path.unlink(missing_ok=True)
    write_table(folder)
    empty = [(row, protocol, m, *4 * [np.nan], 0, poster.TABLE[row].get(m, np.nan), "") for m in reading(row, protocol)]
    return pd.DataFrame(empty, columns=COLUMNS)


def _check_row(row: str, protocol: str) -> None:
    if row not in poster.ROWS or protocol not in PROTOCOLS:
        raise InputError(f"the table has rows {', '.join(poster.ROWS)} and protocols {', '.join(PROTOCOLS)}")


def _store_predictions(path: Path, runs: Sequence[Run]) -> None:
    arrays, index = {}, []
    for number, run in enumerate(runs):
        index.append(
            {"seed": run.seed, "task": run.task, "classes": run.classes, "videos": [v.name for v in run.videos]}
        )
        for place, video in enumerate(run.videos):
            for field in ("true", "labels"):
                arrays[f"{number}/{place}/{field}"] = np.asarray(getattr(video, field), np.uint8)
            arrays[f"{number}/{place}/scores"] = np.ascontiguousarray(video.scores, np.float64)
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata={"index": json.dumps(index)})


def read_predictions(path: Path) -> list[Run]:
    """Read what `record` stored of one row and protocol."""
    runs = []
    with safe_open(path, "numpy") as file:
        for number, entry in enumerate(json.loads(file.metadata()["index"])):
            videos = []
            for place, name in enumerate(entry["videos"]):
                fields = [file.get_tensor(f"{number}/{place}/{field}") for field in ("true", "labels", "scores")]
                videos.append(Prediction(name, *fields))
            runs.append(Run(entry["seed"], entry["task"], tuple(entry["classes"]), tuple(videos)))
    return runs


def read_rows(folder: Path) -> pd.DataFrame:
    """All rows stored in a results folder, in the table's order."""
    parts = [pd.DataFrame(content["rows"], columns=COLUMNS) for content in _stored_rows(folder)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def sources(folder: Path) -> set[str]:
    """Where the recordings behind a results folder's rows came from."""
    return {content["source"] for content in _stored_rows(folder)}


def _stored_rows(folder: Path) -> Iterator[dict]:
    """What `record` stored of each row, in the table's order; what a kill left half-written has another name."""
    for row in poster.ROWS:
        for protocol in PROTOCOLS:
            path = folder / "rows" / f"{row}-{protocol}.json"
            if path.exists():
                yield json.loads(path.read_text(encoding="utf-8"))


def write_table(folder: Path) -> None:
    """Join the stored rows into `table.csv`."""
    write_text(folder / "table.csv", _csv(read_rows(folder)))


def write_csv(table: pd.DataFrame, name: str, profile: str, run: str = "") -> None:
    """Keep a page's table as `NAME.csv` beside the study's table, or with a run of one's own."""
    write_text(paths.results(profile, run) / f"{name}.csv", _csv(table))


def _csv(rows: pd.DataFrame) -> str:
    return rows.to_csv(index=False, float_format="%.6f")


def verify(profile: str, run: str = "") -> pd.DataFrame:
    """Score every stored row's predictions again and compare with the row and with `table.csv`; return the rows.

    run: a run of one's own in place of the study. Raises InputError naming the first file that differs or is missing.
    """
    folder = paths.results(profile, run)
    stored = read_rows(folder)
    if not len(stored):
        raise InputError(f"there are no results in {folder}: run make reproduce first")
    for (row, protocol), rows in stored.groupby(["row", "protocol"], sort=False):
        path = folder / "predictions" / f"{row}-{protocol}.safetensors"
        if not path.exists():
            raise InputError(f"{path} is missing, so its row cannot be scored again: run make reproduce")
        _check_rows(path, rows, score(row, protocol, read_predictions(path)))
    table = folder / "table.csv"
    if not table.exists() or table.read_text(encoding="utf-8") != _csv(stored):
        raise InputError(f"{table} is not what the stored rows say: run make reproduce again")
    return stored


def _check_rows(path: Path, stored: pd.DataFrame, again: pd.DataFrame) -> None:
    then = stored.set_index("metric")
    for record_ in again.itertuples(index=False):
        for field in ("mean", "sd", "low", "high"):
            new, old = getattr(record_, field), float(then.loc[record_.metric, field])
            if not np.isclose(new, old, rtol=0, atol=1e-9, equal_nan=True):
                raise InputError(f"{path}: {record_.metric} {field} scores {new:.6f}, and the table says {old:.6f}")
