"""BORIS's csv export of events, a row for each START and STOP."""

import csv
from collections.abc import Collection
from pathlib import Path

from mbrepro.data.annotations.bout import Bout, check_wanted
from mbrepro.errors import InputError


def read_boris(path: Path, text: str, fps: float, behaviours: Collection[str] | None = None) -> list[Bout]:
    """Bouts from each START up to its STOP, paired by behaviour and subject; the channel is the subject.

    Raises InputError for another file, a START without STOP, or behaviours of which the file has none.
    """
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as a BORIS csv export ({error})") from error
    header = next((place for place, row in enumerate(rows) if {"Time", "Behavior", "Status"} <= set(row)), None)
    if header is None:
        raise InputError(f"{path}: not a BORIS csv export, which has the columns Time, Behavior and Status")
    events = [dict(zip(rows[header], row, strict=False)) for row in rows[header + 1 :] if any(row)]
    check_wanted(path, {event.get("Behavior", "") for event in events}, behaviours)
    bouts, begun = [], {}
    for event in (event for event in events if behaviours is None or event.get("Behavior") in behaviours):
        key = behaviour, subject = event.get("Behavior", ""), event.get("Subject", "")
        status = event.get("Status", "")
        if status not in ("START", "STOP") or (status == "STOP") != (key in begun):
            raise InputError(f"{path}: {behaviour} at {event['Time']} s is {status or 'nothing'} out of turn")
        if status == "START":
            begun[key] = _frame(path, event["Time"], fps)
        else:
            bouts.append(Bout(behaviour, begun.pop(key), _frame(path, event["Time"], fps), subject))
    if begun:
        behaviour, subject = min(begun)
        raise InputError(f"{path}: the last {behaviour} of {subject!r} has a START but no STOP")
    return bouts


def _frame(path: Path, seconds: str, fps: float) -> int:
    try:
        return max(round(float(seconds) * fps), 0)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: {seconds!r} is not a time in seconds") from error
