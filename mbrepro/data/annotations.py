"""Label files in: what other tools' annotators wrote."""

import csv
from pathlib import Path

import numpy as np

from mbrepro.errors import InputError


def read_boris_events(path: Path, behaviour: str, fps: float, frames: int) -> np.ndarray:
    """Read one behaviour from a BORIS csv export as (frames,) bool, True from each START up to its STOP.

    Subjects are paired apart, then joined. Raises InputError for another file or behaviour, or a START without STOP.
    """
    try:
        rows = list(csv.reader(Path(path).read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a BORIS csv export ({error})") from error
    header = next((place for place, row in enumerate(rows) if {"Time", "Behavior", "Status"} <= set(row)), None)
    if header is None:
        raise InputError(f"{path}: not a BORIS csv export, which has the columns Time, Behavior and Status")
    events = [dict(zip(rows[header], row, strict=False)) for row in rows[header + 1 :] if any(row)]
    chosen = [event for event in events if event.get("Behavior") == behaviour]
    if not chosen:
        known = {event.get("Behavior", "") for event in events}
        raise InputError(f"{path}: no {behaviour!r} in it, only {', '.join(sorted(known))}")
    happening, begun = np.zeros(frames, bool), {}
    for event in chosen:
        subject, status = event.get("Subject", ""), event.get("Status", "")
        if status not in ("START", "STOP") or (status == "STOP") != (subject in begun):
            raise InputError(f"{path}: {behaviour} at {event['Time']} s is {status or 'nothing'} out of turn")
        if status == "START":
            begun[subject] = _frame(path, event["Time"], fps)
        else:
            happening[begun.pop(subject) : _frame(path, event["Time"], fps)] = True
    if begun:
        raise InputError(f"{path}: the last {behaviour} of {min(begun)!r} has a START but no STOP")
    return happening


def _frame(path: Path, seconds: str, fps: float) -> int:
    try:
        return max(round(float(seconds) * fps), 0)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: {seconds!r} is not a time in seconds") from error
