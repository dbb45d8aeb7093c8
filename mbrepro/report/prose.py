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
from mbrepro.study import ablations, beyond, gate_curves, learning_curve, poster
from mbrepro.study.gated import FEWEST, Stages
from mbrepro.study.two_stages import ALWAYS

MEANS = {"f1": "F1", "map": "MAP", "bout_f1_50": "bout F1"}
TRAINED = ("baseline", "localization")  # rows whose protocols differ in the passes of one network alone


def opening(source: str, told: str) -> str:
    """What a page starts with: its result in plain text, and of which recordings (`Dataset.source`) it is."""
    whose = source if source.startswith("your ") else f"{source} recordings"
    return f'<p class="mb-result"><strong>Result, {html.escape(whose)}.</strong> {html.escape(told)}</p>'


def result(table: pd.DataFrame, row: str, source: str) -> str:
    """What a row's page starts with: F1 under the corrected protocol beside the published one and the trivial answer.

    table: rows of results, `two_stages.ALWAYS` among the protocols. source: of the recordings. Few-shot has other
    behaviours as published.
    """
    f1 = table[(table["row"] == row) & (table["metric"] == "calms21_f1")].set_index("protocol")["mean"].astype(float)
    same = row in TRAINED and _alike(table[table["row"] == row])
    how = "in the same metric" + (", on clips of its own" if row == "clip" else "")
    others = {} if row == "few_shot" or same else {f"the published protocol, {how}": f1.get("published")}
    trivial = "calling every frame the behaviour" if row == "few_shot" else "always saying the most frequent behaviour"
    others[trivial] = f1.get(ALWAYS)
    one, about = f1.get("corrected"), poster.TITLES[row] + ("" if same else ", corrected,")
    beside = [_beside(one, other, f"of {whose}") for whose, other in others.items()]
    said = f"{about} has an F1 of {one:.2f}, {' and '.join(filter(None, beside))}." if any(beside) else ""
    if said and same:
        said += " The corrected protocol trains for as many passes as the published one, so their rows are identical."
    return opening(source, said or "The corrected row has not been run.")


def _alike(rows: pd.DataFrame) -> bool:
    """Whether both protocols have the same figures of everything that means the same in both."""
    by = rows.set_index(["protocol", "metric"])["mean"].astype(float).drop("map", level="metric", errors="ignore")
    one, other = (by.get(protocol, pd.Series(dtype=float)) for protocol in ("published", "corrected"))
    return len(one) > 0 and one.equals(other.reindex(one.index))


def beyond_result(differences: Mapping[str, Mapping[str, float]], source: str) -> str:
    """What the page of poses alone starts with: the chosen line against the corrected baseline, as of `gains`."""
    return opening(source, f"Of poses alone, {told_of(differences, 'the line beyond', 'the corrected baseline')}.")


def look_result(glued: Mapping[str, str], source: str) -> str:
    """What the gate's page starts with: whether a look at video adds to poses alone.

    glued: numbers of the page, `gate_curves.gain` as gate_more_…; without them nothing could be fitted.
    """
    if "gate_more_value" not in glued:
        return opening(source, "Too few train animals have video for a second stage, so nothing is measured here.")
    names = ("value", "low", "high", "n_videos")
    told = {name: float(glued[f"gate_more_{name}"]) for name in names}
    word = verdict_on(
        told, "adds to poses alone", "takes from what poses alone have", "adds nothing measurable to poses alone",
        "may add to poses alone or take from them, as too few videos are here to tell",
    )  # fmt: skip
    differs = told_of({"F1": told}, "the gated two stages", "poses alone")
    return opening(source, f"A look at video {word}: {differs}.")


def verdict_on(told: Mapping[str, float], above: str, below: str, neither: str, few: str) -> str:
    """The words for a difference whose interval lies above 0, below it or holds it, or that has none."""
    if np.isnan(told["low"]):
        return few
    return above if told["low"] > 0 else below if told["high"] < 0 else neither


def told_of(differences: Mapping[str, Mapping[str, float]], one: str, other: str) -> str:
    """ONE minus OTHER is so much in each metric, with the interval in brackets."""
    parts, videos = [], 0
    for title, told in differences.items():
        videos = int(told["n_videos"])
        between = "" if np.isnan(told["low"]) else f" [{told['low']:+.3f}, {told['high']:+.3f}]"
        parts.append(f"{told['value']:+.3f}{between} in {title}")
    how = f"95 % intervals by video, {_videos(videos)}" if "[" in parts[0] else f"{_videos(videos)}, no intervals"
    return f"{one} minus {other} is {' and '.join(parts)} ({how})"


def space_result(glued: Mapping[str, str], source: str) -> str:
    """What the page of the embedding space starts with: what fewer dimensions give, and what another head does.

    glued: numbers of the page, recalls of the nearest neighbour and the linear head as space_….
    """
    full, best, ridge = (float(glued.get(f"space_{name}", "nan")) for name in ("1_NN_full", "1_NN_best", "ridge_full"))
    told = compared("Fewer dimensions take the nearest neighbour's mean recall to", best, full, "of the whole space")
    more = compared("A linear head in the whole space has", ridge, best, "of the nearest neighbour at its best")
    return opening(source, " ".join(filter(None, (told, more))) or "No clip that holds a behaviour was found.")


def language_result(glued: Mapping[str, str], source: str) -> str:
    """What the page of captions starts with: what length of clip changes, and what the words tell.

    glued: numbers of the page, at the shortest and the longest clips.
    """
    names = ("silent_shortest", "silent_longest", "words_longest", "chance_longest")
    short, long, words, chance = (float(glued.get(f"language_{name}", "nan")) for name in names)
    told = compared(
        "To the longest clips the model gives no response in", long, short, "to the shortest", " of cases", ".0%"
    )
    about = "The words of their captions tell the behaviours with a mean recall of"
    more = compared(about, words, chance, "of chance, on few clips and without an interval")
    return opening(source, " ".join(filter(None, (told, more))) or "There was no clip to ask about.")


def ablation_result(ablation: pd.DataFrame | None) -> str:
    """What the page of ablations starts with: the best way to show and read clips beside poses of the same clips.

    ablation: the recorded table of `ablations`.
    """
    if ablation is None:
        return opening("simulated", "No ablation is recorded yet.")
    looked = ablation["F1"].drop("poses alone", level=0).astype(float)
    way = ", ".join(map(str, looked.idxmax()))
    about = f"In hindsight the best of {len(looked)} ways to show and read a clip ({way}) has an F1 of"
    told = compared(about, looked.max(), ablations.control(ablation)[0], "of the same clips' poses")
    return opening("simulated", told)


def labelled_enough(points: pd.DataFrame, laws: pd.DataFrame, source: str) -> str:
    """What the page of the learning curve starts with: from where on labels gain little, and how the trial went.

    points, laws: as of `learning_curve.curve` and `extrapolated`.
    """
    rows = laws[(laws["times"] == 0) & (laws["by"] == "minutes")]
    lines, failed = [], []
    for row in rows.itertuples():
        title = MEANS[row.score]
        word = "overshoots" if row.value > row.measured else "falls short"
        if row.low <= row.measured <= row.high:
            word = "holds"
        else:
            failed.append(title)
        lines.append(f"{title} {word} ({row.value:.3f} [{row.low:.3f}, {row.high:.3f}], measured {row.measured:.3f})")
    found = {title: learning_curve.enough(points, name) for name, title in MEANS.items()}
    most, within = found["F1"][1], learning_curve.NEAR
    said = f"Of {most:.0f} labelled minutes, F1 comes within {within} of what all give, and stays there, from "
    said += f"{found['F1'][0]:.0f} on, MAP from {found['MAP'][0]:.0f}, bout F1 from {found['bout F1'][0]:.0f}. "
    if not lines:
        return opening(source, said + "Too little is labelled to try a power law.")
    use = f" Do not use it here for {' and '.join(failed)}." if failed else ""
    return opening(source, f"{said}A power law's prediction of the last point: {'; '.join(lines)}.{use}")


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
    return bullets(lines)


def lead(difference: Mapping[str, float] | None, source: str) -> str:
    """How the baseline stands to the corrected two stages on the same test videos (`results.difference` of F1).

    difference: None if one of the two rows has not been run. source: of the recordings.
    """
    if difference is None:
        return paragraph("The corrected two stages and the baseline have not both been run.")
    value, low, high, videos = (difference[name] for name in ("value", "low", "high", "n_videos"))
    verb = "leads" if round(value, 2) > 0 else "trails" if round(value, 2) < 0 else "equals"
    by = "" if verb == "equals" else f" by {abs(value):.2f}"
    told = (
        f"On the same {_videos(videos)} ({source}) the baseline, which looks at poses alone, {verb} the corrected two "
        f"stages{by} in F1"
    )
    if np.isnan(low):
        return paragraph(f"{told}; they are too few for an interval.")
    apart = low > 0 or high < 0
    sure = "which excludes 0" if apart else "which includes 0: these videos do not tell the two apart"
    return paragraph(f"{told}; the 95 % interval of the mean difference by video is {low:.2f} to {high:.2f}, {sure}.")


def gains(differences: Mapping[str, Mapping[str, float]], one: str, other: str) -> str:
    """A line a metric, by its title: how much more `one` scores than `other` (`results.difference`), and how sure."""
    return bullets(_gained(differences, one, other))


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
    poses, clips = (None, None) if ablation is None else ablations.control(ablation)
    corrected, published = (float(glued.get(f"watched_{name}", "nan")) for name in ("corrected", "published"))
    lines = [
        compared("End to end the corrected protocol has an F1 of", f1.get(("pose_vlm", "corrected", "f1")),
                  f1.get(("pose_vlm", "published", "calms21_f1")), "of the published one on the same metric"),
        compared("Naming the demo's clips (recorded, page 10), poses of the same clips under the same head have an "
                  "F1 of", poses, clips, "of the embedding that the corrected protocol reads"),
        compared("The clips of the corrected protocol cover", corrected, published,
                  "that those of the published one cover", " of the test recordings", ".0%"),
        compared("Few-shot, corrected, has an F1 of", f1.get(("few_shot", "corrected", "f1")),
                  float(glued.get("few_shot_always", "nan")), "that calling every frame the behaviour has"),
    ]  # fmt: skip
    return bullets([line for line in lines if line])


def held_out(data: Dataset, localizer: str, way: str, stages: Stages | None) -> str:
    """What was chosen on train animals that are held out in turn; stages: None if too few have video for that."""
    animals = len({r.animal for r in data.train if r.video is not None})
    lines = [f"Stage 1, chosen as on the page before: {localizer}, {way}."]
    if stages is None:
        few = f"Train animals with video: {animals}, and with fewer than {FEWEST} none can be held out"
        return bullets([*lines, f"{few}: nothing of stage 2 can be fitted here, and what needs it has no value."])
    lines.append(f"Stage 2, chosen on {animals} train animals with video: the head {stages.head} on {stages.view}.")
    return bullets(lines)


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
    return bullets(lines)


def gates(areas: pd.DataFrame, gains: Mapping[str, Mapping[str, float]], promised: Guarantee) -> str:
    """How the difference gate's curve lies to the others', and what a threshold may promise with so few videos.

    areas, gains: as of `gate_curves.areas` and `area_gains`.
    """
    titles = {f"Mean F1 over the share of video, beside {name}": told for name, told in gains.items()}
    lines = _gained(titles, "the difference gate", "the other")
    f1 = areas["f1"].drop("oracle")
    apart = [name for name, told in gains.items() if name != "oracle" and (told["low"] > 0 or told["high"] < 0)]
    told = f"from {' and '.join(apart)} alone" if apart else "from none of them"
    if len(apart) == len(f1) - 1:
        told = "from all of them"
    best = f"Of the gates that know no labels, {f1.idxmax()} has the highest mean"
    lines.append(f"{best}; these videos tell the difference gate apart {told}.")
    asked = f"at most {gate.LOSS:.2f} of F1 with {gate.CERTAIN:.0%} certainty"
    few = f"; even without any loss that takes {promised.needed} calibration videos, and there are {promised.videos}"
    if promised.place is None:
        why = few if promised.videos < promised.needed else ""
        lines.append(f"No threshold of the difference gate can be certified to cost {asked}{why}.")
    else:
        share = gate_curves.BUDGETS[::-1][promised.place]
        lines.append(f"Shown {share:.0%} of the clips the difference gate costs {asked} ({promised.videos} videos).")
    return bullets(lines)


def needed(told: Mapping[str, float]) -> str:
    """Whether a localizer of its own brings anything: `results.difference` of F1, the four-class baseline minus it."""
    verdict = verdict_on(
        told, "the baseline is the better localizer", "the localizer is the better one",
        "a localizer of its own brings nothing that these videos show", "too few videos to tell them apart",
    )  # fmt: skip
    differs = told_of({"F1 of action": told}, "The baseline, its behaviours added up,", "the localizer")
    return paragraph(f"{differs}: {verdict}.")


def orders(rows: pd.DataFrame) -> str:
    """Whether precision and average precision put two localizers in the same order (`audit.binary_scores`)."""
    first, second = (rows[name].fillna(0).idxmax() for name in ("precision", "average precision"))
    if first == second:
        return paragraph(f"By both measures the leader here is: {first}. On other scores the two orders may differ.")
    return paragraph(f"The leader by precision is: {first}; by average precision: {second}.")


def falling(ceilings: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Whether shorter proposals allow more at every gap, as they do on real labels (`sparsity.ceilings`)."""
    every = [[told["value"] for told in by_length.values()] for by_length in ceilings.values()]
    falls = sum(line == sorted(line, reverse=True) for line in every)
    where = "at every gap" if falls == len(every) else f"at {falls} of {len(every)} gaps"
    return paragraph(f"Here shorter proposals allow more {where}; on real labels they do at every gap.")


def compared(about: str, one: float | None, other: float | None, whose: str, of: str = "", form: str = ".2f") -> str:
    """ABOUT ONE OF, more than / less than / the same as the OTHER WHOSE; nothing if one of them is not known."""
    beside = _beside(one, other, whose, form)
    return f"{about} {format(one, form)}{of}, {beside}." if beside else ""


def _beside(one: float | None, other: float | None, whose: str, form: str = ".2f") -> str:
    if one is None or other is None or np.isnan(one) or np.isnan(other):
        return ""
    said, beside = format(one, form), format(other, form)
    word = "the same as" if said == beside else "more than" if one > other else "less than"
    return f"{word} the {beside} {whose}"


def _videos(count: int) -> str:
    return f"{count} test video" + ("s" if count != 1 else "")


def bullets(lines: list[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def paragraph(line: str) -> str:
    return f"<p>{html.escape(line)}</p>"
