"""What pages show: banners, tables and glued numbers."""

import base64
import html
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from IPython.display import HTML
from myst_nb import glue

from mbrepro.data.calms21.pairing import Pair
from mbrepro.data.recordings import OTHER, Dataset, Recording, other_index, partial, runs
from mbrepro.report.pictures import Shown, behaviour_clips, real_frames, sample_frames
from mbrepro.study import ablations, poster, recorded

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
QUALITY = 60  # WebP, of 100


def banner(*datasets: Dataset) -> HTML:
    """A notice of where the recordings come from; loud when any of them is simulated, or video of some is missing."""
    told = []
    for title, prefix in (("Task 1", "task1"), ("Task 3", "task3")):
        if missing := partial([dataset for dataset in datasets if dataset.task.startswith(prefix)]):
            told.append(f"{title}: {missing}")
    return HTML(source_notice({dataset.source for dataset in datasets}, told))


def source_notice(sources: Collection[str], parts: Sequence[str] = ()) -> str:
    """HTML that says where numbers come from: a warning box if any recording is simulated, else a line.

    parts: what of the data the numbers rest on, where that is not all of it; a box of its own.
    """
    if "simulated" in sources:
        notice = f'<div class="mb-banner"><strong>Simulated.</strong> {html.escape(SIMULATED)}</div>'
    else:
        notice = f'<p class="mb-source">Computed from {html.escape(", ".join(sorted(sources)))}.</p>'
    if parts:
        told = html.escape("; ".join(parts))
        notice += f'<div class="mb-banner"><strong>Partial.</strong> Not all of the data has video: {told}.</div>'
    return notice


def glue_number(key: str, value: float) -> None:
    """Store a number under a key for the prose of any page, without showing it here."""
    glue(key, float(value), display=False)


def glue_rows(rows: pd.DataFrame) -> None:
    """Store every row's mean, interval and spread as ROW_PROTOCOL_METRIC, …_low, …_high, …_sd."""
    for record in rows.itertuples():
        key = f"{record.row}_{record.protocol}_{record.metric}"
        for suffix, value in (("", record.mean), ("_low", record.low), ("_high", record.high), ("_sd", record.sd)):
            glue_number(key + suffix, value)


def rows_shown(rows: pd.DataFrame) -> HTML:
    """Rows of results as a small table: mean ± sd over seeds and the 95 % interval by video."""
    shown = pd.DataFrame(
        {
            "protocol": rows["protocol"],
            "metric": rows["metric"],
            "mean ± sd over seeds": [_or_undefined(r.mean, f"{r.mean:.3f} ± {r.sd:.3f}") for r in rows.itertuples()],
            "95 % interval by video": [_or_undefined(r.low, f"{r.low:.3f} – {r.high:.3f}") for r in rows.itertuples()],
            "poster (real mice)": ["" if pd.isna(r.published) else f"{r.published:.2f}" for r in rows.itertuples()],
        }
    )
    return HTML(_html_table(shown))


def video_table(tasks: Mapping[str, Dataset], pairs: Mapping[str, Sequence[Pair]]) -> HTML:
    """How many sequences of each behaviour have video, for the train and test split, and how they came by it.

    pairs: what was found among Task 1's recordings; empty if every recording has a video of its own.
    """
    lines = []
    for behaviour, dataset in tasks.items():
        for split in ("train", "test"):
            recordings = getattr(dataset, split)
            own = [pair for pair in pairs.get(behaviour, ()) if pair.split == split]
            line = {
                "behaviour": behaviour, "split": split, "sequences": len(recordings),
                "with video": sum(r.video is not None for r in recordings),
                "frames with video": f"{sum(len(r) for r in recordings if r.video is not None):,}",
            }  # fmt: skip
            if pairs:
                line["found in Task 1"] = (
                    ", ".join(f"{p.sequence} in {p.video_of}" for p in own if p.video_of) or "none"
                )
                line["without its video"] = "; ".join(f"{p.sequence}, as {p.leak}" for p in own if p.leak) or "none"
            lines.append(line)
    return text_table(pd.DataFrame(lines))


def class_table(*datasets: Dataset) -> HTML:
    """Videos, frames and share of frames of each behaviour, for the train and test split of each dataset."""
    lines = []
    for dataset in datasets:
        for split in ("train", "test"):
            recordings = getattr(dataset, split)
            labels = np.concatenate([r.labels for r in recordings])
            counts = np.bincount(labels, minlength=len(dataset.classes))
            named = [name for name in dataset.classes if len(datasets) == 1 or name != OTHER]
            for name in named:
                count = counts[dataset.classes.index(name)]
                bouts = sum(value == dataset.classes.index(name) for r in recordings for *_, value in runs(r.labels))
                line = {
                    "class": name,
                    "split": split,
                    "videos": len(recordings),
                    "minutes": sum(r.seconds for r in recordings) / 60,
                }
                lines.append(
                    line | {"frames": f"{count:,}", "share of frames": f"{count / len(labels):.1%}", "bouts": bouts}
                )
    return HTML(_html_table(pd.DataFrame(lines).assign(minutes=lambda t: t["minutes"].map("{:.1f}".format))))


def share_of_bouts_under(recordings: Sequence[Recording], seconds: float) -> float:
    """Share of all behaviour bouts that last less than this many seconds."""
    lengths = [
        (stop - start) / r.fps
        for r in recordings
        for start, stop, value in runs(r.labels)
        if value != other_index(r.classes)
    ]
    return float(np.mean(np.array(lengths) < seconds))


def contact_sheet(dataset: Dataset, count: int = 6) -> HTML:
    """Frames of `count` recordings; simulated ones beside as many real ones, or a sentence that says there are none.

    The real frames are read each time and stored nowhere but in the page.
    """
    own = sample_frames(dataset, count)
    if dataset.source != "simulated":
        return gallery(own)
    real = real_frames()[:count]
    if not real:
        return HTML(f"{gallery(own).data}<p class='mb-source'>{html.escape(NO_REAL_FRAMES)}</p>")
    pairs = [shown for k in range(max(len(own), len(real))) for shown in (*own[k : k + 1], *real[k : k + 1])]
    return gallery(pairs, columns=2)


def clip_gallery(*datasets: Dataset) -> HTML:
    """A looping clip of each class of Task 1 and each behaviour of Task 3, and which of them have no video."""
    clips, missing = [], []
    for dataset in datasets:
        names = dataset.classes if dataset.task == "task1" else dataset.behaviours
        found = behaviour_clips(dataset, names)
        clips += found.values()
        missing += [name for name in names if name not in found]
    told = f"<p class='mb-source'>No video shows {html.escape(', '.join(missing))}.</p>" if missing else ""
    return HTML(gallery(clips).data + told)


def gallery(shown: Sequence[Shown], columns: int | None = None, fps: float = 15.0) -> HTML:
    """Pictures and looping clips side by side, as many as fit or `columns`, each over its title; no script needed.

    A reader whose system asks for less motion sees a clip's middle frame.
    """
    figures = []
    for pixels, title in shown:
        told = html.escape(title)
        still = pixels if pixels.ndim == 3 else pixels[len(pixels) // 2]
        image = f'<img src="{_webp(pixels, fps)}" alt="{told}" width="{still.shape[1]}" height="{still.shape[0]}">'
        if pixels.ndim == 4:
            calm = f'<source media="(prefers-reduced-motion: reduce)" srcset="{_webp(still, fps)}">'
            image = f"<picture>{calm}{image}</picture>"
        figures.append(f"<figure>{image}<figcaption>{told}</figcaption></figure>")
    kind = f"mb-gallery mb-columns-{columns}" if columns else "mb-gallery"
    return HTML(f'<div class="{kind}">{"".join(figures)}</div>')


def _webp(pixels: np.ndarray, fps: float) -> str:
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


def frame_shown(frame: pd.DataFrame, index: str) -> HTML:
    """A table of numbers, a line for each index value, `index` being what they are."""
    shown = frame.map(lambda value: "not defined" if pd.isna(value) else f"{value:.3f}")
    return HTML(_html_table(shown.rename_axis(index).reset_index()))


def text_table(frame: pd.DataFrame) -> HTML:
    """A table of words, a line for each row, in cells that wrap."""
    return HTML(_html_table(frame, "mb-table mb-text"))


def values_shown(values: Mapping[str, float]) -> HTML:
    """Named numbers as a table of one line each."""
    lines = [{"": name.replace("_", " "), "value": f"{value:.3f}"} for name, value in values.items()]
    return HTML(_html_table(pd.DataFrame(lines)))


def study_table(table: pd.DataFrame, source: str) -> str:
    """The study's table as HTML: F1 and MAP of each row, the poster beside both protocols, the source in the head."""
    label = "simulated" if source == "simulated" else source
    lines = []
    for row in poster.ROWS:
        part = table[table["row"] == row].set_index(["protocol", "metric"])
        title = poster.TITLES[row] + (" (partial)" if (part["partial"] != "").any() else "")
        for metric in ("f1", "map"):
            line = {"": title if metric == "f1" else "", " ": metric.upper()}
            line["poster (real mice)"] = f"{poster.TABLE[row][metric]:.2f}"
            for protocol in ("published", "corrected"):
                line[f"{protocol} ({label})"] = _cell(part, protocol, metric)
            lines.append(line)
    return _html_table(pd.DataFrame(lines))


def how_sure(table: pd.DataFrame) -> str:
    """A sentence a row: how far seeds and videos move the corrected protocol's F1."""
    lines = []
    for record in table[(table["protocol"] == "corrected") & (table["metric"] == "f1")].itertuples():
        lines.append(
            f"- {poster.TITLES[record.row]}: {record.n_seeds} seeds differ by ±{record.sd:.3f} in F1, and other test "
            f"videos of the same kind would give {record.low:.2f} to {record.high:.2f} (95 %)."
        )
    return "\n".join(lines)


def _cell(part: pd.DataFrame, protocol: str, metric: str) -> str:
    if (protocol, metric) not in part.index:
        return "not run"
    r = part.loc[(protocol, metric)]
    return _or_undefined(r["mean"], f"{r['mean']:.2f} ± {r['sd']:.2f} [{r['low']:.2f}, {r['high']:.2f}]")


def _or_undefined(value: float, text: str) -> str:
    """Average precision has no value where a behaviour never occurs."""
    return "not defined" if pd.isna(value) else text


def _html_table(frame: pd.DataFrame, classes: str = "mb-table") -> str:
    return '<div class="mb-scroll">' + frame.to_html(index=False, border=0, classes=classes, na_rep="") + "</div>"


def recorded_notice(page: str) -> HTML:
    """A box that says the figures below are of real mice, and what they were computed from."""
    told = recorded.read(page)["provenance"]
    text = f"{told['data']}; sha256 {told['labels_sha256'][:12]}…. {told['intervals']}."
    return HTML(
        '<div class="mb-real"><strong>Real mice.</strong> Computed from the real labels of CalMS21, no model and no '
        f"simulated recording involved. {html.escape(text)}</div>"
    )


def recorded_ablation(path: Path | None = None) -> HTML:
    """The recorded table under the notice that it is simulated, or where none is recorded a sentence that says so."""
    path = path or recorded.path_of(ablations.PAGE)
    if not path.exists():
        told = "No ablation is recorded yet; <code>make ablation</code> computes it on the demo."
        return HTML(f'{source_notice(["simulated"])}<p class="mb-source">{told}</p>')
    made, table = ablations.recorded_table(path)
    cells = {
        name: table[name].map("{:.3f}".format) + " ± " + table[f"{name} sd"].map("{:.3f}".format)
        for name in ("F1", "MAP")
    }
    lines = pd.DataFrame(cells).reset_index()
    told = f"{made['data']}, {made['seeds']} seeds: mean ± sd over them. Weights sha256 {made['weights'][0][:12]}…."
    body = text_table(lines).data
    return HTML(f'{source_notice(["simulated"])}<p class="mb-source">{html.escape(told)}</p>{body}')
