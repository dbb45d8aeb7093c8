"""Sentences made from results: words that compare follow from their numbers, so that no page says more than its table.

All are HTML paragraphs or lists, which pages of the book include.
"""

import html
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mbrepro.data.recordings import Dataset
from mbrepro.method import gate
from mbrepro.method.gate import Guarantee
from mbrepro.metrics.resampling import LEAST_VIDEOS, RESAMPLES
from mbrepro.study import ablations, beyond, gate_curves, poster
from mbrepro.study.gated import FEWEST, Stages
from mbrepro.study.two_stages import ALWAYS


def result(table: pd.DataFrame, row: str, source: str) -> str:
    """What a row's page starts with: F1 under the corrected protocol beside the published one and the trivial answer.

    table: rows of results, `two_stages.ALWAYS` among the protocols. source: of the recordings. Few-shot has other
    behaviours as published.
    """
    f1 = table[(table["row"] == row) & (table["metric"] == "calms21_f1")].set_index("protocol")["mean"].astype(float)
    one = f1.get("corrected")
    before = None if row == "few_shot" else f1.get("published")
    about = f"{poster.TITLES[row]}, corrected, has an F1 of"
    first = compared(about, one, before, "of the published protocol, in the same metric")
    second = compared("It is" if first else about, one, f1.get(ALWAYS), "of always saying the most frequent behaviour")
    said = " ".join(filter(None, (first, second))) or "The corrected row has not been run."
    return f'<p class="mb-result"><strong>Result, {source} recordings.</strong> {html.escape(said)}</p>'


def how_sure(table: pd.DataFrame) -> str:
    """A line a row: how far seeds move the corrected protocol's F1, and how well the test videos tell its mean."""
    rows, lines = table[(table["protocol"] == "corrected") & (table["metric"] == "f1")], []
    for row in rows.itertuples():
        spread = f"{row.n_seeds} seeds differ by ±{row.sd:.3f} in F1" if row.n_seeds > 1 else "one seed"
        between = f"the 95 % interval of the mean by video is {row.low:.2f} to {row.high:.2f} ({_videos(row.n_videos)})"
        if row.n_videos < LEAST_VIDEOS:
            between = f"{_videos(row.n_videos)}, too few for an interval"
        elif row.undefined:
            between += f", {row.undefined} of {RESAMPLES:,} resamples having no value"
        lines.append(f"{poster.TITLES[row.row]}: {spread}; {between}.")
    return _list(lines)


def lead(difference: Mapping[str, float] | None, source: str) -> str:
    """How the baseline stands to the corrected two stages on the same test videos (`results.difference` of F1).

    difference: None if one of the two rows has not been run. source: of the recordings.
    """
    if difference is None:
        return _paragraph("The corrected two stages and the baseline have not both been run.")
    value, low, high, videos = (difference[name] for name in ("value", "low", "high", "n_videos"))
    verb = "leads" if round(value, 2) > 0 else "trails" if round(value, 2) < 0 else "equals"
    by = "" if verb == "equals" else f" by {abs(value):.2f}"
    told = (
        f"On the same {_videos(videos)} ({source}) the baseline, which looks at poses alone, {verb} the corrected two "
        f"stages{by} in F1"
    )
    if np.isnan(low):
        return _paragraph(f"{told}; they are too few for an interval.")
    apart = low > 0 or high < 0
    sure = "which excludes 0" if apart else "which includes 0: these videos do not tell the two apart"
    return _paragraph(f"{told}; the 95 % interval of the mean difference by video is {low:.2f} to {high:.2f}, {sure}.")


def gains(differences: Mapping[str, Mapping[str, float]], one: str, other: str) -> str:
    """A line a metric, by its title: how much more `one` scores than `other` (`results.difference`), and how sure."""
    return _list(_gained(differences, one, other))


def _gained(differences: Mapping[str, Mapping[str, float]], one: str, other: str) -> list[str]:
    lines = []
    for title, told in differences.items():
        line = f"{title}: {one} minus {other} is {told['value']:+.3f}"
        if np.isnan(told["low"]):
            lines.append(f"{line}; {_videos(told['n_videos'])}, too few for an interval.")
            continue
        sure = "excludes" if told["low"] > 0 or told["high"] < 0 else "includes"
        between = f"the 95 % interval by video, {told['low']:+.3f} to {told['high']:+.3f}"
        lines.append(f"{line}; {between}, {sure} 0 ({_videos(told['n_videos'])}).")
    return lines


def corrections(table: pd.DataFrame, glued: Mapping[str, str], ablation: pd.DataFrame | None) -> str:
    """What the corrections change: end to end, against the poses of the same clips, in video looked at, and few-shot.

    glued: numbers of pages 04 (watched_published, watched_corrected) and 05 (few_shot_always). ablation: the recorded
    table of `ablations`. What was not run or not recorded is not spoken of.
    """
    f1 = table.set_index(["row", "protocol", "metric"])["mean"].astype(float)
    control = (None, None) if ablation is None else ablations.control(ablation)
    watched = [float(glued.get(f"watched_{protocol}", "nan")) for protocol in ("corrected", "published")]
    lines = [
        compared("End to end the corrected protocol has an F1 of", f1.get(("pose_vlm", "corrected", "f1")),
                  f1.get(("pose_vlm", "published", "calms21_f1")), "of the published one on the same metric"),
        compared("Naming the demo's clips (recorded, page 10), poses of the same clips under the same head have an "
                  "F1 of", *control, "of the embedding that the corrected protocol reads"),
        compared("The clips of the corrected protocol cover", *watched, "that those of the published one cover",
                  " of the test recordings", ".0%"),
        compared("Few-shot, corrected, has an F1 of", f1.get(("few_shot", "corrected", "f1")),
                  float(glued.get("few_shot_always", "nan")), "that calling every frame the behaviour has"),
    ]  # fmt: skip
    return _list([line for line in lines if line])


def held_out(data: Dataset, localizer: str, way: str, stages: Stages | None) -> str:
    """What was chosen on train animals that are held out in turn; stages: None if too few have video for that."""
    animals = len({r.animal for r in data.train if r.video is not None})
    lines = [f"Stage 1, chosen as on the page before: {localizer}, {way}."]
    if stages is None:
        few = f"Train animals with video: {animals}, and with fewer than {FEWEST} none can be held out"
        return _list([*lines, f"{few}: nothing of stage 2 can be fitted here, and what needs it has no value."])
    lines.append(f"Stage 2, chosen on {animals} train animals with video: the head {stages.head} on {stages.view}.")
    return _list(lines)


def two_stages(runs: gate_curves.Runs, budget: float, table: pd.DataFrame) -> str:
    """What the chosen budget shows of the video, and what the gated and the dense variant add to poses alone."""
    alone, gated, dense = (runs[gate_curves.point(spent)] for spent in (0.0, budget, 1.0))
    line = table.iloc[list(runs).index(gate_curves.point(budget))]
    lines = [
        f"The budget chosen is {budget:.0%} of the clips' time. It shows {line['share_of_video']:.0%} of the test "
        f"video in {line['passes']:.2f} passes, at {line['tflop_per_hour']:.3g} TFLOP an hour of recording."
    ]
    lines += _gained(beyond.differences(gated, alone), "the gated two stages", "poses alone")
    lines += _gained(beyond.differences(dense, alone), "the dense two stages", "poses alone")
    return _list(lines)


def gates(areas: pd.DataFrame, promised: Guarantee) -> str:
    """Which gate's curve lies highest, and what a threshold may promise with so few videos.

    areas: as of `gate_curves.areas`.
    """
    f1, best = areas["f1"], areas["f1"].drop("oracle").idxmax()
    lines = [
        compared("Over the share of video, the difference gate has a mean F1 of", f1["difference"], f1[name],
                  f"of {name}", form=".3f")
        for name in ("confidence", "margin", "random", "oracle")
    ]  # fmt: skip
    lines.append(f"Of the gates that know no labels, {best} has the highest.")
    asked = f"at most {gate.LOSS:.2f} of F1 with {gate.CERTAIN:.0%} certainty"
    few = f"; even without any loss that takes {promised.needed} calibration videos, and there are {promised.videos}"
    if promised.place is None:
        why = few if promised.videos < promised.needed else ""
        lines.append(f"No threshold of the difference gate can be certified to cost {asked}{why}.")
    else:
        share = gate_curves.BUDGETS[::-1][promised.place]
        lines.append(f"Shown {share:.0%} of the clips the difference gate costs {asked} ({promised.videos} videos).")
    return _list(lines)


def compared(about: str, one: float | None, other: float | None, whose: str, of: str = "", form: str = ".2f") -> str:
    """ABOUT ONE OF, more than / less than / the same as the OTHER WHOSE; nothing if one of them is not known."""
    if one is None or other is None or np.isnan(one) or np.isnan(other):
        return ""
    said, beside = format(one, form), format(other, form)
    word = "the same as" if said == beside else "more than" if one > other else "less than"
    return f"{about} {said}{of}, {word} the {beside} {whose}."


def _videos(count: int) -> str:
    return f"{count} test video" + ("s" if count != 1 else "")


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _paragraph(line: str) -> str:
    return f"<p>{html.escape(line)}</p>"
