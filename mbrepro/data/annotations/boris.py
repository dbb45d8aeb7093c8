"""BORIS's exports of events: tabular, a row for each START and STOP, of versions 7 to 9, and aggregated, a row a bout.

Cells are separated by commas, tabs or, as German Excel saves them, semicolons with decimal commas. Times count from the
observation's time offset (olivierfriard/BORIS, export_events.py). Tabular files are written too.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro.artifacts import write_text
from mbrepro.data.annotations.bout import Bout, Extent, check_ends, check_wanted
from mbrepro.data.recordings import Clock, frame_at
from mbrepro.data.tables import SEPARATORS, csv_text, unmarked
from mbrepro.errors import InputError

STATUS = ("Status", "Behavior type")  # of START and STOP; the second from version 8 on
POINT = "POINT"
SPAN = ("Start (s)", "Stop (s)")
OFFSET = "Time offset (s)"
RATE = ("FPS", "FPS (frame/s)")  # the second in the newest versions
LENGTH = ("Media duration (s)", "Total length")  # the second up to version 7
ONE_OF_EACH = ("Observation id", "Media file path", "Media file name", "Media file")
COLUMNS = (  # of a tabular export of version 8
    "Observation id", "Observation date", "Description", "Observation duration", "Observation type", "Source",
    "Media duration (s)", "FPS", "Subject", "Behavior", "Behavioral category", "Behavior type", "Time",
    "Media file name", "Image index", "Image file path", "Comment",
)  # fmt: skip
_NOWHERE = {"", "NA", "Not found"}

Event = dict[str, str]


def is_boris(text: str) -> bool:
    """Whether a file's text has words that every export has."""
    return "Behavior" in text and any(name in text for name in STATUS)


def read_boris(
    path: Path, text: str, clock: Clock, wanted: str | None = None, points: Mapping[str, float] | None = None
) -> list[Bout]:
    """Bouts, each from a START up to its STOP, paired by behaviour, subject and modifiers; the channel is the subject.

    points: seconds that a behaviour's point events last, from their time to the media's end at most, and a frame at
    least; None for a frame each. Raises InputError for another file, events of several observations or media, a point
    event that is given no length, a START without STOP, times before the offset, or a behaviour that is wanted and not
    there.
    """
    events = _events(path, text)
    check_wanted(path, {event["Behavior"] for event in events}, wanted)
    for column in ONE_OF_EACH:
        names = {event.get(column, "") for event in events} - _NOWHERE
        if len(names) > 1:
            some = ", ".join(sorted(names)[:3])
            raise InputError(f"{path}: {column} has {len(names)} values ({some}); export each to a file of its own")
    bouts = []
    end = extent_of_boris(path, text).frames or math.inf
    for start, stop in _pairs(path, [e for e in events if wanted in (None, e["Behavior"])], points):
        first, last = _frame(path, start, start[SPAN[0]], clock), _frame(path, stop, stop[SPAN[1]], clock)
        last = last if start[STATUS[0]] != POINT else max(first + 1, int(min(last, end)))
        bouts.append(Bout(start["Behavior"], first, last, start.get("Subject", "")))
    return bouts


def _events(path: Path, text: str) -> list[Event]:
    """Rows below the header by column, with `SPAN`, `OFFSET` and `STATUS[0]` among them, decimal points in numbers."""
    for separator in SEPARATORS:
        try:
            rows = [list(map(unmarked, row)) for row in csv.reader(text.splitlines(), delimiter=separator)]
        except csv.Error as error:
            raise InputError(f"{path}: cannot be read as a BORIS export ({error}); export it again") from error
        place = next((k for k, row in enumerate(rows) if _is_header(set(row))), None)
        if place is not None:
            break
    else:
        columns = f"Behavior with Time and {' or '.join(STATUS)}, or with {' and '.join(SPAN)}"
        raise InputError(f"{path}: no BORIS export of events, which has the columns {columns}")
    above = {row[0].strip(): row[1] for row in rows[:place] if len(row) > 1}
    comma = "," if separator != "," else "."  # what stands for the point
    events = []
    for row in (row for row in rows[place + 1 :] if any(row)):
        event = dict.fromkeys(rows[place], "") | dict(zip(rows[place], row, strict=False))
        times = {column: event[column if column in event else "Time"] for column in SPAN}
        times[OFFSET] = event.get(OFFSET) or above.get(OFFSET) or "0"
        status = event.get(STATUS[0], event.get(STATUS[1], ""))
        times = {column: cell.replace(comma, ".") for column, cell in times.items()}
        events.append(event | times | {STATUS[0]: status})
    return events


def point_behaviours(path: Path, text: str) -> set[str]:
    """The behaviours that have point events."""
    return {event["Behavior"] for event in _events(path, text) if event[STATUS[0]] == POINT}


def extent_of_boris(path: Path, text: str) -> Extent:
    """The rate and the length of the media, if the rows tell one of each."""
    events = _events(path, text)
    rate, length = (next(filter(None, (_only(events, name) for name in names)), None) for names in (RATE, LENGTH))
    return Extent(rate, round(rate * length) if rate and length else None)


def _only(events: list[Event], column: str) -> float | None:
    """The one positive number that a column holds in all rows, if it does."""
    cells = {event.get(column, "").replace(",", ".") for event in events}
    try:
        (number,) = map(float, cells)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _is_header(names: set[str]) -> bool:
    return "Behavior" in names and (names >= {*SPAN} or ("Time" in names and bool(names & {*STATUS})))


def _pairs(path: Path, events: list[Event], points: Mapping[str, float] | None) -> list[tuple[Event, Event]]:
    """The rows in which each bout starts and stops, one and the same in the aggregated form, in the order of STOPs."""
    pairs, begun = [], {}
    for event in events:
        modifiers = tuple(cell for column, cell in event.items() if column.startswith("Modifier"))
        key = event["Behavior"], event.get("Subject", ""), modifiers
        status, told = event[STATUS[0]], f"{event['Behavior']} at {event[SPAN[0]]} s"
        if status == POINT and points is not None and event["Behavior"] not in points:
            raise InputError(
                f"{path}: {told} is a point event, which has no length; give it one, point_seconds in dataset.yml or "
                "--point-seconds, or code the behaviour as a state"
            )
        if status == POINT:
            stop = _seconds(path, event[SPAN[0]]) + (points or {}).get(event["Behavior"], 0)
            pairs.append((event, event | {SPAN[1]: str(stop)}))
        elif status == "STATE":
            pairs.append((event, event))
        elif status not in ("START", "STOP") or (status == "STOP") != (key in begun):
            raise InputError(f"{path}: {told} is {status or 'nothing'} out of turn; mend it in BORIS")
        elif status == "START":
            begun[key] = event
        else:
            pairs.append((begun.pop(key), event))
    if begun:
        behaviour, subject, _ = min(begun)
        raise InputError(f"{path}: the last {behaviour} of {subject!r} has a START but no STOP; stop it in BORIS")
    return pairs


def _frame(path: Path, event: Event, cell: str, clock: Clock) -> int:
    seconds, offset = (_seconds(path, text) for text in (cell, event[OFFSET]))
    try:
        frame = frame_at(seconds - offset, clock)
    except OverflowError:
        frame = -1
    if frame < 0:
        raise InputError(f"{path}: {event['Behavior']} at {cell} s is before the time offset {offset:g}; export again")
    return frame


def _seconds(path: Path, cell: str) -> float:
    """Seconds of a number or of hours:minutes:seconds."""
    try:
        seconds = sum(float(part) * 60**place for place, part in enumerate(reversed(cell.split(":"))))
    except (ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise InputError(f"{path}: {cell!r} is not a time in seconds; export it again")
    return seconds


def write_boris(path: Path, bouts: Sequence[Bout], edges: np.ndarray, media: str = "") -> None:
    """Write bouts as a tabular csv of BORIS 8, two rows each in order of time; a bout's channel is its subject.

    edges: (T + 1,) seconds at which each frame is shown, and at which the last one ends. media: the video's name.
    Raises InputError if a bout ends after the last frame.
    """
    check_ends(path, bouts, len(edges) - 1)
    length, rate = f"{edges[-1] - edges[0]:.3f}", f"{(len(edges) - 1) / (edges[-1] - edges[0]):.6g}"
    observation = {
        "Observation id": path.stem, "Observation duration": length, "Observation type": "Media file(s)",
        "Source": f"player #1:{media}", "Media duration (s)": length, "FPS": rate, "Media file name": media,
        "Image file path": "NA",
    }  # fmt: skip
    events = [(bout.start, "START", bout) for bout in bouts] + [(bout.stop, "STOP", bout) for bout in bouts]
    rows = [
        observation
        | {"Subject": bout.channel, "Behavior": bout.behaviour, "Behavior type": status}
        | {"Time": f"{edges[frame]:.6f}", "Image index": frame}
        for frame, status, bout in sorted(events, key=lambda event: (event[0], event[1] == "START"))  # ends come first
    ]
    write_text(path, csv_text(pd.DataFrame(rows, columns=list(COLUMNS))))
