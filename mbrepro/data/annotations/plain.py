"""Labels in no annotator's own form: a table with a row a bout or a row a frame, and CalMS21's JSON.

Bouts have the columns `label`, and `start_frame` and `stop_frame`, from 0 and the last one excluded, or `start_s` and
`stop_s`; `channel` where there are several. Frames have their class in `label`, an empty cell where nobody labelled
them, or in a column for each class that holds 1 where it happens; `IGNORED` columns are no classes. `label` may be
called by any of `NAMES`.
"""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro.data.annotations.bout import NOT_SCORABLE, Bout, Extent
from mbrepro.data.calms21.read import read_groups
from mbrepro.data.recordings import CLOCK_ERROR_S, Clock, frame_at, mean_rate, runs
from mbrepro.data.tables import comma_lines, header_cells, unmarked
from mbrepro.errors import InputError

NAMES = ("label", "behaviour", "behavior", "class")
FRAMES, SECONDS = ("start_frame", "stop_frame"), ("start_s", "stop_s")
IGNORED = re.compile(r"|frame|frame_idx|time|time_s|p_action|score_.+")
IN_CLASS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
ROUNDING = 1e-5  # of times that were written with six digits


def is_bouts(text: str) -> bool:
    """Whether a text begins as a table of bouts does, also as one whose times have no unit."""
    cells = header_cells(text)
    return bool({*NAMES} & {*cells}) and any(cell.startswith("start") for cell in cells)


def is_frames(text: str) -> bool:
    """Whether a text's first two lines are those of a table of frames."""
    names, cells = (header_cells(line) for line in [*text.splitlines()[:2], "", ""][:2])
    of_classes = {cell for name, cell in zip(names, cells, strict=False) if not IGNORED.fullmatch(name)}
    return bool({*NAMES} & {*names}) or (bool(of_classes) and of_classes <= {*IN_CLASS})


def read_bout_table(path: Path, text: str, clock: Clock, *_: object) -> list[Bout]:
    """Bouts of a table of them. Raises InputError if its times have no unit, or for a row that is no bout."""
    table = _table(path)
    by_frame = {*FRAMES} <= {*table}
    if not by_frame and not {*SECONDS} <= {*table}:
        raise InputError(
            f"{path}: call its columns of times {' and '.join(FRAMES)} (from 0, the last one excluded) or "
            f"{' and '.join(SECONDS)}, as {', '.join(table)} tell no unit"
        )
    bouts = []
    for number, row in enumerate(table.to_dict("records"), 2):
        try:
            times = [float(row[name]) for name in (FRAMES if by_frame else SECONDS)]
            start, stop = (int(time) if by_frame else frame_at(time, clock) for time in times)
        except (ValueError, OverflowError):
            start = stop = 0
        if not 0 <= start < stop or (by_frame and [start, stop] != times):
            raise InputError(_no_bout(path, number))
        bouts.append(Bout(row[_label(table)], start, stop, row.get("channel", "")))
    return bouts


def read_frame_table(path: Path, text: str, clock: Clock, *_: object) -> list[Bout]:
    """Runs of a table of frames, `NOT_SCORABLE` those of empty cells; raises InputError for a cell that is no class."""
    table = _table(path)
    if "frame" in table and not np.array_equal(pd.to_numeric(table["frame"], "coerce"), np.arange(len(table))):
        raise InputError(f"{path}: the frame numbers do not run 0, 1, 2 …; export every frame")
    if name := _label(table):
        codes, names = pd.factorize(table[name].str.strip())
        bouts = [Bout(names[value] or NOT_SCORABLE, start, stop) for start, stop, value in runs(codes)]
    else:
        happening = {name: _happening(path, table[name]) for name in table if not IGNORED.fullmatch(name.lower())}
        spans = [(name, *run) for name, frames in happening.items() for run in runs(frames)]
        bouts = [Bout(name, start, stop) for name, start, stop, value in spans if value]
    return bouts


def _happening(path: Path, cells: pd.Series) -> np.ndarray:
    frames = cells.str.strip().str.lower().map(IN_CLASS)
    if frames.isna().any():
        line = int(frames.isna().argmax())
        raise InputError(f"{path}: line {line + 2}: {cells.name} is {cells[line]!r}, where 0 or 1 is needed; mend it")
    return frames.to_numpy(bool)


def read_calms21_labels(path: Path, text: str, clock: Clock, *_: object) -> list[Bout]:
    """Runs of the annotations of every sequence of a CalMS21 JSON; the channel is the sequence's name.

    Raises InputError for a sequence whose annotations are not numbers of its vocabulary.
    """
    bouts = []
    for key, sequence in ((key, s) for group in read_groups(path).values() for key, s in group.items()):
        try:
            names = {number: name for name, number in sequence["metadata"]["vocab"].items()}
            bouts += [Bout(names[value], start, stop, key) for start, stop, value in runs(sequence["annotations"])]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path}: sequence {key} has no annotations by the numbers of a vocab in its metadata ({error})"
            ) from error
    return bouts


def extent_of_bouts(path: Path, text: str) -> Extent:
    """A table of bouts that has frames and seconds tells the rate, but not how long the recording is."""
    table = _table(path)
    if not len(table) or not {*FRAMES, *SECONDS} <= {*table}:
        return Extent()
    ends = table[[FRAMES[1], SECONDS[1]]].apply(pd.to_numeric, errors="coerce")
    wrong = ~((ends > 0) & np.isfinite(ends)).all(axis=1)
    if wrong.any():
        raise InputError(_no_bout(path, int(wrong.argmax()) + 2))
    return Extent(ends[FRAMES[1]].max() / ends[SECONDS[1]].max())


def _no_bout(path: Path, line: int) -> str:
    return f"{path}: line {line} is no bout, which starts before it stops; mend it"


def extent_of_frames(path: Path, text: str) -> Extent:
    """A table of frames tells how many there are, and when they are shown if it has `time_s`."""
    table = _table(path)
    if "time_s" not in table:
        return Extent(None, len(table))
    times = pd.to_numeric(table["time_s"], "coerce").to_numpy(float)
    if len(times) > 1 and np.allclose(times, np.linspace(times[0], times[-1], len(times)), ROUNDING, CLOCK_ERROR_S):
        return Extent(mean_rate(times), len(table))
    if len(times) < 2 or not (np.diff(times) > 0).all():
        raise InputError(f"{path}: time_s must be ascending numbers; export it again")
    return Extent(times, len(table))


def frame_scores(path: Path) -> pd.DataFrame:
    """What a table of frames has in its columns score_CLASS, by class, NaN where a cell is no number."""
    table = _table(path)
    named = {name.removeprefix("score_"): table[name] for name in table if name.startswith("score_")}
    return pd.DataFrame({name: pd.to_numeric(cells, "coerce") for name, cells in named.items()})


def _table(path: Path) -> pd.DataFrame:
    """Texts by column; names that mean something are in small letters."""
    try:
        head, *rows = (list(map(unmarked, row)) for row in csv.reader(comma_lines(path)))
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a table with a head ({error}); export it again") from error
    if uneven := [line for line, row in enumerate(rows, 2) if len(row) != len(head)]:
        raise InputError(f"{path}: line {uneven[0]} has not the {len(head)} cells of the head; export it again")
    known = {*NAMES, *FRAMES, *SECONDS, "frame", "time_s", "channel"}
    head = [name.strip().lower() if name.strip().lower() in known else name for name in head]
    if twice := [name for name in head if head.count(name) > 1]:
        raise InputError(f"{path}: {twice[0]!r} is the head of two columns; name each its own")
    return pd.DataFrame(rows, columns=head)


def _label(table: pd.DataFrame) -> str | None:
    return next((name for name in NAMES if name in table), None)
