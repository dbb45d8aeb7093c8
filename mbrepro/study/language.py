"""What captions say: the poster's three categories by a written rule, the behaviours they name, and what they tell.

Rules for English text. Negation is found as by NegEx (Chapman et al. 2001, J Biomed Inform 34:301): a trigger counts up
to a number of words ahead and no further than the end of its clause.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
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

_SEEN = r"(?:videos?|images?|pictures?|footage|clips?|visuals?|attachments?|media|visual content)"
_REFUSAL = re.compile(
    r"\bi(?:'m| am) (?:(?:so|very|really) )?sorry\b|\b(?:sorry|apologi[sz]e|apologies),? (?:but )?(?:i|for)\b"
    r"|\bi (?:can ?not|can't|could not|couldn't|am unable|am not able|do not|don't|did not|didn't)\b.{0,40}"
    r"\b(?:answer|assist|help|provide|determine|describe|tell|say|identify|comment|comply|engage"
    rf"|(?:see|view|watch|access|open) (?:(?:the|a|any|your|this|that) )?(?:{_SEEN}|what))\b"
    r"|\b(?:not|n't) (?:\w+ )?(?:enough|sufficient) (?:information|context|detail)|\binsufficient information"
    rf"|\bi (?:do not|don't) (?:have|see|find)\b|\b(?:there (?:is|are|was)|i see|with) (?:no|n't any) {_SEEN}"
    rf"|\bthere (?:isn't|aren't|is not|are not) (?:a |an |any ){_SEEN}"
    rf"|\bno {_SEEN} (?:is|are|was|were|has|have|or|to|available|provided|attached|given|found)\b"
    rf"|\b{_SEEN} (?:is|was|are|were|has|have)(?:n't| not) (?:been )?"
    r"(?:available|provided|attached|given|loaded|shared)"
    rf"|\b(?:provide|upload|share|attach|send)\b (?:me )?(?:with )?(?:the|a|an|your) {_SEEN}"
    r"|\bas an ai\b|\bas a (?:text|language)\b"
    r"|\b(?:unable|not able) to (?:answer|assist|help|provide|see|view|access)\b"
    r"|\b(?:inappropriate|against (?:the|my|our) (?:policy|policies|guidelines))\b"
)

_MOUSE = (
    r"other|another|mouse|mice|rodents?|rats?|animals?|resident|intruder|partner|companion|cagemate|them|him|her|second"
    r"|black|white|tail|genitals?|anogenital|face|nose|snout|muzzle|head|body|rear|flank|fur|back"
)
_PLACE = (
    r"cage|corners?|ground|floor|walls?|bedding|surroundings?|environment|area|enclosure|surface|objects?|food|air"
    r"|space|arena|box|container|room|bars?|lid|camera|device|home|territory|door|edges?|centre|center|side|water"
)
_OBJECT = re.compile(rf"\b(?:(?P<mouse>{_MOUSE})|(?P<place>{_PLACE}))\b")

# For each behaviour of Task 1: words that name it, and under which condition (see `_counts`).
_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "attack": (
        (
            r"attack(?:s|ed|ing|ers?)?|fight(?:s|ing)?|fought|(?<!non-)(?<!non)aggress\w+|wrestl\w+|tussl\w+|brawl\w*",
            "always",
        ),
        (r"bit(?:es?|ing|ten)|bit (?=the|its|at|into|each|one)|lung(?:es|ed|ing) at|pounc(?:es|ed|ing)", "no place"),
    ),
    "investigation": (
        (r"(?<!under )investigat\w+|sniff\w*|smell(?:s|ed|ing)?|nos(?:es|ing) (?=the|at|its|each|around)", "no place"),
        (r"nose[- ]to[- ]nose|noses? touch\w*|touch\w* noses", "always"),
        (r"explor(?:e|es|ed|ing)|examin(?:e|es|ed|ing)|inspect(?:s|ed|ing)?", "mouse"),
    ),
    "mount": (
        (r"mount(?:s|ed|ing)?|copulat\w+|mating|mates? with|hump(?:s|ed|ing)?|sexual(?:ly)?|intercourse", "always"),
        (r"climb(?:s|ed|ing)? (?:up )?on(?:to)?(?: top of)?|on top of|on (?:the|its) back of", "mouse"),
    ),
}
NAMED = tuple(_NAMES)
_PATTERNS = [
    (name, re.compile(rf"\b(?:{words})\b"), condition) for name, told in _NAMES.items() for words, condition in told
]

# Words that name no behaviour though they look like it.
_EQUIPMENT = re.compile(
    r"\b(?:\w+[- ])?mount(?:s|ed|ing)?[- ]"
    r"(?=camera|light|bracket|plate|tension|evidence|hardware|system|device|on (?:the|a) "
    r"(?:wall|ceiling|tripod|lid|cage|stand|pole)|overhead)"
    r"|\bmounted (?=above|over|to|at|in|high)"
    r"|\b(?:camera|wall|ceiling|tripod|top|lens)[- ]mount(?:s|ed|ing)?\b"
)
_PSEUDO_NEGATION = re.compile(
    r"\bnot (?:only|just|merely|simply)\b|\b(?:no|without(?: a| any)?) doubt\b|\bcan't help but\b"
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|none|cannot|without|nothing|hardly|avoid(?:s|ed|ing)?|lack(?:s|ed|ing)?|absence"
    r"|rather than|instead of|whether|if|unclear|free (?:of|from))\b|n't\b"
)
_NEGATED_AFTER = re.compile(
    r"^\w*\W+(?:\w+\W+){0,3}?(?:(?:is|are|was|were|do|does|did|has|have|can|could)(?:n't|not| not| never) (?:\w+ )?"
    r"(?:see|shown|observ|visible|evident|present|happen|occur|tak|apparent|detect|not(?:ed|ice)|involv)\w*"
    r"|(?:is|are|was|were) (?:absent|unlikely|ruled out))"
)
_SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\b\d)[.!?]+[\"')*\]]*(?=\s|$)|\n+")
_CLAUSE_END = re.compile(
    r"[.!?;:](?=\s|$)|\n|,?\s+(?=(?:but|however|although|though|while|whereas|yet|because|instead(?! of))\b)"
    r"|,\s+(?=(?:and |then )?(?:they|it|he|she|both|one|the|this|these|two)\b)"
    r"|\s+and (?=(?:they|it|both|one|the)\b)"
)


def category(caption: str) -> str:
    """Which of `CATEGORIES`, the poster's three (Douglas 2025, "Language outputs"), a caption falls into.

    no response: fewer than 3 words, or wording of refusal or of an absent video within the first 250 characters.
    detailed: at least 25 words and 2 sentences. nondescript: the rest.
    """
    text = _plain(caption)
    words = _words(text)
    if len(words) < LEAST_WORDS or _REFUSAL.search(text[:REFUSAL_CHARACTERS]):
        return "no response"
    detailed = len(words) >= DETAILED_WORDS and sentence_count(caption) >= DETAILED_SENTENCES
    return "detailed" if detailed else "nondescript"


def sentence_count(caption: str) -> int:
    """Number of stretches with at least one word between full stops or line ends; one cut off at the end counts."""
    return sum(bool(_words(part)) for part in _SENTENCE_END.split(_plain(caption)))


def named_behaviours(caption: str) -> tuple[str, ...]:
    """The behaviours of Task 1 that a caption says to happen, in the order of `NAMED`.

    A word counts unless it is negated or left open ("whether they are fighting") in its clause, and where it needs one
    its object is a mouse: who explores or sniffs a cage investigates nobody.
    """
    text = _PSEUDO_NEGATION.sub(" ", _EQUIPMENT.sub(" ", _plain(caption)))
    named = {
        name
        for clause in _CLAUSE_END.split(text)
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
    return bool(_NEGATION.search(before) or _NEGATED_AFTER.search(clause[match.end() :]))


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
