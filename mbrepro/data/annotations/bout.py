"""What every label file comes down to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mbrepro.data.recordings import Clock
from mbrepro.errors import InputError

NOT_SCORABLE = "not scorable"  # what stands in the place of a behaviour where nobody, or no model, could tell one


@dataclass(frozen=True)
class Bout:
    """An unbroken stretch of one behaviour: first frame, and the frame after its last, both counted from 0.

    channel: the file's name of the track that it lies in, or of the animal that does it.
    """

    behaviour: str
    start: int
    stop: int
    channel: str = ""


class Extent(NamedTuple):
    """What a label file tells of its recording: when frames are shown, and how many there are; None if it does not."""

    clock: Clock | None = None
    frames: int | None = None


def wanted_bouts(path: Path, bouts: list[Bout], wanted: Collection[str] | None) -> list[Bout]:
    """The bouts of the behaviours that are wanted, all by default; raises InputError as `check_wanted`."""
    check_wanted(path, {bout.behaviour for bout in bouts}, wanted)
    return [bout for bout in bouts if wanted is None or bout.behaviour in wanted]


def check_wanted(path: Path, known: Collection[str], wanted: Collection[str] | None) -> None:
    """Raise InputError if a file knows none of the behaviours that are wanted; None wants all."""
    if wanted is not None and not set(known) & set(wanted):
        raise InputError(f"{path}: no {' or '.join(map(repr, wanted))} in it, only {', '.join(sorted(known))}")


def check_ends(path: Path, bouts: Sequence[Bout], frames: int) -> None:
    """Raise InputError, naming the file to be written, if a bout ends after the last of so many frames."""
    for bout in bouts:
        if bout.stop > frames:
            raise InputError(f"{path}: {bout.behaviour} ends at frame {bout.stop}, and the recording at {frames}")
