"""Results: a notebook's predictions are stored, scored, and joined into the study's table.

`results/<profile>/predictions/ROW-PROTOCOL.safetensors` holds what was predicted, `rows/ROW-PROTOCOL.json` its scores
and the hash of the predictions, `table.csv` all rows. A run with parameters of its own keeps the same files under
`runs/<its name>`.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mbrepro import paths
from mbrepro.artifacts import file_hash, fingerprint, read_json, remove_partial, replacing, write_json, write_text
from mbrepro.data.recordings import Prediction
from mbrepro.data.tables import csv_text
from mbrepro.errors import InputError
from mbrepro.metrics.frames import check_arrays, weighted_metrics
from mbrepro.metrics.labels import label_metrics
from mbrepro.metrics.resampling import RESAMPLES, interval, whole_and_drawn
from mbrepro.study import poster

NUMBERS = ["mean", "sd", "low", "high", "n_seeds", "n_videos", "undefined", "published"]
COLUMNS = ["row", "protocol", "metric", *NUMBERS, "partial"]
PROTOCOLS = ("published", "corrected")
# Of poses alone also the localizers of `study.beyond` in each way of taking labels, and of these the one chosen; of
# both stages behind it (`study.gate_curves`) what a gate lets through, and everything. Of clips and few-shot what the
# model itself answers (`study.asking`).
POSES = (*(f"{name}_{way}" for name in ("boosting", "dilated", "average") for way in ("raw", "smoothed", "decoded")),)
BEYOND, PROMPT = "beyond", "prompt"
MORE = {"baseline": (*POSES, BEYOND), "clip": (PROMPT,), "pose_vlm": (BEYOND, "beyond_dense"), "few_shot": (PROMPT,)}
OF_ROW = {row: (*PROTOCOLS, *MORE.get(row, ())) for row in poster.ROWS}
ROWS = tuple((row, protocol) for row, protocols in OF_ROW.items() for protocol in protocols)

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
# Of rows that label frames, as names of `metrics.label_metrics`.
OF_FRAMES = (
    "bout_f1_10", "bout_f1_25", "bout_f1_50", "true_bouts", "predicted_bouts", "fragmented", "merged", "edit",
    "onset", "onset_abs", "onset_abs_90", "offset", "offset_abs", "offset_abs_90", "da", "so", "tp", "ic",
    "banos_absent", "kappa", "mcc", "f1_by_recording", "f1_within_500ms", "near_boundary_500ms",
)  # fmt: skip
CLIPS = "clip"  # the row that labels clips

PREDICTIONS, WHOLE = "predictions_sha256", "content"  # in a row's file: hash of its predictions, and of all the rest


@dataclass(frozen=True, eq=False)
class Run:
    """Predictions of one seed on one task's test videos."""

    seed: int
    task: str
    classes: tuple[str, ...]
    videos: tuple[Prediction, ...]

    def arrays(self) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """True labels (T,), predicted ones (T,) and scores (T, C) of the labelled units, each a list by video."""
        videos = [video.labelled() for video in self.videos]
        return [v.known for v in videos], [v.labels for v in videos], [v.scores for v in videos]


def reading(row: str, protocol: str, frames: bool) -> dict[str, str]:
    """Names of the metrics a row of the table shows → names in `metrics`; frames: the row labels frames, not clips."""
    shown = {**READINGS.get((row, protocol), CALMS21_READING), **ALSO}
    return shown | {name: name for name in OF_FRAMES if frames}


def score(row: str, protocol: str, runs: Sequence[Run], resamples: int = RESAMPLES) -> pd.DataFrame:
    """The rows (`COLUMNS`) of predictions: mean and population sd over seeds, and the mean's 95 % interval by video.

    Several tasks (few-shot) are scored one by one and averaged. The interval is a percentile bootstrap over each task's
    test videos of the mean over seeds and tasks. n_videos: test videos of the task that has fewest, as the interval is
    no better founded than there; under `resampling.LEAST_VIDEOS` low and high are NaN. undefined: resamples without a
    value (no frame of a behaviour, for average precision), which the interval leaves out. published: the poster's
    figure, for f1 and map, NaN of one's own data. A mean is NaN if a seed or task has no value. Where predictions have
    an fps, `OF_FRAMES` are scored too. Raises InputError without any run.
    """
    if not runs:
        raise InputError(f"{row} has no predictions to score: seeds must be at least 1")
    seeds = sorted({run.seed for run in runs})
    measured, videos = _measured(runs, resamples), min(len(run.videos) for run in runs)
    values = [_mean_over([m for m, r in zip(measured, runs, strict=True) if r.seed == seed]) for seed in seeds]
    samples, rows = _mean_over(measured), []
    for metric, name in reading(row, protocol, _of_frames(runs)).items():
        by_seed = np.array([v[name][0] for v in values])
        low, high, undefined = interval(samples[name][1:], videos)
        known = np.nan if runs[0].task.startswith(paths.OWN) else poster.TABLE[row].get(metric, np.nan)
        spread = (by_seed.mean(), by_seed.std(), low, high)
        rows.append((row, protocol, metric, *spread, len(seeds), videos, undefined, known, ""))
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_frames(runs: Sequence[Run]) -> bool:
    return all(video.fps is not None for run in runs for video in run.videos)


def _measured(runs: Sequence[Run], resamples: int, ranked: bool = True) -> list[dict[str, np.ndarray]]:
    """Every metric (1 + resamples,) of each run, of its videos and then of resampled ones.

    A task's seeds draw the same videos, different tasks their own. ranked: average precision too, most of the time.
    """
    tasks, frames, measured = sorted({run.task for run in runs}), _of_frames(runs), []
    for run in runs:
        true, labels, scores = run.arrays()
        check_arrays(true, labels, scores, run.classes)
        weights = whole_and_drawn(len(true), resamples, tasks.index(run.task))
        fps = [video.fps for video in run.videos]
        by_bout = label_metrics(true, labels, run.classes, fps, weights) if frames else {}
        measured.append(by_bout | weighted_metrics(true, labels, scores if ranked else None, run.classes, weights))
    return measured


def difference(
    one: Sequence[Run], other: Sequence[Run], metric: str = "f1", resamples: int = RESAMPLES
) -> dict[str, float]:
    """How much more one row's predictions score than another's on the same test videos: means over seeds, paired.

    Every resample draws the same videos for both, so what makes a video hard for both cancels. Videos that only one row
    predicted are left out. Returns value, low, high, n_videos and undefined, as in `score`. Raises InputError if no
    video is in both, or its labels differ.
    """
    shared = {v.name: v.true for v in one[0].videos} if one else {}
    names = [v.name for run in other[:1] for v in run.videos if v.name in shared]
    if not names or any(run.task != one[0].task for run in (*one, *other)):
        raise InputError("two rows can be compared only on test videos of one task that both have predictions of")
    parts = []
    for runs in (one, other):
        kept = [_only(run, names) for run in runs]
        if any(not np.array_equal(v.true, shared[v.name]) for run in kept for v in run.videos):
            raise InputError("two rows were predicted for other labels of the same videos: run both again")
        parts.append(_mean_over(_measured(kept, resamples, "ap" in metric))[metric])
    gain = parts[0] - parts[1]
    low, high, undefined = interval(gain[1:], len(names))
    return {"value": float(gain[0]), "low": low, "high": high, "n_videos": len(names), "undefined": undefined}


def _only(run: Run, names: Sequence[str]) -> Run:
    videos = {video.name: video for video in run.videos}
    return replace(run, videos=tuple(videos[name] for name in names))


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
    stored, predictions = _files(paths.results(profile, run), row, protocol)
    rows = score(row, protocol, runs).assign(partial=partial)
    _store_predictions(predictions, runs)
    settings = {name: asdict(value) if is_dataclass(value) else value for name, value in settings.items()}
    plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
    content = {"source": source, "run": run, "settings": settings, "rows": plain, PREDICTIONS: file_hash(predictions)}
    write_json(stored, content | {WHOLE: fingerprint(json.loads(json.dumps(content)))})
    write_table(stored.parents[1])
    return rows


def leave_out(row: str, protocol: str, profile: str, run: str = "") -> pd.DataFrame:
    """Take a row that nothing can be measured for out of the table; return it without values, for its page."""
    folder = paths.results(profile, run)
    for path in _files(folder, row, protocol):
        path.unlink(missing_ok=True)
    write_table(folder)
    known = [(metric, poster.TABLE[row].get(metric, np.nan)) for metric in reading(row, protocol, row != CLIPS)]
    empty = [(row, protocol, metric, *4 * [np.nan], 0, 0, 0, value, "") for metric, value in known]
    return pd.DataFrame(empty, columns=COLUMNS)


def _files(folder: Path, row: str, protocol: str) -> tuple[Path, Path]:
    """Where a row's scores and predictions lie. Raises InputError for a row or protocol the table does not have."""
    if (row, protocol) not in ROWS:
        known = ", ".join(OF_ROW.get(row, PROTOCOLS))
        raise InputError(f"the table has rows {', '.join(poster.ROWS)} and protocols {known}, not {row} {protocol}")
    name = f"{row}-{protocol}"
    return folder / "rows" / f"{name}.json", folder / "predictions" / f"{name}.safetensors"


def _row_files(folder: Path) -> list[Path]:
    """Rows' files in the table's order; only these names are rows, as a killed write leaves others beside them."""
    return [path for row, protocol in ROWS if (path := _files(folder, row, protocol)[0]).exists()]


def _content(path: Path) -> dict[str, Any]:
    """A row's file. Raises InputError if it is not what `record` wrote."""
    try:
        content = read_json(path)
        whole = content.pop(WHOLE)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a row of results ({error}): run make reproduce") from None
    if whole != fingerprint(content):
        raise InputError(f"{path} was changed after it was written: run make reproduce")
    return content


def _rows(content: Mapping[str, object]) -> pd.DataFrame:
    numbers = dict.fromkeys(("mean", "sd", "low", "high", "published"), float)  # which JSON's null is none of
    return pd.DataFrame(content["rows"], columns=COLUMNS).astype(numbers)


def _store_predictions(path: Path, runs: Sequence[Run]) -> None:
    arrays, index = {}, []
    for number, run in enumerate(runs):
        index.append({**vars(run), "videos": [{"name": video.name, "fps": video.fps} for video in run.videos]})
        for place, video in enumerate(run.videos):
            for field in ("true", "labels"):
                values = np.asarray(getattr(video, field))
                arrays[f"{number}/{place}/{field}"] = values.astype(np.int8 if (values < 0).any() else np.uint8)
            arrays[f"{number}/{place}/scores"] = np.ascontiguousarray(video.scores, np.float64)
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata={"index": json.dumps(index)})


def read_predictions(path: Path) -> list[Run]:
    """Read what `record` stored of one row and protocol. Raises InputError for what another version stored."""
    try:
        with safe_open(path, "numpy") as file:
            return [_run(path, file, place, told) for place, told in enumerate(json.loads(file.metadata()["index"]))]
    except (SafetensorError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} holds no predictions ({error}): run make reproduce") from error


def _run(path: Path, file: Any, number: int, told: dict[str, Any]) -> Run:
    videos = []
    for place, video in enumerate(told["videos"]):
        if not isinstance(video, dict):
            raise InputError(f"{path} was stored before predictions had a frame rate: run make reproduce")
        fields = {field: file.get_tensor(f"{number}/{place}/{field}") for field in ("true", "labels", "scores")}
        videos.append(Prediction(**video, **fields))
    return Run(**told | {"classes": tuple(told["classes"]), "videos": tuple(videos)})


def read_rows(folder: Path, strict: bool = True) -> pd.DataFrame:
    """All rows stored in a results folder, in the table's order.

    A file that was changed raises InputError, or is left out if not strict: its notebook has yet to run again.
    """
    parts = []
    for path in _row_files(folder):
        with contextlib.nullcontext() if strict else contextlib.suppress(InputError):
            parts.append(_rows(_content(path)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def read_row(row: str, protocol: str, folder: Path) -> list[Run]:
    """The predictions of a row stored in a results folder; none if it has not been run."""
    path = _files(folder, row, protocol)[1]
    return read_predictions(path) if path.exists() else []


def sources(folder: Path) -> set[str]:
    """Where the recordings behind a results folder's rows came from."""
    return {_content(path)["source"] for path in _row_files(folder)}


def write_table(folder: Path) -> None:
    """Join the stored rows into `table.csv`."""
    write_text(folder / "table.csv", csv_text(read_rows(folder, strict=False)))


def tidy(folder: Path) -> None:
    """Remove what killed writes have left in a results folder, and write its table anew."""
    for part in (folder, *(folder / name for name in ("rows", "predictions", "notebooks"))):
        remove_partial(part)
    if (folder / "rows").exists():
        write_table(folder)


def write_csv(table: pd.DataFrame, name: str, profile: str, run: str = "") -> None:
    """Keep a page's table as `NAME.csv` beside the study's table, or with a run of one's own."""
    write_text(paths.results(profile, run) / f"{name}.csv", csv_text(table))


def verify(profile: str, run: str = "") -> pd.DataFrame:
    """Score every stored row's predictions again and compare with the row and with `table.csv`; return the rows.

    run: a run of one's own in place of the study. Raises InputError naming the first file that differs or is missing.
    """
    folder = paths.results(profile, run)
    for row, protocol in ROWS:
        files = path, predictions = _files(folder, row, protocol)
        missing = [file for file in files if not file.exists()]
        if len(missing) == 1:
            raise InputError(f"{missing[0]} is missing, and its row is there: run make reproduce")
        if not missing:
            _check_rows(path, _content(path), predictions)
    stored = read_rows(folder)
    if not len(stored):
        raise InputError(f"there are no results in {folder}: run make reproduce first")
    _check_table(folder / "table.csv", stored)
    return stored


def _check_rows(path: Path, content: Mapping[str, object], predictions: Path) -> None:
    """Raise InputError naming the file if predictions are not those that were scored, or score otherwise."""
    if (found := file_hash(predictions)) != content[PREDICTIONS]:
        raise InputError(f"{predictions} was changed after it was scored (sha256 {found[:12]}…): run make reproduce")
    then = _rows(content).set_index("metric")
    row, protocol = path.stem.split("-")
    again = score(row, protocol, read_predictions(predictions)).set_index("metric")
    for metric in again.index:
        for field in NUMBERS:
            new, old = again.loc[metric, field], then.loc[metric, field]
            if not np.isclose(new, old, rtol=0, atol=1e-9, equal_nan=True):
                raise InputError(f"{path}: {metric} {field} scores {new:.6f}, and the row says {old:.6f}")


def _check_table(path: Path, stored: pd.DataFrame) -> None:
    """Raise InputError naming the first line of `table.csv` that the rows do not give."""
    wanted = csv_text(stored).splitlines()
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for place in range(max(len(wanted), len(lines))):
        has, should = (part[place] if place < len(part) else "nothing" for part in (lines, wanted))
        if has != should:
            told = f"line {place + 1} is {has}, and the stored rows give {should}"
            raise InputError(f"{path}: {told}: run make reproduce")
