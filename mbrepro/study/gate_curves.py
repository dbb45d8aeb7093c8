"""How good labels are against how much of the video stage 2 was shown, gate by gate: the study's central figure."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mbrepro.data.recordings import Dataset
from mbrepro.embedding import embedder_class
from mbrepro.errors import InputError
from mbrepro.method import gate
from mbrepro.method.gate import GATES, Guarantee
from mbrepro.method.protocols import Protocol
from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.frames import evaluate, weighted_metrics
from mbrepro.metrics.resampling import LEAST_VIDEOS, interval, whole_and_drawn
from mbrepro.study import results
from mbrepro.study.gated import Labels, Stages, most_probable, run_at, shown_at, values_of
from mbrepro.study.results import Run

BUDGETS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)  # shares of the seconds of all clips
ALONE, GATED, DENSE = "poses alone", "gated", "dense"
NONE = "none"  # the gate of both ends
POINTS = ["share_of_video", "passes", "tflop_per_hour", "f1", "low", "high", "map", "bout_f1"]
COLUMNS = ["variant", "gate", *POINTS]


def curves(
    by_seed: Sequence[Stages], data: Dataset, protocol: Protocol, label: Labels = most_probable,
    gates: Sequence[str] = GATES, budgets: Sequence[float] = BUDGETS, share: float = 0.4,
) -> tuple[pd.DataFrame, dict[tuple[str, float], list[Run]]]:  # fmt: skip
    """The rows (`COLUMNS`) of every gate under every budget, means over seeds, and the predictions behind each.

    share_of_video: of the test recordings' frames, those under a clip that is shown; passes: frames under such clips,
    each as often as it is, by all frames; tflop_per_hour: of stage 2, an hour of recording; f1 (CalMS21's) with its
    interval by video, NaN under `resampling.LEAST_VIDEOS`; map; bout_f1 at a tIoU of .5. The dense variant is shown
    everything that stage 1 proposes; both ends have no gate. label: how scores of frames become labels. share: a budget
    that is to be among them. Raises InputError if it is none.
    """
    if not 0 < share < 1:
        raise InputError(f"share must lie between 0 and 1, not {share}")
    values = [values_of(stages, gates, label) for stages in by_seed]
    lines, runs = [], {}
    for name, budget in _points(gates, sorted({*budgets, share})):
        shown = [
            shown_at(s, v[name if name != NONE else gates[0]], budget) for s, v in zip(by_seed, values, strict=True)
        ]
        runs[name, budget] = [run_at(s, kept, data, label) for s, kept in zip(by_seed, shown, strict=True)]
        variant = {0.0: ALONE, 1.0: DENSE}.get(budget, GATED)
        costs = np.mean([_cost(s, kept, protocol) for s, kept in zip(by_seed, shown, strict=True)], axis=0)
        lines.append([variant, name, *costs, *_scores(runs[name, budget])])
    return pd.DataFrame(lines, columns=COLUMNS), runs


def _points(gates: Sequence[str], budgets: Sequence[float]) -> list[tuple[str, float]]:
    between = [(name, budget) for name in gates for budget in budgets if 0 < budget < 1]
    return [(NONE, 0.0), *between, (NONE, 1.0)]


def _cost(stages: Stages, shown: Sequence[np.ndarray], protocol: Protocol) -> list[float]:
    """Share of the video, passes, and TFLOP of stage 2 an hour."""
    touched = visited = clips = frames = seconds = 0
    for one, kept in zip(stages.test, shown, strict=True):
        under = np.zeros(len(one.scores), bool)
        for start, stop in one.spans[kept]:
            under[start:stop] = True
        touched, visited = touched + under.sum(), visited + np.diff(one.spans[kept], axis=1).sum()
        clips, frames = clips + kept.sum(), frames + len(under)
        seconds += one.proposed.recording.seconds
    settings, (width, height) = protocol.embedder, stages.test[0].proposed.recording.frame_size
    _, each = embedder_class(settings.model).cost(settings, protocol.clips, (height, width))
    return [touched / frames, visited / frames, clips * each / seconds * 3600]


def _scores(runs: Sequence[Run]) -> list[float]:
    """F1 with its interval, MAP and bout F1, means over seeds."""
    weights, f1, others = whole_and_drawn(len(runs[0].videos)), [], []
    for run in runs:
        true, labels, scores = ([getattr(v, field) for v in run.videos] for field in ("true", "labels", "scores"))
        f1.append(weighted_metrics(true, labels, None, run.classes, weights)["f1"])
        ranked = evaluate(true, labels, scores, run.classes)["map"]
        others.append([ranked, float(found_bouts(true, labels, run.classes)["bout_f1_50"][0])])
    mean = np.mean(f1, axis=0)
    between = interval(mean[1:]) if len(runs[0].videos) >= LEAST_VIDEOS else None
    return [mean[0], *((between.low, between.high) if between else (np.nan, np.nan)), *np.mean(others, axis=0)]


def areas(table: pd.DataFrame) -> pd.DataFrame:
    """Mean F1, MAP and bout F1 of each gate over the share of video, from none to all clips: a line a gate."""
    ends, found = table[table["gate"] == NONE], {}
    for name in table["gate"].unique():
        if name != NONE:
            curve = pd.concat([ends, table[table["gate"] == name]]).sort_values("share_of_video")
            shares = curve["share_of_video"].to_numpy()
            found[name] = {m: gate.area(shares, curve[m].to_numpy()) for m in ("f1", "map", "bout_f1")}
    return pd.DataFrame.from_dict(found, "index")


def gained(runs: Mapping[tuple[str, float], Sequence[Run]], gates: Sequence[str], budget: float) -> pd.DataFrame:
    """How much F1 stage 2 adds to poses alone, paired by video: shown everything, and what each gate lets through.

    Columns value, low, high and n_videos, as of `results.difference`.
    """
    alone = runs[NONE, 0.0]
    wanted = {f"{name}, {budget:.0%} of the clips": runs[name, budget] for name in gates} | {DENSE: runs[NONE, 1.0]}
    told = {name: results.difference(found, alone) for name, found in wanted.items()}
    return pd.DataFrame.from_dict(told, "index", columns=["value", "low", "high", "n_videos"])


def guarantee(stages: Stages, name: str, data: Dataset, label: Labels = most_probable) -> Guarantee:
    """The least budget at which a gate is certain to lose no more than `gate.LOSS` of the dense variant's F1.

    By Learn then Test over the test videos as calibration videos, from all clips downwards; the loss of a video is that
    of its own F1 over the behaviours that occur in it. The place is that of `BUDGETS` from its end.
    """
    values = values_of(stages, [name], label)[name]
    scored = [
        [
            _own_f1(v.true, v.labels, data.classes)
            for v in run_at(stages, shown_at(stages, values, b), data, label).videos
        ]
        for b in BUDGETS[::-1]
    ]
    losses = np.clip(np.array(scored[0])[:, None] - np.array(scored).T, 0, 1)
    return gate.learn_then_test(losses)


def _own_f1(true: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> float:
    """Of one video, the mean over the behaviours that occur in it; 1 if none does."""
    told = evaluate([true], [labels], None, classes)
    known = [told[f"f1_{classes[k]}"] for k in np.unique(true) if classes[k] != "other"]
    return float(np.mean(known)) if known else 1.0


def risk_coverage(stages: Stages, gates: Sequence[str], label: Labels = most_probable) -> dict[str, tuple]:
    """Coverage and risk, (N,) each, of stage 1 on the test proposals it keeps, those each gate would show last."""
    values = values_of(stages, gates, label)
    parts = [s.proposed for s in stages.test]
    spans = [p for part in parts for p in part.proposals]
    frames = np.array([p.stop - p.start for p in spans], float)
    right = [gate.right_share(label(s.scores), s.proposed.recording.labels, s.proposed.proposals) for s in stages.test]
    wrong = 1 - np.concatenate(right)
    return {name: gate.risk_coverage(found / frames, wrong, frames) for name, found in values.items()}
