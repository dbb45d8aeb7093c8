"""What every label file comes down to."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mbrepro.errors import InputError


@dataclass(frozen=True)
class Bout:
    """An unbroken stretch of one behaviour: first frame, and the frame after its last, both counted from 0.

    channel: the file's name of the track that it lies in, or of the animal that does it.
    """

    behaviour: str
    start: int
    stop: int
    channel: str = ""


def check_wanted(path: Path, known: Collection[str], wanted: Collection[str] | None) -> None:
    """Raise InputError if a file knows none of the behaviours that are wanted; None wants all."""
    if wanted is not None and not set(known) & set(wanted):
        raise InputError(f"{path}: no {' or '.join(map(repr, wanted))} in it, only {', '.join(sorted(known))}")
