"""What pages show: banners, tables and glued numbers."""

import base64
import html
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from IPython.display import HTML
from myst_nb import glue

from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import Dataset, Recording, partial
from mbrepro.metrics.resampling import LEAST_VIDEOS, RESAMPLES
from mbrepro.report.pictures import Shown, behaviour_clips, real_frames, sample_frames, strip
from mbrepro.study import ablations, encoder, poster, recorded, results
from mbrepro.study.language import CATEGORIES

SIMULATED = (
    "Unless it is marked as real mice, what is measured on this page was measured on recordings that this "
    "project simulates, with a small model in place of the real one. It shows that every step works; it says nothing "
    "about mice."
)

NO_REAL_FRAMES = (
    "No real frames stand beside them, as this machine has none (a folder named by MBREPRO_REAL_DATA that holds "
    "mars_frames/sample_arenas.png): see real ones of this arena in the documentation of MARS, "
    "github.com/neuroethology/MARS, docs."
)
FROM_REAL = "Computed from what is known of real animals, no simulated recording involved."
BEHAVIOURS, ACTION = "three behaviours", "action against other"  # what two people's F1 is of
QUALITY = 60  # WebP, of 100
BOUT_F1 = "bout_f1_50"
METRICS = {  # what a table calls the metrics whose names say too little
    "bout_f1_10": "bout F1 at tIoU .1", "bout_f1_25": "bout F1 at tIoU .25", "bout_f1_50": "bout F1 at tIoU .5",
    "true_bouts": "bouts", "predicted_bouts": "bouts predicted", "fragmented": "bouts broken into several",
    "merged": "bouts predicted over several", "edit": "order of bouts (edit score, of 100)",
    "onset": "starts late by (s), median", "onset_abs": "starts off by (s), median",
    "onset_abs_90": "starts off by (s), 90 %", "offset": "stops late by (s), median",
    "offset_abs": "stops off by (s), median", "offset_abs_90": "stops off by (s), 90 %", "da": "BANOS detection",
    "so": "BANOS overlap", "tp": "BANOS edges", "ic": "BANOS continuity",
    "banos_absent": "share BANOS scores 1 as nobody saw it", "kappa": "Cohen's kappa", "mcc": "Matthews' correlation",
    "f1_by_recording": "f1, mean of recordings", "f1_within_500ms": "f1 with .5 s of tolerance",
    "near_boundary_500ms": "share of errors within .5 s of a boundary",
}  # fmt: skip


def banner(*datasets: Dataset) -> HTML:
    """A notice of where the recordings come from; loud when any of them is simulated, or video of some is missing."""
    missing = {task: partial([d for d in datasets if d.task.startswith(task)]) for task in ("task1", "task3")}
    told = [f"Task {task[-1]}: {what}" for task, what in missing.items() if what]
    return HTML(source_notice({dataset.source for dataset in datasets}, told))


def source_notice(sources: Collection[str], parts: Sequence[str] = ()) -> str:
    """HTML that says where numbers come from: a warning box if any recording is simulated, else a line.

    parts: what of the data the numbers rest on, where that is not all of it; a box of its own.
    """
    simulated = "simulated" in sources
    notice = _box("Simulated", SIMULATED) if simulated else line(f"Computed from {', '.join(sorted(sources))}.")
    return notice + (_box("Partial", f"Not all of the data has video: {'; '.join(parts)}.") if parts else "")


def _box(head: str, text: str, kind: str = "mb-banner") -> str:
    return f'<div class="{kind}"><strong>{head}.</strong> {html.escape(text)}</div>'


def line(text: str) -> str:
    """A line of small print."""
    return f'<p class="mb-source">{html.escape(text)}</p>'


def said(text: str) -> HTML:
    """HTML made by `prose`."""
    return HTML(text)


def glue_number(key: str, value: float) -> None:
    """Store a number under a key for the prose of any page, without showing it here."""
    glue(key, float(value), display=False)


def glue_means(frame: pd.DataFrame, columns: Mapping[str, str]) -> None:
    """Store the mean of a frame's columns, given by their keys."""
    for key, name in columns.items():
        glue_number(key, frame[name].mean())


def glue_rows(rows: pd.DataFrame) -> None:
    """Store every row's numbers under the keys of `row_numbers`."""
    for key, value in row_numbers(rows).items():
        glue_number(key, value)


def row_numbers(rows: pd.DataFrame) -> dict[str, float]:
    """Every row's mean, interval, spread and test videos as ROW_PROTOCOL_METRIC, …_low, …_high, …_sd, …_videos."""
    parts = {"": "mean", "_low": "low", "_high": "high", "_sd": "sd", "_videos": "n_videos"}
    return {
        f"{record['row']}_{record['protocol']}_{record['metric']}{suffix}": float(record[field])
        for record in rows.to_dict("records")
        for suffix, field in parts.items()
    }


_LONG = 20  # letters; longer names of lines have a column that is wide enough on a phone too


def table(frame: pd.DataFrame, index: str | None = None, words: bool = False) -> HTML:
    """A frame as an HTML table, every text escaped.

    index: what the frame's index holds, which then is the first column. words: cells that wrap, aligned to the left.
    Numbers have three digits, columns of whole ones none; one that is missing is "not defined". A cell may be `HTML`.
    """
    frame = frame if index is None else frame.rename_axis(index).reset_index()
    columns = [_cells(frame.iloc[:, place]) for place in range(frame.shape[1])]
    rows = ["".join(f"<td>{cell}</td>" for cell in row) for row in zip(*columns, strict=True)]
    head = "".join("<td></td>" if name == "" else f"<th>{html.escape(str(name))}</th>" for name in frame.columns)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    kind, scrolls = "mb-table mb-text" if words else "mb-table", "mb-scroll pst-scrollable-table-container"
    if columns and max((len(re.sub("<.*?>", "", cell)) for cell in columns[0]), default=0) > _LONG:
        kind += " mb-named"
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return HTML(f'<div class="{scrolls}"><table class="{kind}">{inner}</table></div>')


def _cells(column: pd.Series) -> list[str]:
    if not pd.api.types.is_numeric_dtype(column):
        return [cell.data if isinstance(cell, HTML) else _below(html.escape(str(cell))) for cell in column]
    known = column.dropna()
    whole = pd.api.types.is_integer_dtype(column) or ((known % 1 == 0).all() and known.abs().max() > 1)
    return ["not defined" if pd.isna(value) else f"{value:,.0f}" if whole else f"{value:.3f}" for value in column]


def _below(text: str) -> str:
    """A cell whose interval stands below its value, so that tables are as narrow as a page, neither of them broken."""
    text = re.sub(r"[-\d.,]+ ± [\d.,]+", r'<span class="mb-whole">\g<0></span>', text)
    return re.sub(r"\[[-\d.,]+, [-\d.,]+\]\*?", r'<span class="mb-interval">\g<0></span>', text)


def rows_shown(rows: pd.DataFrame) -> HTML:
    """Rows of results as a table: mean ± sd over seeds and the mean's 95 % interval by video."""
    shown = [
        {
            "protocol": row.protocol,
            "metric": METRICS.get(row.metric, row.metric),
            "mean ± sd over seeds": or_undefined(row.mean, f"{_digits(row.mean)} ± {_digits(row.sd)}"),
            "95 % interval of the mean by video": _interval(row),
            "poster (real mice)": "" if pd.isna(row.published) else printed(row.row, row.metric, row.protocol),
        }
        for row in rows.itertuples()
    ]
    return HTML(table(pd.DataFrame(shown)).data + _people(set(rows["row"])))


def printed(row: str, metric: str, protocol: str = "corrected") -> str:
    """The poster's figure, "f1" or "map"; one of another metric than the row's stands in brackets, with its name.

    Few-shot, corrected, is of other behaviours too, which the table's page says.
    """
    figure, read = f"{poster.TABLE[row][metric]:.2f}", results.READINGS[row, "published"][metric]
    if read == results.READINGS.get((row, protocol), results.CALMS21_READING)[metric]:
        return figure
    if read == "macro_f1":
        return f"{poster.readings()['f1']:.2f} ({figure}: 4 classes)"
    return f"({figure}: {read.removeprefix('macro_')})"


def two_people() -> dict[str, Mapping[str, float]]:
    """What two people reach on real mice with one of them as the truth, as recorded: F1 with its interval."""
    first = recorded.read("human")["figures"]["first"]
    return {BEHAVIOURS: first["metrics"]["f1"], ACTION: first["action"]["f1"]}


def _people(rows: Collection[str]) -> str:
    """A line that says how far two people agree, for the rows of the table that label frames of Task 1."""
    wanted = {"localization": ACTION, "baseline": BEHAVIOURS, "pose_vlm": BEHAVIOURS}
    told = {wanted[row]: two_people()[wanted[row]] for row in sorted(rows) if row in wanted}
    said = [f"{title}: F1 {with_interval(found)}" for title, found in told.items()]
    return line(f"Two people on other, real recordings (see Real animals), {'; '.join(said)}.") if said else ""


def with_interval(told: Mapping[str, float]) -> str:
    """A recorded figure with two digits and its interval."""
    return f"{told['value']:.2f} [{told['low']:.2f}, {told['high']:.2f}]"


def _interval(row: Any) -> str:
    if 0 < row.n_videos < LEAST_VIDEOS:
        return f"none: {row.n_videos} videos"
    defined = f" (of {RESAMPLES - row.undefined:,} resamples)" if row.undefined else ""
    return or_undefined(row.low, f"{_digits(row.low)} – {_digits(row.high)}{defined}")


def _digits(value: float) -> str:
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"


def contact_sheet(dataset: Dataset, count: int = 6) -> HTML:
    """Frames of `count` recordings; simulated ones beside as many real ones, or a sentence that says there are none.

    The real frames are read each time and stored nowhere but in the page.
    """
    own = sample_frames(dataset, count)
    if dataset.source != "simulated":
        return gallery(own)
    real = real_frames()[:count]
    if not real:
        return HTML(gallery(own).data + line(NO_REAL_FRAMES))
    pairs = [shown for k in range(max(len(own), len(real))) for shown in (*own[k : k + 1], *real[k : k + 1])]
    return gallery(pairs, columns=2)


def clip_gallery(*datasets: Dataset) -> HTML:
    """A looping clip of each class of Task 1 and each behaviour of Task 3, and which of them have no video."""
    clips = {}
    for dataset in datasets:
        names = dataset.classes if dataset.task == "task1" else dataset.behaviours
        clips |= dict.fromkeys(names) | behaviour_clips(dataset, names)
    missing = [name for name, clip in clips.items() if clip is None]
    told = line(f"No video shows {', '.join(missing)}.") if missing else ""
    return HTML(gallery([clip for clip in clips.values() if clip]).data + told)


def gallery(shown: Sequence[Shown], columns: int | None = None, fps: float = 15.0) -> HTML:
    """Pictures and looping clips side by side, as many as fit or `columns`, each over its title; no script needed.

    A reader whose system asks for less motion sees a clip's middle frame.
    """
    figures = []
    for pixels, title in shown:
        told = html.escape(title)
        still = pixels if pixels.ndim == 3 else pixels[len(pixels) // 2]
        image = f'<img src="{webp(pixels, fps)}" alt="{told}" width="{still.shape[1]}" height="{still.shape[0]}">'
        if pixels.ndim == 4:
            calm = f'<source media="(prefers-reduced-motion: reduce)" srcset="{webp(still, fps)}">'
            image = f"<picture>{calm}{image}</picture>"
        figures.append(f"<figure>{image}<figcaption>{told}</figcaption></figure>")
    kind = f"mb-gallery mb-columns-{columns}" if columns else "mb-gallery"
    return HTML(f'<div class="{kind}">{"".join(figures)}</div>')


def caption_examples(frame: pd.DataFrame, recordings: Sequence[Recording], clips: ClipSettings) -> HTML:
    """For each category of captions the frame's first, beside a strip of the frames that the model was shown."""
    by_name = {recording.name: recording for recording in recordings}
    lines = dict.fromkeys(CATEGORIES, ("none of these captions", ""))
    for row in frame.drop_duplicates("category").to_dict("records"):
        (clip,) = cut_clips(by_name[row["recording"]], [row["start"]], replace(clips, seconds=row["seconds"]))
        image = f'<img src="{webp(strip(clip))}" alt="frames of the clip"><br>'
        lines[row["category"]] = HTML(image + html.escape(row["caption"])), f"{row['class']}, {row['seconds']:g} s"
    columns = ["frames shown, and the caption", "labelled"]
    return table(pd.DataFrame.from_dict(lines, "index", columns=columns), "category", words=True)


def webp(pixels: np.ndarray, fps: float = 15.0) -> str:
    """A picture (H, W, 3) or an endless animation (F, H, W, 3) as a data URI."""
    quality = (cv2.IMWRITE_WEBP_QUALITY, QUALITY)
    if pixels.ndim == 3:
        _, data = cv2.imencode(".webp", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
    else:
        animation = cv2.Animation()
        animation.frames = [cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA) for picture in pixels]
        animation.durations = np.full(len(pixels), round(1000 / fps), np.int32)
        _, data = cv2.imencodeanimation(".webp", animation, quality)
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode()}"


def values(named: Mapping[str, float]) -> HTML:
    """Named numbers as a table of one line each."""
    return table(pd.DataFrame({"": [name.replace("_", " ") for name in named], "value": list(named.values())}))


def or_undefined(value: float, text: str) -> str:
    """Average precision has no value where a behaviour never occurs."""
    return "not defined" if pd.isna(value) else text


def recorded_notice(*pages: str) -> HTML:
    """A box that says the figures below are of real animals, and what they were computed from."""
    told = [recorded.read(page)["provenance"] for page in pages]
    sources = dict.fromkeys(f"{made['data']}; sha256 {made['sha256'][:12]}…" for made in told)
    text = f"{FROM_REAL} {'. '.join(sources)}. Intervals: {told[0]['intervals']}."
    return HTML(_box("Real animals", text, "mb-real"))


def measured_with(provenance: Mapping) -> HTML:
    """A line that says with which versions of simulator and networks a recorded table was measured."""
    made = provenance["made_from"]
    versions = ", ".join(f"{name.rpartition('.')[2]} {made[name]}" for name in made if name.startswith("mbrepro."))
    told = f"Recorded by {provenance['computed_by']} with {provenance['seeds']} seeds; versions: {versions}."
    return HTML(line(told))


def recorded_ablation(path: Path | None = None) -> HTML:
    """The recorded table under the notice that it is simulated, or where none is recorded a sentence that says so."""
    path = path or recorded.path_of(ablations.PAGE)
    if not path.exists():
        told = "No ablation is recorded yet; make ablation computes it on the demo."
        return HTML(source_notice(["simulated"]) + line(told))
    made, found = ablations.recorded_table(path)
    told = f"{made['data']}, {made['seeds']} seeds: mean ± sd over them. Weights sha256 {made['weights'][0][:12]}…."
    return HTML(source_notice(["simulated"]) + line(told) + table(_with_sd(found).reset_index(), words=True).data)


def recorded_encoder(path: Path | None = None) -> HTML:
    """The recorded table of a real encoder and its controls, under the notice that its mice are simulated."""
    made, found = encoder.recorded_table(path)
    real = made["encoder"]
    told = (
        f"{made['data']}, {made['seeds']} seeds: mean ± sd over them, {made['frames_a_clip']} frames a clip. "
        f"{real['kind']} is a real encoder ({real['origin']}); the mice of this table are not, and it says nothing of "
        "how well it tells what real mice do."
    )
    lines = _with_sd(found).assign(dims=found["dims"]).reset_index()
    return HTML(_box("Simulated mice", told) + table(lines, words=True).data)


def _with_sd(found: pd.DataFrame) -> pd.DataFrame:
    shown = found.map("{:.3f}".format)
    return pd.DataFrame({name: shown[name] + " ± " + shown[f"{name} sd"] for name in ("F1", "MAP")})
