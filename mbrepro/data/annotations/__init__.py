"""Label files: one reader for each form, in one dictionary, and what makes labels of frames of their bouts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from mbrepro.data.annotations import plain
from mbrepro.data.annotations.boris import extent_of_boris, is_boris, point_behaviours, read_boris
from mbrepro.data.annotations.bout import NOT_SCORABLE, Bout, Extent, check_wanted
from mbrepro.data.annotations.caltech import extent_of_bento, read_bento, read_caltech
from mbrepro.data.recordings import UNLABELLED, Clock, mean_rate
from mbrepro.errors import InputError

Points = Mapping[str, float]  # behaviour → seconds that its point events last
NO_POINTS: Points = MappingProxyType({})
# of a file, its text, its clock, what is wanted of it, and the length of its points
Reader = Callable[[Path, str, Clock, str | None, Points | None], list[Bout]]


class Form(NamedTuple):
    """How a form is told by a file's text, how it is read, and what it tells of the recording's frames."""

    is_its_text: Callable[[str], bool]
    read: Reader
    extent: Callable[[Path, str], Extent] = lambda path, text: Extent()


READERS = {  # by a form's name
    "Caltech Behavior Annotator": Form(lambda text: text.startswith("Caltech Behavior Annotator"), read_caltech),
    "Bento annot": Form(lambda text: text.startswith("Bento annotation file"), read_bento, extent_of_bento),
    "CalMS21 JSON": Form(lambda text: text.lstrip().startswith("{"), plain.read_calms21_labels),
    "BORIS events, tabular or aggregated": Form(is_boris, read_boris, extent_of_boris),
    "csv of bouts": Form(plain.is_bouts, plain.read_bout_table, plain.extent_of_bouts),
    "csv of frames": Form(plain.is_frames, plain.read_frame_table, plain.extent_of_frames),
}
SPARE_S = 1.0  # how far bouts may reach beyond a recording's last pose: videos and poses differ by some frames


def read_bouts(path: Path, clock: Clock, wanted: str | None = None, points: Points | None = NO_POINTS) -> list[Bout]:
    """Bouts of a label file of one of the forms in `READERS`, told apart by content, in the file's order.

    clock: of the recording, for files that hold times. wanted: the one behaviour to read, all by default. points: of
    those that point events may be of, or None for points of a frame each, where only their names count.
    Raises InputError for a file that is damaged or of no such form, or that lacks the behaviour.
    """
    text, form = _text_and_form(Path(path))
    bouts = form.read(Path(path), text, clock, wanted, points)
    check_wanted(path, {bout.behaviour for bout in bouts}, wanted)
    return [bout for bout in bouts if wanted in (None, bout.behaviour)]


def read_extent(path: Path) -> Extent:
    """What a label file tells of when its recording's frames are shown and how many there are; raises as `read_bouts`.

    Only csv of frames knows uneven clocks; other forms tell a rate, or nothing.
    """
    text, form = _text_and_form(Path(path))
    return form.extent(Path(path), text)


def check_points(paths: Iterable[Path], points: Points) -> None:
    """Raise InputError if point events of a behaviour are given a length, and no file has any."""
    texts = {path: _text_and_form(path) for path in paths if points}
    found = {name for path, (text, form) in texts.items() if form.read is read_boris
             for name in point_behaviours(path, text)}  # fmt: skip
    if unused := [name for name in points if name not in found]:
        raise InputError(f"{next(iter(texts))}: {unused[0]!r} has no point events; leave its seconds out")


def read_scores(path: Path) -> pd.DataFrame:
    """A csv of frames' columns score_CLASS by class, NaN where a cell is empty; no columns for any other form."""
    return (
        plain.frame_scores(Path(path))
        if _text_and_form(Path(path))[1].read is plain.read_frame_table
        else pd.DataFrame()
    )


def _text_and_form(path: Path) -> tuple[str, Form]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from error
    form = next((form for form in READERS.values() if form.is_its_text(text)), None)
    if form is None:
        raise InputError(f"{path}: none of the label files that can be read, which are {', '.join(READERS)}")
    return text, form


def read_behaviour(
    path: Path, behaviour: str, clock: Clock, frames: int, point_seconds: float | None = None
) -> np.ndarray:
    """(frames,) bool, where one behaviour of a label file happens, whoever does it; its points last so many seconds.

    Raises InputError as `read_bouts`, if there are no points, and if a bout lies over `SPARE_S` beyond the last frame.
    """
    happening, points = np.zeros(frames, bool), {} if point_seconds is None else {behaviour: point_seconds}
    check_points([path], points)
    for bout in read_bouts(path, clock, behaviour, points):
        _check_end(path, bout, clock, frames)
        happening[bout.start : bout.stop] = True
    return happening


def read_frame_labels(path: Path, clock: Clock, *what: object, points: Points = NO_POINTS, **how: object) -> np.ndarray:
    """`frame_labels` of the bouts that a label file has; raises as it and `read_bouts` do."""
    return frame_labels(path, read_bouts(path, clock, points=points), clock, *what, **how)


def frame_labels(
    path: Path, bouts: Sequence[Bout], clock: Clock, frames: int, meaning: Mapping[str, str | None],
    classes: Sequence[str], *, channel: str = "", between: str | None = None,
) -> np.ndarray:  # fmt: skip
    """(frames,) int64 index into classes, or `UNLABELLED`, of a label file's bouts, which tell every frame's class.

    meaning: the file's behaviour → its class, or None for frames that count nowhere, as do those `NOT_SCORABLE`.
    channel: which of several. between: the class of frames in no bout, or None. Raises InputError if the file has no
    such channel or a behaviour without a meaning, if bouts of two classes overlap (that of `between` gives way), or if
    one lies over `SPARE_S` beyond the last frame.
    """
    meaning = {NOT_SCORABLE: None} | dict(meaning)
    channels = list(dict.fromkeys(bout.channel for bout in bouts))
    if channel not in channels and (channel or len(channels) > 1):
        raise InputError(f"{path}: name the channel to read, one of {', '.join(channels)}")
    labels = np.full(frames, UNLABELLED if between is None else classes.index(between))
    taken = np.zeros(frames, bool)
    for bout in (bout for bout in bouts if channel in ("", bout.channel)):
        if bout.behaviour not in meaning:
            raise InputError(f"{path}: say which class {bout.behaviour!r} is, or that its frames do not count")
        name = meaning[bout.behaviour]
        if name is not None and name == between:
            continue
        if name is not None:
            _check_end(path, bout, clock, frames)
        span, label = slice(bout.start, bout.stop), UNLABELLED if name is None else classes.index(name)
        if (conflict := taken[span] & (labels[span] != label)).any():
            place = bout.start + int(conflict.argmax())
            raise InputError(f"{path}: frame {place} is in bouts of two classes, one of them {bout.behaviour}")
        labels[span], taken[span] = label, True
    return labels


def _check_end(path: Path, bout: Bout, clock: Clock, frames: int) -> None:
    if bout.stop > frames + SPARE_S * mean_rate(clock):
        raise InputError(
            f"{path}: {bout.behaviour} goes on to frame {bout.stop} of a recording of {frames}; name its own label file"
        )
