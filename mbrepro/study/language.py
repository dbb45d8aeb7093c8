"""What captions say: the poster's three categories by a written rule, the behaviours they name, and what they tell.

Rules for English text. Negation is found as by NegEx (Chapman et al. 2001, J Biomed Inform 34:301): a trigger counts up
to a number of words ahead and no further than the end of its clause.
"""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import yaml
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline

from mbrepro.data.recordings import OTHER, TASK1_CLASSES, behaviours
from mbrepro.errors import InputError

if TYPE_CHECKING:  # it takes seconds
    from mbrepro.embedding.qwen import QwenVLEmbedder

CATEGORIES = ("nondescript", "detailed", "no response")
AGREEMENT = ("names it alone", "names it among others", "names another", "names none")
LEAST_WORDS = 3  # an answer of fewer is none
REFUSAL_CHARACTERS = 250  # a model that cannot see the video says so at once
DETAILED_WORDS, DETAILED_SENTENCES = 25, 2
NEGATION_WORDS = 10  # how far ahead of a behaviour's word a negation counts


def _read() -> dict[str, Any]:
    """`language.yml`: each list as one pattern, the behaviours' words by behaviour and condition."""
    told = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    names = told.pop("names")
    words = {name: "|".join(alternatives) for name, alternatives in told.items()}
    seen = f"(?:{words['SEEN']})"
    patterns = {name: re.compile(pattern.replace("SEEN", seen)) for name, pattern in words.items()}
    return patterns | {"names": {name: {k: "|".join(v) for k, v in by.items()} for name, by in names.items()}}


_WORDS = _read()
_OBJECT = re.compile(rf"\b(?:(?P<mouse>{_WORDS['MOUSE'].pattern})|(?P<place>{_WORDS['PLACE'].pattern}))\b")
NAMED = tuple(_WORDS["names"])
_PATTERNS = [
    (name, re.compile(rf"\b(?:{words})\b"), condition)  # which is as of `_counts`
    for name, told in _WORDS["names"].items()
    for condition, words in told.items()
]


def category(caption: str) -> str:
    """Which of `CATEGORIES`, the poster's three (Douglas 2025, "Language outputs"), a caption falls into.

    no response: fewer than 3 words, or wording of refusal or of an absent video within the first 250 characters.
    detailed: at least 25 words and 2 sentences. nondescript: the rest.
    """
    text = _plain(caption)
    words = _words(text)
    if len(words) < LEAST_WORDS or _WORDS["refusal"].search(text[:REFUSAL_CHARACTERS]):
        return "no response"
    detailed = len(words) >= DETAILED_WORDS and sentence_count(caption) >= DETAILED_SENTENCES
    return "detailed" if detailed else "nondescript"


def sentence_count(caption: str) -> int:
    """Number of stretches with at least one word between full stops or line ends; one cut off at the end counts."""
    return sum(bool(_words(part)) for part in _WORDS["sentence_end"].split(_plain(caption)))


def named_behaviours(caption: str) -> tuple[str, ...]:
    """The behaviours of Task 1 that a caption says to happen, in the order of `NAMED`.

    A word counts unless it is negated or left open ("whether they are fighting") in its clause, and where it needs one
    its object is a mouse: who explores or sniffs a cage investigates nobody.
    """
    text = _WORDS["pseudo_negation"].sub(" ", _WORDS["equipment"].sub(" ", _plain(caption)))
    named = {
        name
        for clause in _WORDS["clause_end"].split(text)
        for name, pattern, condition in _PATTERNS
        for match in pattern.finditer(clause)
        if _counts(clause, match, condition) and not _negated(clause, match)
    }
    return tuple(name for name in NAMED if name in named)


def agreement(named: Collection[str], label: str, classes: Sequence[str] = TASK1_CLASSES) -> str:
    """Which of `AGREEMENT` holds between named behaviours and a label of `classes`; with other, naming none agrees."""
    named = set(named) & set(behaviours(classes))
    alone, among_others, another, none = AGREEMENT
    if named == {label} - {OTHER}:
        return alone
    if not named:
        return none
    return among_others if label in named else another


def _plain(caption: str) -> str:
    return re.sub(r"[ \t]+", " ", caption.lower().replace("\u2019", "'").replace("*", "")).strip()


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[\w'-]+", text) if any(character.isalpha() for character in word)]


def _counts(clause: str, match: re.Match, condition: str) -> bool:
    """Whether a word that may name a behaviour does, by what else its clause says."""
    after = clause[match.end() :]
    found = _OBJECT.search(after)
    if condition == "mouse":
        return bool(found and found["mouse"])
    if condition == "no place" and found and found["place"]:
        # "sniffs the bedding and the other mouse" has both
        return bool(re.search(r"\b(?:other|another|m(?:ouse|ice))\b", after))
    return True


def _negated(clause: str, match: re.Match) -> bool:
    before = " ".join(clause[: match.start()].split()[-NEGATION_WORDS:])
    return bool(_WORDS["negation"].search(before) or _WORDS["negated_after"].search(clause[match.end() :]))


def shares(frame: pd.DataFrame, by: str, of: str = "category") -> pd.DataFrame:
    """Share of captions in each category, or of each way to agree ("agreement"), a line a value of `by`; `clips`."""
    names = CATEGORIES if of == "category" else AGREEMENT
    counts = pd.crosstab(frame[by], frame[of]).reindex(columns=list(names), fill_value=0)
    return counts.div(counts.sum(axis=1), axis=0).assign(clips=counts.sum(axis=1)).rename_axis(columns=None)


def ends(by_length: pd.Series) -> dict[str, float]:
    """Of values by ascending length of clip, that of the shortest and of the longest; NaN if there are none."""
    values = by_length.tolist() or [float("nan")]
    return {"shortest": values[0], "longest": values[-1]}


def naming(frame: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """How often captions name each behaviour, of clips that hold it and of all others: equal shares are guessing."""
    rows = {}
    for name in behaviours(classes):
        said = frame["names"].map(lambda names, name=name: name in names)
        held = frame["class"] == name
        rows[name] = [held.sum(), said[held].mean(), (~held).sum(), said[~held].mean()]
    columns = ["clips of it", "of these name it", "other clips", "of those name it"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)


def words_tell(frame: pd.DataFrame) -> dict[str, float]:
    """Balanced accuracy on test clips of a classifier that reads words and pairs of words of train clips' captions.

    Logistic regression, classes weighted equally; clips labelled other are left out. "chance" is one in the number of
    classes. NaN without two classes to learn from.
    """
    held = frame[frame["class"] != OTHER]
    train, test = held[held["split"] == "train"], held[held["split"] == "test"]
    accuracy, chance = float("nan"), 1 / max(1, test["class"].nunique())
    if train["class"].nunique() > 1 and len(test) and train["caption"].str.contains(r"\w").any():
        words = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\w+")
        reader = make_pipeline(words, LogisticRegression(class_weight="balanced", max_iter=5000))
        said = reader.fit(train["caption"], train["class"]).predict(test["caption"])
        accuracy = float(recall_score(test["class"], said, labels=test["class"].unique(), average="macro"))
    return {"words of the caption": accuracy, "chance": chance}


def words_by_length(frame: pd.DataFrame) -> pd.DataFrame:
    """`words_tell` of the captions of each length of clip, a line a length."""
    return pd.DataFrame({f"{s:g} s": words_tell(part) for s, part in frame.groupby("seconds")}).T


def refused(embedder: "QwenVLEmbedder") -> pd.DataFrame:
    """What a vision-language model's code says to each way of giving it no video; raises InputError if it says nothing.

    An empty video is what a clip past a file's end becomes, and a model that is given none answers all the same.
    """
    from mbrepro.embedding.qwen import check_video_tokens  # takes seconds

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
