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


def check_wanted(path: Path, known: Collection[str], wanted: str | None) -> None:
    """Raise InputError if a file does not know the behaviour that is wanted; None wants all."""
    if wanted is not None and wanted not in known:
        raise InputError(f"{path}: no {wanted!r} in it, only {', '.join(sorted(known))}")


def check_ends(path: Path, bouts: Sequence[Bout], frames: int) -> None:
    """Raise InputError, naming the file to be written, if a bout ends after the last of so many frames."""
    for bout in bouts:
        if bout.stop > frames:
            raise InputError(f"{path}: {bout.behaviour} ends at frame {bout.stop}, and the recording at {frames}")
