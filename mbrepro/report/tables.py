"""What tables of pages hold: recordings, and the recorded figures of the audit and of sparsity."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mbrepro.data.calms21.pairing import Pair
from mbrepro.data.labels import PERCENTILES
from mbrepro.data.recordings import OTHER, SPLITS, Dataset, runs
from mbrepro.study import audit, poster
from mbrepro.study.gate_curves import NONE
from mbrepro.study.stored import Sweep

POINTS = (
    "1 When clips are cut", "2 Clip accuracy", "3 The model", "4 Frames a clip", "5 Few-shot videos", "6 MAP",
    "7 Runs", "8 Length of a clip", "9 How sparse",
)  # fmt: skip
CLAIMS = (
    "frame / 60 s", ".47", "1536 values a clip", "5 s of video", "31 + 27 clips", ".52", "one, no interval", "5 s",
    "fast where nothing happens",
)  # fmt: skip
HOW_KNOWN = (
    "code for Task 3 and labels; inferred for Task 1", "labels", "published configurations", "code and labels",
    "the release", "the poster's confusion matrix", "labels", "labels", "labels",
)  # fmt: skip


def video_table(tasks: Mapping[str, Dataset], pairs: Mapping[str, Sequence[Pair]]) -> pd.DataFrame:
    """How many sequences of each behaviour have video, for the train and test split, and how they came by it.

    pairs: what was found among Task 1's recordings; empty if every recording has a video of its own.
    """
    lines = []
    for behaviour, dataset in tasks.items():
        for split in ("train", "test"):
            recordings = getattr(dataset, split)
            own = [pair for pair in pairs.get(behaviour, ()) if pair.split == split]
            frames = [len(recording) for recording in recordings if recording.video is not None]
            line = {"behaviour": behaviour, "split": split, "sequences": len(recordings)}
            line |= {"with video": len(frames), "frames with video": f"{sum(frames):,}"}
            if pairs:
                found = [f"{pair.sequence} in {pair.video_of}" for pair in own if pair.video_of]
                without = [f"{pair.sequence}, as {pair.leak}" for pair in own if pair.leak]
                line["found in Task 1"] = ", ".join(found) or "none"
                line["without its video"] = "; ".join(without) or "none"
            lines.append(line)
    return pd.DataFrame(lines)


def class_table(*datasets: Dataset) -> pd.DataFrame:
    """Videos, frames and share of frames of each behaviour, for the train and test split of each dataset."""
    lines = []
    for dataset in datasets:
        for split in ("train", "test"):
            recordings = getattr(dataset, split)
            if not recordings:  # one's own, scored by folds
                continue
            labels = np.concatenate([r.labels for r in recordings])
            minutes = sum(r.seconds for r in recordings) / 60
            for value, name in enumerate(dataset.classes):
                if len(datasets) > 1 and name == OTHER:
                    continue
                frames = (labels == value).sum()
                bouts = sum(label == value for r in recordings for *_, label in runs(r.labels))
                line = (name, split, len(recordings), f"{minutes:.1f}", f"{frames:,}")
                lines.append((*line, f"{frames / len(labels):.1%}", bouts))
    columns = ["class", "split", "videos", "minutes", "frames", "share of frames", "bouts"]
    return pd.DataFrame(lines, columns=columns)


def clip_table(found: Mapping) -> pd.DataFrame:
    """Shares of clips that show their label's behaviour, by split and way of cutting, with intervals by video."""
    columns = {
        "most frequent behaviour is the label": "same", "most frequent class is the label": "same_of_all_classes",
        "no behaviour at all": "nothing",
    }  # fmt: skip
    lines = []
    for split in SPLITS:
        told = found[split]["clips"]
        for cut, title in audit.CUT_TITLES.items():
            line = {"": f"{split}, {told['clips']} clips", "clips": title}
            lines.append(line | {column: _percent(told[cut][key]) for column, key in columns.items()})
    return pd.DataFrame(lines)


def _percent(share: Mapping[str, float]) -> str:
    return f"{share['value']:.1%} ({share['low']:.0%} – {share['high']:.0%})"


def end_to_end_table(clips: Mapping, always: Mapping, human: Mapping) -> pd.DataFrame:
    """Frame F1 of the poster beside what its clips allow two perfect stages: three behaviours, and four classes.

    human: the metrics of two people (`people.compared`).
    """
    rows = {
        "poster, from its confusion matrix": poster.readings(),
        f"perfect stages, clips {audit.CUT_TITLES['as_cut']}": _values(clips["as_cut"]["end_to_end"]),
        "the same, guessing where that pays": _values(clips["as_cut"]["guesser_end_to_end"]),
        f"perfect stages, clips {audit.CUT_TITLES['cut_right']}": _values(clips["cut_right"]["end_to_end"]),
        "perfect stage 1, then always investigation": always,
        "two people, on other recordings": _values(human),
    }
    names = {"f1": "F1 of 3 behaviours", "macro_f1": "F1 of 4 classes"}
    return pd.DataFrame(rows).T[list(names)].rename(columns=names)


def mouse071_tables(own: Mapping[str, float]) -> dict[str, pd.DataFrame]:
    """The author's own predictions for one video: stage 1, and both stages beside always saying investigation."""
    stage1 = {name: name for name in ("accuracy", "precision", "recall")} | {"F1": "f1", "AP of bare labels": "ap"}
    both = {"accuracy": "accuracy", "F1 of 3 behaviours": "f1", "F1 of 4 classes": "macro_f1"}
    lines = {"author's predictions": "", "same stage 1, always investigation": "always_investigation_"}
    rows = {title: {shown: own[prefix + name] for shown, name in both.items()} for title, prefix in lines.items()}
    first = {"stage 1 on mouse071": {shown: own[f"stage1_{name}"] for shown, name in stage1.items()}}
    return {"stage 1": pd.DataFrame(first).T, "both stages": pd.DataFrame(rows).T}


def clip_accuracies(clips: Mapping) -> dict[str, Mapping | float]:
    """Accuracy over test clips of who always says one thing, of the poster, and of observers that never err."""
    return {
        "always investigation": clips["always"],
        "the poster (paper's text)": 0.47,
        "perfect observer, clips cut at frame / 60": clips["as_cut"]["same"],
        "the same, guessing where that pays": clips["as_cut"]["guesser"],
        "perfect observer, clips cut at the true time": clips["cut_right"]["same"],
    }


def shorter_table(found: Mapping) -> pd.DataFrame:
    """Share of bouts shorter than the time between two of the frames the model is shown, by behaviour and split."""
    return pd.DataFrame({split: _values(found[split]["frames"]["bouts_shorter"]) for split in SPLITS})


def nine_points(found: Mapping, sparse: Mapping) -> pd.DataFrame:
    """The audit in nine lines, from both pages' recorded figures: poster, measurement, and how it is known."""
    told, videos = poster.readings(), audit.released_videos()
    clip, frames = found["test"]["clips"], found["test"]["frames"]
    attack, bouts = found["test"]["concentration"]["attack"], sparse["test"]["bouts"]["all"]
    skip, under_clips = sparse["test"]["skippable"], sparse["test"]["touched_5s"]
    same = [f"{clip[name]['same']['value']:.1%}" for name in audit.CUTS]
    said = [
        f"{same[0]} of clips show their label's behaviour, {same[1]} if cut right",
        f"{clip['always']['value']:.3f} by always saying {clip['most_frequent']}",
        f"only {', '.join(audit.checkpoints(audit.POSTER_WIDTH))} has {audit.POSTER_WIDTH}; no Qwen2.5-VL does",
        f"{frames['frames']} frames {frames['spacing_s']:.2f} s apart; "
        f"{frames['bouts_shorter']['all']['value']:.1%} of bouts are shorter than that",
        f"{videos['task3']} of the {sum(videos.values())} released videos are Task 3's",
        f"{told['macro_precision']:.3f} is precision over 4 classes; F1 over 3 behaviours is {told['f1']:.3f}",
        f"attack occurs in {attack['videos']} of {attack['of']} videos, {attack['largest_share']:.0%} of it in one",
        f"{bouts['under_5s']['value']:.1%} of bouts are shorter, {bouts['under_1s']['value']:.0%} last under 1 s",
        f"{skip['value']:.1%} of frames can be skipped, {1 - under_clips['gap_0s']['value']:.1%} with 5 s clips",
    ]
    return pd.DataFrame({"": POINTS, "the poster": CLAIMS, "measured": said, "how it is known": HOW_KNOWN})


def by_protocol(rows: pd.DataFrame, metrics: Mapping[str, str]) -> pd.DataFrame:
    """A line a protocol of one row of results: mean ± sd over seeds and interval by video of metrics, by their titles.

    rows: as of `results.score`. One seed has no sd, and too few videos have no interval.
    """
    lines = {}
    for (protocol, metric), told in rows.set_index(["protocol", "metric"]).iterrows():
        if metric in metrics:
            spread = f" ± {told['sd']:.3f}" if told["n_seeds"] > 1 else ""
            between = "" if np.isnan(told["low"]) else f" [{told['low']:.2f}, {told['high']:.2f}]"
            said = "not defined" if np.isnan(told["mean"]) else f"{told['mean']:.3f}{spread}{between}"
            lines.setdefault(protocol.replace("_", ", "), {})[metrics[metric]] = said
    return pd.DataFrame(lines).T.reindex(columns=list(metrics.values())).fillna("")


_SCORES = {"f1": "F1", "map": "MAP", "ap": "average precision"}


def laws_table(laws: pd.DataFrame) -> pd.DataFrame:
    """A line a score of `learning_curve.extrapolated`: labelled and measured now, and what the power law says."""
    titles = {0: "the trial", 1: "its fit now", 2: "twice as much", 4: "four times as much"}
    lines = {}
    for row in laws.itertuples():
        metric, _, behaviour = row.score.replace("bout_f1_50", "bout F1").partition("_")
        line = lines.setdefault(f"{_SCORES.get(metric, metric)} {behaviour}".strip(), {})
        if row.times < 2:
            line |= {"labelled": f"{row.amount:,.0f} {row.by.split('_')[0]}", "measured": f"{row.measured:.3f}"}
        line[titles[row.times]] = f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
    return pd.DataFrame(lines).T.fillna("")


def skipped_table(found: Mapping) -> pd.DataFrame:
    """Share of frames that need not be looked at, by split, with intervals by video."""
    rows = {"a perfect localizer, frame by frame": {split: found[split]["skippable"] for split in SPLITS}}
    for gap in (0, 1, 2):
        title = "with clips of 5 s" + (f", gaps up to {gap} s closed" if gap else "")
        rows[title] = {split: _rest(found[split]["touched_5s"][f"gap_{gap}s"]) for split in SPLITS}
    return pd.DataFrame(rows).T.map(_percent).rename_axis("what can be skipped").reset_index()


def _rest(share: Mapping[str, float]) -> dict[str, float]:
    return {"value": 1 - share["value"], "low": 1 - share["high"], "high": 1 - share["low"]}


def windows_table(found: Mapping) -> pd.DataFrame:
    """Best F1 with one label a window, by length and split, with intervals by video."""
    f1 = pd.DataFrame({split: found[split]["windows"] for split in SPLITS})
    table = f1.map(lambda v: f"{v['value']:.3f} ({v['low']:.2f} – {v['high']:.2f})")
    table = table.sort_index(key=lambda names: names.str.rstrip("s").astype(float))
    return table.rename(index=lambda name: f"{name[:-1]} s").rename_axis("window").reset_index()


def transition_table(following: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Of each class's runs the share followed by a run of each other class, a line a class."""
    return pd.DataFrame(following).T


def durations_table(statistics: Mapping[str, Mapping]) -> pd.DataFrame:
    """Percentiles of durations (s) of bouts and of the gaps between them, by split."""
    wanted = [f"p{percent:02d}" for percent in PERCENTILES]
    rows = {}
    for split, told in statistics.items():
        for name, values in {**told["bouts"], "gap between bouts": told["gaps"]}.items():
            rows[f"{split}: {name}"] = {"n": f"{values['n']:,}"} | {p: f"{values[p]:.2f}" for p in wanted}
    return pd.DataFrame(rows).T.rename_axis("seconds").reset_index()


def gate_table(curves: pd.DataFrame) -> pd.DataFrame:
    """What the difference gate and the ends of `gate_curves.curves` show, its cost, and how good labels then are."""
    rows = curves[curves["gate"].isin([NONE, "difference"])]
    return pd.DataFrame(
        {
            "shown to stage 2": rows["variant"].replace({"gated": "what the gate chooses"}),
            "of the video": rows["share_of_video"].map("{:.0%}".format),
            "passes": rows["passes"].map("{:.2f}".format),
            "TFLOP an hour": rows["tflop_per_hour"].map("{:.2f}".format),
            "F1": [f"{r.f1:.3f} [{r.low:.2f}, {r.high:.2f}]" for r in rows.itertuples()],
            "MAP": rows["map"],
            "bout F1": rows["bout_f1"],
        }
    )


def sweep_table(found: Sequence[Sweep]) -> pd.DataFrame:
    """A line for each run of some sweeps: its row, what it was given, F1 and MAP with their intervals by video."""
    lines = []
    for sweep in found:
        for run, line in sweep.table.iterrows():
            given = {**sweep.fixed, **{name: line[name] for name in sweep.factors}}
            told = {"row": f"{poster.TITLES[sweep.row]}, {sweep.protocol}", "run": run}
            told["given"] = ", ".join(f"{name} {value}" for name, value in given.items())
            for metric in ("f1", "map"):
                low, high = line[f"{metric}_low"], line[f"{metric}_high"]
                between = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
                told[metric.upper()] = f"{line[metric]:.3f} ± {line[f'{metric}_sd']:.3f}{between}"
            lines.append(told)
    return pd.DataFrame(lines, columns=["row", "run", "given", "F1", "MAP"])


def _values(named: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: value["value"] for name, value in named.items()}
