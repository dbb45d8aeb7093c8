"""Protocol "beyond", its stage 1: what poses alone tell when features, decoding and every choice are made with care.

Two localizers learn from pose features; their scores are calibrated, averaged, smoothed or decoded as bouts. What is
fitted or chosen there rests on scores of train recordings out of fold; test recordings decide nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss

from mbrepro import method, metrics
from mbrepro.artifacts import cached_arrays, versions
from mbrepro.data.labels import bout_seconds
from mbrepro.data.recordings import UNLABELLED, Dataset, Prediction, Recording
from mbrepro.method import extent, stage1
from mbrepro.method.calibration import fit_calibration, fit_factors
from mbrepro.method.decoding import BoutModel, count_bouts, decode, smooth
from mbrepro.method.localizer import action_probability
from mbrepro.method.proposals import HysteresisRule, Proposal, proposal_labels, propose
from mbrepro.method.stage1 import LOCALIZERS, Job
from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.frames import evaluate
from mbrepro.study import recorded, results
from mbrepro.study.results import Run

NAMES, AVERAGE = ("boosting", "dilated"), "average"  # the published network's corrected row stands beside them
WAYS = RAW, SMOOTHED, DECODED = ("raw", "smoothed", "decoded")
ROW = "baseline"  # of the table: poses alone name every frame
WEIGHTS, LONGEST_S = (0.05, 0.1, 0.2, 0.5, 1.0), 30.0  # of decoding: evidence tried, the longest bout counted
THINNED = 3  # decoding is chosen on every third train recording: it takes a second for each 20,000 frames
LENGTHS_S = (1.0, 2.0, 5.0, 10.0)  # of clips that the learned extent is compared with
SHOWN = {  # of the page's table: metrics by their titles
    "f1": "F1", "map": "MAP", "bout_f1_50": "bout F1 at tIoU .5", "edit": "order of bouts (edit score, of 100)",
    "kappa": "Cohen's kappa", "da": "BANOS DA", "so": "SO", "ic": "IC",
}  # fmt: skip
WHOLE = HysteresisRule(max_s=None)  # proposals that are not cut to a clip's length


@dataclass(frozen=True, eq=False)
class Scores:
    """Calibrated class scores (T, C) of one localizer: of train recordings out of fold, of test ones for each seed.

    raw: the test scores of the first seed before calibration.
    """

    train: list[np.ndarray]
    test: list[list[np.ndarray]]
    raw: list[np.ndarray]


@dataclass(frozen=True, eq=False)
class Writer:
    """How labels are taken from scores, fitted on train recordings.

    factors: of class scores (C,), for each way that takes the largest. windows: frames, of each class's moving average,
    its median bout. bouts, weight: of decoding.
    """

    factors: Mapping[str, np.ndarray]
    windows: tuple[int, ...]
    bouts: BoutModel
    weight: float

    def labels(self, way: str, scores: np.ndarray) -> np.ndarray:
        """(T,) of scores (T, C), in one of `WAYS`."""
        if way == DECODED:
            return decode(scores, self.bouts, self.weight)
        return ((smoothed(scores, self.windows) if way == SMOOTHED else scores) * self.factors[way]).argmax(1)

    def labelled(self, way: str) -> Callable[[np.ndarray], np.ndarray]:
        """`labels` in one way."""
        return partial(self.labels, way)


def stage1_scores(data: Dataset, seeds: int, folder: Path) -> dict[str, Scores]:
    """Scores by each of `NAMES` and, last, their average, all of them stored in `folder`.

    The folds are the first seed's. Raises InputError if there are fewer train animals than folds.
    """
    jobs = {}
    for name in NAMES:
        jobs[name, "folds"] = stage1.fold_jobs(name, data.train)
        jobs[name, "test"] = [test_job(data, name, seed) for seed in range(seeds if LOCALIZERS[name].seeded else 1)]
    stage1.scored([job for part in jobs.values() for job in part], folder)  # all of them side by side
    found, labels = {}, [r.labels for r in data.train]
    for name in NAMES:
        folds = jobs[name, "folds"]
        train = stage1.joined(folds, stage1.scored(folds, folder), data.train)
        model, test = fit_calibration(train, labels), stage1.scored(jobs[name, "test"], folder)
        calibrated = [[model.probabilities(s) for s in part] for part in test]
        found[name] = Scores([model.probabilities(s) for s in train], calibrated, test[0])
    return found | {AVERAGE: _average(list(found.values()), seeds)}


def test_job(data: Dataset, name: str, seed: int) -> Job:
    """A localizer trained on every train recording, for the test ones."""
    return Job(name, None, seed, data.train, data.test)


def _average(parts: Sequence[Scores], seeds: int) -> Scores:
    """The mean of calibrated scores; a part that no seed changes is every seed's."""
    test = [_means([part.test[seed % len(part.test)] for part in parts]) for seed in range(seeds)]
    return Scores(_means([part.train for part in parts]), test, _means([part.raw for part in parts]))


def _means(parts: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    return [np.mean(same, axis=0) for same in zip(*parts, strict=True)]


def smoothed(scores: np.ndarray, windows: Sequence[int]) -> np.ndarray:
    """(T, C) moving averages, each class's over its own window."""
    return np.concatenate([smooth(scores[:, [k]], window) for k, window in enumerate(windows)], 1)


def fit_writer(
    train: Sequence[Recording], scores: Sequence[np.ndarray], weights: Sequence[float] = WEIGHTS
) -> Writer:  # fmt: skip
    """How labels are best taken from scores (T, C) of train recordings, out of fold.

    The weight of decoding is that of `weights` with the highest mean of F1 and bout F1 at a tIoU of .5.
    """
    classes, fps, labels = train[0].classes, train[0].fps, [r.labels for r in train]
    lasting = [np.concatenate(bout_seconds(train, name)) for name in classes]
    windows = tuple(max(1, round(float(np.median(s)) * fps)) if len(s) else 1 for s in lasting)
    factors = {
        RAW: fit_factors(scores, labels, classes),
        SMOOTHED: fit_factors([smoothed(s, windows) for s in scores], labels, classes),
    }
    bouts = count_bouts(labels, len(classes), round(LONGEST_S * fps))
    tried = [Writer(factors, windows, bouts, weight) for weight in weights]
    if len(tried) == 1:
        return tried[0]
    return max(tried, key=lambda writer: worth(writer, DECODED, train[::THINNED], scores[::THINNED]))


def worth(writer: Writer, way: str, recordings: Sequence[Recording], scores: Sequence[np.ndarray]) -> float:
    """The mean of F1 and bout F1 at a tIoU of .5 of scores (T, C), by which ways are chosen."""
    kept = [r.labels != UNLABELLED for r in recordings]
    true = [r.true[k] for r, k in zip(recordings, kept, strict=True)]
    labels = [writer.labels(way, s)[k] for s, k in zip(scores, kept, strict=True)]
    classes = recordings[0].classes
    bouts = found_bouts(true, labels, classes)["bout_f1_50"][0]
    return float(np.mean([evaluate(true, labels, None, classes)["f1"], np.nan_to_num(bouts)]))


def writers(data: Dataset, scores: Mapping[str, Scores], folder: Path) -> tuple[dict[str, Writer], tuple[str, str]]:
    """The `fit_writer` of each localizer; the localizer and way of the highest `worth` on train recordings out of fold.

    This pair is the protocol's. What takes minutes, trying every weight and pair, is stored in `folder`.
    """
    thinned, names = data.train[::THINNED], list(scores)

    def search() -> dict[str, np.ndarray]:
        by = {name: fit_writer(data.train, found.train) for name, found in scores.items()}
        pairs = [(name, way) for name in names for way in WAYS]
        best = max(pairs, key=lambda pair: worth(by[pair[0]], pair[1], thinned, scores[pair[0]].train[::THINNED]))
        return {"weights": np.array([by[name].weight for name in names]), "best": np.array([pairs.index(best)])}

    made_from = [WEIGHTS, LONGEST_S, THINNED, versions(method, metrics), data.classes, [r.labels for r in data.train]]
    made_from += [[name, *found.train] for name, found in scores.items()]
    stored = cached_arrays(folder / "stage1", "writers", tuple(made_from), search)
    by = {
        name: fit_writer(data.train, found.train, (float(weight),))
        for (name, found), weight in zip(scores.items(), stored["weights"], strict=True)
    }
    name, way = divmod(int(stored["best"][0]), len(WAYS))
    return by, (names[name], WAYS[way])


def runs_of(data: Dataset, scores: Scores, writer: Writer, way: str) -> list[Run]:
    """Test frames as scores and writer name them, a run a seed."""
    runs = []
    for seed, found in enumerate(scores.test):
        shown = [smoothed(s, writer.windows) if way == SMOOTHED else s for s in found]
        pairs = zip(data.test, found, shown, strict=True)
        videos = [Prediction(r.name, r.labels, writer.labels(way, s), by, r.fps) for r, s, by in pairs]
        runs.append(Run(seed, data.task, data.classes, tuple(videos)))
    return runs


def record(
    data: Dataset, scores: Mapping[str, Scores], by: Mapping[str, Writer], chosen: tuple[str, str], profile: str,
    run: str = "",
) -> tuple[pd.DataFrame, list[Run]]:  # fmt: skip
    """Store every localizer in every way, and the chosen one as protocol "beyond"; their rows, and its predictions."""
    rows = []
    for name, found in scores.items():
        for way in WAYS:
            runs, told = runs_of(data, found, by[name], way), {"weight": by[name].weight, "windows": by[name].windows}
            rows.append(results.record(ROW, f"{name}_{way}", runs, profile, run, data.source, **told))
            if (name, way) == chosen:
                ours = runs
    rows.append(results.record(ROW, "beyond", ours, profile, run, data.source, localizer=chosen[0], way=chosen[1]))
    return pd.concat(rows, ignore_index=True), ours


def beside(rows: pd.DataFrame, others: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Rows of results behind those of other protocols' runs, which are scored and not stored."""
    scored = [results.score(ROW, protocol, runs).assign(partial="") for protocol, runs in others.items()]
    return pd.concat([*scored, rows], ignore_index=True)


def differences(ours: Sequence[Run], others: Sequence[Run]) -> dict[str, dict[str, float]]:
    """How much more `ours` score in F1 and bout F1, by their titles; see `results.difference`."""
    return {SHOWN[metric]: results.difference(ours, others, metric) for metric in ("f1", "bout_f1_50")}


def calibration_table(data: Dataset, scores: Mapping[str, Scores]) -> pd.DataFrame:
    """Log loss of the labelled test frames by each localizer's scores as they are and calibrated, first seed."""
    true = np.concatenate([r.labels for r in data.test])
    kept, order = true != UNLABELLED, range(len(data.classes))

    def loss(found: Sequence[np.ndarray]) -> float:
        return log_loss(true[kept], np.concatenate(found)[kept], labels=order)

    rows = {name: {"as they are": loss(s.raw), "calibrated": loss(s.test[0])} for name, s in scores.items()}
    return pd.DataFrame(rows).T


def extents(data: Dataset, scores: Sequence[np.ndarray], folder: Path) -> pd.DataFrame:
    """Clips of test proposals as long as poses say, against fixed lengths, the proposal itself and the true bout.

    scores: (T, C) of the test recordings, from which they are proposed. A line a kind of clip: median errors of onset
    and offset (s) where the proposal's middle lies in a bout, the share of the frames shown, and F1 if whoever looks
    names each clip by its most frequent behaviour and writes it over the clip. "same share": F1 of a fixed length that
    shows as much, between the lengths tried. Last how far apart two people place the ends of bouts, as recorded.
    """
    reach = stage1.reaches(test_job(data, "dilated", 0), folder)
    proposals = [propose(action_probability(s), WHOLE, r.clock) for s, r in zip(scores, data.test, strict=True)]
    kinds = {"as long as poses say": [], "the proposal": [], "the true bout": []}
    kinds |= {f"{seconds:g} s": [] for seconds in LENGTHS_S}
    for recording, found, known in zip(data.test, proposals, reach, strict=True):
        for kind, clips in zip(kinds.values(), _clips(recording, found, known), strict=True):
            kind.append(clips)
    table = pd.DataFrame({kind: _shown(data, proposals, clips) for kind, clips in kinds.items()}).T
    fixed = table.iloc[-len(LENGTHS_S) :]
    table["F1 of a fixed length, same share"] = np.interp(table["share shown"], fixed["share shown"], fixed["F1"])
    people = recorded.read("human")["figures"]["first"]["metrics"]
    ends = {f"{end} off by (s)": people[f"{end}_abs"]["value"] for end in ("onset", "offset")}
    return pd.concat([table, pd.DataFrame({"two people, real mice": ends}).T])


def _clips(recording: Recording, proposals: Sequence[Proposal], reach: np.ndarray) -> list[np.ndarray]:
    """(N, 2) first frames and excluded last of the proposals' clips, for each kind of `extents`."""
    own = np.array([(p.start, p.stop) for p in proposals], np.int64).reshape(-1, 2)
    middles, frames = (own.sum(1) - 1) // 2, len(recording)
    true = extent.distances(recording.labels, recording.classes, recording.fps)[middles]
    bouts = np.round(middles[:, None] + true * [-1, 1] * recording.fps)
    kinds = [extent.clip_bounds(proposals, reach, recording.fps), own, np.where(np.isnan(true), own, bouts).astype(int)]
    for seconds in LENGTHS_S:
        half = round(seconds * recording.fps / 2)
        kinds.append(np.clip(middles[:, None] + [-half, half], 0, frames))
    return kinds


def _shown(
    data: Dataset, proposals: Sequence[Sequence[Proposal]], clips: Sequence[np.ndarray]
) -> dict[str, float]:  # fmt: skip
    """A line of `extents`: the clips (N, 2) of one kind, for each test recording."""
    errors, shown, written = [], [], []
    for recording, found, spans in zip(data.test, proposals, clips, strict=True):
        middles = np.array([(p.start + p.stop - 1) // 2 for p in found], np.int64)
        true = extent.distances(recording.labels, recording.classes, recording.fps)[middles]
        told = (spans - middles[:, None]) * [-1, 1] / recording.fps
        errors.append(np.abs(told - true)[~np.isnan(true[:, 0])])
        seen, labels = np.zeros(len(recording), bool), np.full(len(recording), len(data.classes) - 1)
        named = proposal_labels(recording.true, [Proposal(a, b, 1.0) for a, b in spans.tolist()], data.classes)
        for (start, stop), name in zip(spans, named, strict=True):
            seen[start:stop], labels[start:stop] = True, name
        shown.append(seen)
        written.append(labels)
    onset, offset = np.median(np.concatenate(errors), axis=0)
    f1 = evaluate([r.true for r in data.test], written, None, data.classes)["f1"]
    share = np.concatenate(shown).mean()
    return {"onset off by (s)": onset, "offset off by (s)": offset, "share shown": share, "F1": f1}
