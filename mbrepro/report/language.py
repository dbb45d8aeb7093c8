"""Tables of what captions say, for pages. Captions are text from elsewhere: escaped wherever they are shown."""

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import OTHER, Recording, behaviours
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.errors import InputError
from mbrepro.study.captions import AGREEMENT, CATEGORIES

STRIP_FRAMES, STRIP_PIXELS = 6, 72
WRAPPED = "white-space: normal; text-align: left"


def shares(frame: pd.DataFrame, by: str, of: str = "category") -> pd.DataFrame:
    """Share of captions in each category, or of each way to agree ("agreement"), a line a value of `by`; `clips`."""
    names = CATEGORIES if of == "category" else AGREEMENT
    counts = pd.crosstab(frame[by], frame[of]).reindex(columns=list(names), fill_value=0)
    return counts.div(counts.sum(axis=1), axis=0).assign(clips=counts.sum(axis=1)).rename_axis(columns=None)


def naming(frame: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """How often captions name each behaviour, of clips that hold it and of all others: equal shares are guessing."""
    rows = {}
    for name in behaviours(classes):
        said = frame["names"].map(lambda names, name=name: name in names)
        held = frame["class"] == name
        rows[name] = [held.sum(), said[held].mean(), (~held).sum(), said[~held].mean()]
    columns = ["clips of it", "of these name it", "other clips", "of those name it"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)


def table(values: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Named numbers of several things as a table, a line each."""
    return pd.DataFrame.from_dict({name: dict(line) for name, line in values.items()}, "index")


def words_tell(frame: pd.DataFrame) -> dict[str, float]:
    """Balanced accuracy on test clips of a classifier that reads words and pairs of words of train clips' captions.

    Logistic regression, classes weighted equally; clips labelled other are left out. "chance" is one in the number of
    classes. NaN without two classes to learn from.
    """
    held = frame[frame["class"] != OTHER]
    train, test = held[held["split"] == "train"], held[held["split"] == "test"]
    chance = 1 / max(1, test["class"].nunique())
    told = train["caption"].str.contains(r"\w").any()
    if train["class"].nunique() < 2 or not len(test) or not told:
        return {"words of the caption": float("nan"), "chance": chance}
    reader = make_pipeline(
        CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\w+"),
        LogisticRegression(class_weight="balanced", max_iter=5000),
    )
    said = reader.fit(train["caption"], train["class"]).predict(test["caption"])
    recalls = [(said[test["class"] == name] == name).mean() for name in test["class"].unique()]
    return {"words of the caption": float(np.mean(recalls)), "chance": chance}


def examples(frame: pd.DataFrame, recordings: Sequence[Recording], clips: ClipSettings, each: int = 1) -> HTML:
    """For each category the first captions of the frame, beside a strip of the frames that the model was shown."""
    by_name = {recording.name: recording for recording in recordings}
    lines = []
    for category in CATEGORIES:
        chosen = frame[frame["category"] == category].head(each)
        for row in chosen.to_dict("records"):
            settings = replace(clips, seconds=row["seconds"])
            (clip,) = cut_clips(by_name[row["recording"]], [row["start"]], settings)
            lines.append((category, _strip(clip), f"{row['class']}, {row['seconds']:g} s", html.escape(row["caption"])))
        if not len(chosen):
            lines.append((category, "", "", "<em>none of these captions</em>"))
    body = "".join(
        f'<tr><td>{category}</td><td style="{WRAPPED}">{picture}{said}</td><td>{label}</td></tr>'
        for category, picture, label, said in lines
    )
    head = "<tr><th>category</th><th>frames shown, and the caption</th><th>labelled</th></tr>"
    return HTML(f'<div class="mb-scroll"><table class="mb-table">{head}{body}</table></div>')


def _strip(clip: np.ndarray) -> str:
    """An HTML image of frames of a clip (F, H, W, 3), evenly chosen, side by side."""
    chosen = clip[np.linspace(0, len(clip) - 1, min(STRIP_FRAMES, len(clip))).round().astype(int)]
    width = round(STRIP_PIXELS * clip.shape[2] / clip.shape[1])
    small = [cv2.resize(picture, (width, STRIP_PIXELS), interpolation=cv2.INTER_AREA) for picture in chosen]
    _, png = cv2.imencode(".png", cv2.cvtColor(np.concatenate(small, 1), cv2.COLOR_RGB2BGR))
    return f'<img src="data:image/png;base64,{base64.b64encode(png.tobytes()).decode()}" alt="frames of the clip"><br>'


def refused(embedder: ClipEmbedder) -> pd.DataFrame:
    """What a vision-language model's code says to each way of giving it no video; raises InputError if it says nothing.

    An empty video is what a clip past a file's end becomes, and a model that is given none answers all the same.
    """
    from mbrepro.embedding.qwen import check_video_tokens

    empty = np.zeros((0, 64, 64, 3), np.uint8)
    some = np.zeros((4, 64, 64, 3), np.uint8)
    tried = {
        "a clip without frames": lambda: embedder.caption([empty], 2.0),
        "one among others": lambda: embedder.caption([some, empty], 2.0),
        "a clip without pixels": lambda: embedder.caption([some[:, :0]], 2.0),
        "a prompt without video tokens": lambda: check_video_tokens(torch.tensor([0]), torch.tensor([0])),
        "fewer video tokens than the clip fills": lambda: check_video_tokens(torch.tensor([15]), torch.tensor([16])),
    }
    return pd.DataFrame([(what, _sentence(what, call)) for what, call in tried.items()], columns=["given", "answer"])


def _sentence(what: str, call: Callable[[], object]) -> str:
    try:
        call()
    except InputError as error:
        return str(error)
    raise InputError(f"{what} was taken without a word: captions and embeddings cannot be trusted")


def numbers_shown(frame: pd.DataFrame, index: str) -> HTML:
    """A table of numbers, a line for each index value, `index` being what they are; whole numbers as such."""
    shown = {}
    for name, column in frame.items():
        whole = (column.dropna() % 1 == 0).all() and column.abs().max() > 1
        texts = [f"{value:,.0f}" if whole else f"{value:.3f}" for value in column.fillna(0)]
        shown[name] = np.where(column.isna(), "not defined", texts)
    table_ = pd.DataFrame(shown, index=frame.index).rename_axis(index).reset_index()
    return HTML(f'<div class="mb-scroll">{table_.to_html(index=False, border=0, classes="mb-table")}</div>')


def text_shown(frame: pd.DataFrame) -> HTML:
    """A table of text, escaped, its last column left-aligned and wrapped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in frame.columns)
    body = ""
    for row in frame.astype(str).to_numpy():
        *cells, last = [html.escape(value) for value in row]
        wide = f'<td style="{WRAPPED}">{last}</td>'
        body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + wide + "</tr>"
    return HTML(f'<div class="mb-scroll"><table class="mb-table"><tr>{head}</tr>{body}</table></div>')
