"""How good labels are against how much of the video stage 2 was shown, gate by gate: the study's central figure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mbrepro import paths
from mbrepro.data.recordings import Dataset
from mbrepro.data.recordings import runs as track_runs
from mbrepro.embedding import embedder_class
from mbrepro.errors import InputError
from mbrepro.method import gate
from mbrepro.method.gate import Guarantee
from mbrepro.method.protocols import Protocol
from mbrepro.metrics.agreement import TOLERANCES
from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.frames import evaluate, weighted_metrics
from mbrepro.metrics.resampling import interval, whole_and_drawn
from mbrepro.study import results
from mbrepro.study.gated import Staged, Stages, run_at, runs_at, shown_at
from mbrepro.study.results import Run

BUDGETS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # shares of the seconds of all clips
STOPS = tuple(k / 10 for k in range(11))  # budgets that a reader may set, all of the above among them
ALONE, GATED, DENSE = "poses alone", "gated", "dense"
NONE = "none"  # the gate of both ends
CHOSEN = "difference"
POINTS = ["share_of_video", "passes", "tflop_per_hour", "f1", "low", "high", "map", "bout_f1"]
COLUMNS = ["variant", "gate", *POINTS]
ROW, DENSE_ROW = ("pose_vlm", "beyond"), ("pose_vlm", "beyond_dense")  # of the study's table
TITLES = {ROW[1]: GATED, DENSE_ROW[1]: DENSE}  # what a page calls them, whose "beyond" would be poses alone
Runs = Mapping[tuple[str, float], list[Run]]  # by gate and budget, a run a seed


def curves(
    stages: Stages, values: Sequence[Mapping[str, np.ndarray]], data: Dataset, protocol: Protocol,
    budgets: Sequence[float] = BUDGETS,
) -> tuple[pd.DataFrame, Runs]:  # fmt: skip
    """The rows (`COLUMNS`) of every gate under every budget, means over seeds, and the predictions behind each.

    values: by gate, of `gated.gate_values`, for each seed. share_of_video: of the test recordings' frames, those under
    a clip that is shown; passes: frames under such clips, each as often as it is, by all frames; tflop_per_hour: of
    stage 2, an hour of recording; f1 (CalMS21's) with its interval by video, NaN under `resampling.LEAST_VIDEOS`; map;
    bout_f1 at a tIoU of .5. The dense variant is shown everything that stage 1 proposes; both ends have no gate.
    """
    lines, runs = [], {}
    for name, budget in _points(list(values[0]), budgets):
        by = [part[CHOSEN if name == NONE else name] for part in values]
        shown = [shown_at(part, one, budget) for part, one in zip(stages.test, by, strict=True)]
        runs[name, budget] = runs_at(stages, shown, data)
        variant = {0.0: ALONE, 1.0: DENSE}.get(budget, GATED)
        lines.append(line(variant, name, stages, shown, runs[name, budget], protocol))
    return pd.DataFrame(lines, columns=COLUMNS), runs


def line(
    variant: str, gate: str, stages: Stages, shown: Sequence[Sequence[np.ndarray]], runs: Sequence[Run],
    protocol: Protocol,
) -> list:  # fmt: skip
    """A line of `curves`: what is shown of the test recordings, for each seed, and how good the runs are."""
    costs = [_cost(*pair, protocol) for pair in zip(stages.test, shown, strict=True)]
    return [variant, gate, *np.mean(costs, axis=0), *_scores(runs)]


def _points(gates: Sequence[str], budgets: Sequence[float]) -> list[tuple[str, float]]:
    between = [(name, budget) for name in gates for budget in budgets if 0 < budget < 1]
    return [(NONE, 0.0), *between, (NONE, 1.0)]


def _cost(parts: Sequence[Staged], shown: Sequence[np.ndarray], protocol: Protocol) -> list[float]:
    """Share of the video, passes, and TFLOP of stage 2 an hour."""
    touched, visited, frames, seconds = 0, 0, 0, 0.0
    lengths: list[float] = []
    for one, kept in zip(parts, shown, strict=True):
        under = np.zeros(len(one.scores), bool)
        for start, stop in one.spans[kept]:
            under[start:stop] = True
        touched, visited = touched + under.sum(), visited + np.diff(one.spans[kept], axis=1).sum()
        own = protocol.clips.seconds if one.seconds is None else one.seconds
        lengths += np.broadcast_to(own, len(kept))[kept].tolist()
        frames, seconds = frames + len(under), seconds + one.proposed.recording.seconds
    tflop = sum(lengths.count(length) * _tflop(parts[0], protocol, length) for length in set(lengths))
    return [touched / frames, visited / frames, tflop / seconds * 3600]


def _tflop(one: Staged, protocol: Protocol, seconds: float) -> float:
    """Of one clip so long."""
    settings, (width, height) = protocol.embedder, one.proposed.recording.frame_size
    clips = replace(protocol.clips, seconds=seconds)
    return embedder_class(settings.model).cost(settings, clips, (height, width))[1]


def _scores(runs: Sequence[Run]) -> list[float]:
    """F1 with its interval, MAP and bout F1, means over seeds: a tenth of what `results.score` measures."""
    weights, f1, others = whole_and_drawn(len(runs[0].videos)), [], []
    for run in runs:
        true, labels, scores = run.arrays()
        f1.append(_f1(run, weights))
        ranked = evaluate(true, labels, scores, run.classes)["map"]
        others.append([ranked, float(found_bouts(true, labels, run.classes)["bout_f1_50"][0])])
    mean = np.mean(f1, axis=0)
    low, high, _ = interval(mean[1:], len(runs[0].videos))
    return [mean[0], low, high, *np.mean(others, axis=0)]


def stops(
    stages: Stages, values: Sequence[Mapping[str, np.ndarray]], data: Dataset, protocol: Protocol
) -> tuple[dict[str, object], pd.DataFrame]:  # fmt: skip
    """All it takes to score the difference gate again at each of `STOPS`, as plain lists, and what `curves` says there.

    A track is its runs' lengths and values, flat: l, v, l, v… Of each recording, true labels, and for each seed the
    labels at each stop and "first", the first stop at which a shown clip lies over a frame (`len(STOPS)`: none does).
    clips: for each seed, how many are shown at each stop. Labels are kept, not scores: some ways of taking labels look
    at a whole recording at once.
    """
    only = [{CHOSEN: part[CHOSEN]} for part in values]
    table, runs = curves(stages, only, data, protocol, STOPS)
    by = list(runs.values())  # a stop, a seed
    bought = [
        [shown_at(part, one[CHOSEN], stop) for stop in STOPS] for part, one in zip(stages.test, only, strict=True)
    ]
    recordings = [
        {
            "name": one.proposed.recording.name,
            "fps": float(one.proposed.recording.fps),
            "true": _flat(by[0][0].videos[k].true),
            "labels": [[_flat(found[seed].videos[k].labels) for found in by] for seed in range(len(only))],
            "first": [_flat(_first(part[k], [s[k] for s in b])) for part, b in zip(stages.test, bought, strict=True)],
        }
        for k, one in enumerate(stages.test[0])
    ]  # fmt: skip
    kept = {
        "classes": list(data.classes), "stops": list(STOPS), "tolerances": [0.0, *TOLERANCES], "recordings": recordings,
        "clips": [[int(sum(map(np.sum, at))) for at in part] for part in bought],
        "tflop": _tflop(stages.test[0][0], protocol, protocol.clips.seconds),
        "seconds": sum(one.proposed.recording.seconds for one in stages.test[0]),
    }  # fmt: skip
    return kept, table


def _first(one: Staged, shown: Sequence[np.ndarray]) -> np.ndarray:
    """(T,) the first of the ascending stops, each with its clips (N,), at which one of these lies over a frame."""
    first = np.full(len(one.scores), len(shown))
    for stop in reversed(range(len(shown))):
        for start, end in one.spans[shown[stop]]:
            first[start:end] = stop
    return first


def _flat(track: np.ndarray) -> list[int]:
    return [part for start, end, value in track_runs(track) for part in (end - start, value)]


def choose_budget(
    stages: Stages, held_out: np.ndarray, data: Dataset, protocol: Protocol, share: float,
    budgets: Sequence[float] = BUDGETS,
) -> float:  # fmt: skip
    """Of the budgets at which train recordings show at most a share of their video, that of the highest F1 there.

    held_out: values of their proposals by `gated.gate_values`. Raises InputError for a share not between 0 and 1.
    """
    if not 0 < share < 1:
        raise InputError(f"share must lie between 0 and 1, not {share}")
    f1 = {}
    for budget in budgets:
        shown = shown_at(stages.train, held_out, budget)
        if _cost(stages.train, shown, protocol)[0] <= share:
            true, labels, _ = run_at(stages.train, shown, stages, data).arrays()
            f1[budget] = evaluate(true, labels, None, data.classes)["f1"]
    return max(f1, key=f1.get)


def point(budget: float) -> tuple[str, float]:
    """The difference gate under a budget, which at its ends needs no gate: a key of runs."""
    return CHOSEN if 0 < budget < 1 else NONE, budget


def record(runs: Runs, budget: float, data: Dataset, profile: str, run: str = "", **settings: object) -> pd.DataFrame:
    """Store the two stages under a budget and the dense variant in the study's table, and return their rows."""
    both = (ROW, runs[point(budget)], budget), (DENSE_ROW, runs[NONE, 1.0], 1.0)
    return pd.concat(
        [
            results.record(*row, found, profile, run, data.source, data.partial, budget=spent, **settings)
            for row, found, spent in both
        ],
        ignore_index=True,
    )


def leave_out(profile: str, run: str = "") -> pd.DataFrame:
    """Take out of the results what nothing can be fitted for; return the rows without values."""
    (paths.results(profile, run) / "sparsity.csv").unlink(missing_ok=True)
    return pd.concat([results.leave_out(*row, profile, run) for row in (ROW, DENSE_ROW)], ignore_index=True)


def areas(table: pd.DataFrame) -> pd.DataFrame:
    """Mean F1, MAP and bout F1 of each gate over the share of video, from none to all clips: a line a gate."""
    ends, found = table[table["gate"] == NONE], {}
    for name in table["gate"].unique():
        if name != NONE:
            curve = pd.concat([ends, table[table["gate"] == name]]).sort_values("share_of_video")
            shares = curve["share_of_video"].to_numpy()
            found[name] = {m: gate.area(shares, curve[m].to_numpy()) for m in ("f1", "map", "bout_f1")}
    return pd.DataFrame.from_dict(found, "index")


def area_gains(table: pd.DataFrame, runs: Runs) -> dict[str, dict[str, float]]:
    """How much higher the mean F1 of the difference gate's curve is than each other gate's, as `results.difference`.

    table, runs: of `curves`, whose shares of video are kept in every resample of the videos.
    """
    videos = len(runs[NONE, 0.0][0].videos)
    weights, drawn = whole_and_drawn(videos), {}
    shares = dict(zip(runs, table["share_of_video"], strict=True))
    scored = {at: np.mean([_f1(run, weights) for run in found], axis=0) for at, found in runs.items()}
    for name in dict.fromkeys(gate_ for gate_, _ in runs if gate_ != NONE):
        curve = sorted((at for at in runs if at[0] in (name, NONE)), key=lambda at: at[1])
        along = np.array([shares[at] for at in curve])
        drawn[name] = np.array([gate.area(along, f1) for f1 in np.transpose([scored[at] for at in curve])])
    gains = {name: drawn[CHOSEN] - found for name, found in drawn.items() if name != CHOSEN}
    return {
        name: dict(zip(("low", "high", "undefined"), interval(gain[1:], videos), strict=True))
        | {"value": float(gain[0]), "n_videos": videos}
        for name, gain in gains.items()
    }


def _f1(run: Run, weights: np.ndarray) -> np.ndarray:
    """(R,) under each line of weights (R, videos)."""
    true, labels, _ = run.arrays()
    return weighted_metrics(true, labels, None, run.classes, weights)["f1"]


def gain(runs: Runs, budget: float) -> dict[str, float]:
    """How much more F1 the gated two stages have under a budget than poses alone: `results.difference`."""
    return results.difference(runs[point(budget)], runs[NONE, 0.0])


def bounds(
    data: Dataset, alone: Sequence[Run], seconds: Mapping[str, Stages | None], others: Mapping[str, Sequence[Run]]
) -> pd.DataFrame:  # fmt: skip
    """What is added to poses alone by runs, and by other second stages shown everything; those that are None are left.

    A line each: F1, MAP, bout F1 at a tIoU of .5, and how much more F1 than poses alone, with the interval paired by
    video (`results.difference`).
    """
    runs = {ALONE: alone, **others}
    for name, stages in seconds.items():
        if stages is not None:
            everything = [[np.ones(len(one.spans), bool) for one in part] for part in stages.test]
            runs[name] = runs_at(stages, everything, data)
    lines = {}
    for name, found in runs.items():
        f1, _, _, ranked, bouts = _scores(found)
        more = more_f1(found, alone) if name != ALONE else ""
        lines[name] = {"F1": f1, "MAP": ranked, "bout F1": bouts, "F1 more": more}
    return pd.DataFrame.from_dict(lines, "index")


def more_f1(ours: Sequence[Run], others: Sequence[Run]) -> str:
    """`results.difference` of F1, as tables have it."""
    told = results.difference(ours, others)
    return f"{told['value']:+.3f} [{told['low']:+.3f}, {told['high']:+.3f}]"


def guarantee(runs: Runs, data: Dataset) -> Guarantee:
    """The least budget at which the gate is certain to lose no more than `gate.LOSS` of the dense variant's F1.

    By Learn then Test, with the test videos of the first seed for calibration videos, from all clips downwards; the
    loss of a video is that of its own F1 over the behaviours that occur in it. Nothing is chosen by it. The place is
    that of `BUDGETS` from its end.
    """
    scored = [
        [_own_f1(v.true, v.labels, data.classes) for v in runs[point(budget)][0].videos] for budget in BUDGETS[::-1]
    ]
    return gate.learn_then_test(np.clip(np.array(scored[0])[:, None] - np.array(scored).T, 0, 1))


def _own_f1(true: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> float:
    """Of one video, the mean over the behaviours that occur in it; 1 if none does."""
    told = evaluate([true], [labels], None, classes)
    known = [told[f"f1_{classes[k]}"] for k in np.unique(true) if classes[k] != "other"]
    return float(np.mean(known)) if known else 1.0


def risk_coverage(stages: Stages, values: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Coverage and risk, (N,) each, of stage 1 on the test proposals it keeps, those each gate would show last.

    values: by gate, of the first seed.
    """
    parts = stages.test[0]
    frames = np.array([p.stop - p.start for one in parts for p in one.proposed.proposals], float)
    right = [gate.right_share(stages.label(s.scores), s.proposed.recording.labels, s.proposed.proposals) for s in parts]
    wrong = 1 - np.concatenate(right)
    return {name: gate.risk_coverage(found / frames, wrong, frames) for name, found in values.items()}
