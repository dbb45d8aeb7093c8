"""Figures that real data decide, recorded in the repository: numbers with their provenance, never data.

They are read from `results/recorded/PAGE.json`. Where this machine has the data they are computed again and must
agree. `mbrepro record` records them anew.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbrepro import paths
from mbrepro.artifacts import read_json, write_json
from mbrepro.data import labels, real
from mbrepro.data.labels import NEEDS_LABELS
from mbrepro.demo import likeness, windows
from mbrepro.errors import InputError
from mbrepro.study import audit, namer, official, people, rats, sparsity

TOLERANCE = 1e-9
DIGITS = 10  # what is kept of a number: more than the tolerance, less than processors differ in


NEEDS_ALL = "set MBREPRO_REAL_DATA to the folder of the study's real data, whose sources the provenance names"


@dataclass(frozen=True)
class Page:
    """How the figures of one file are made.

    read: the real data, or None where this machine has none. figures, provenance: of what it read. needs: what to set
    or fetch for it. optional: figures of files apart; where they are absent, so are the figures, and what provenance
    tells of them is None. again: some of the figures, all that are computed again where computing every one takes long.
    """

    read: Callable[[], object | None]
    figures: Callable[[Any], dict]
    provenance: Callable[[Any], dict]
    needs: str
    optional: tuple[str, ...] = ()
    again: Callable[[Any], dict] | None = None


_of_human = lambda _: people.provenance(real.HUMAN, real.PEOPLE, "human")  # noqa: E731
_of_feral = lambda _: people.provenance(real.FERAL, real.PREDICTIONS, "compared")  # noqa: E731
PAGES = {
    "audit": Page(audit.read, audit.figures, audit.provenance, NEEDS_LABELS, ("mouse071",)),
    "feral": Page(people.read_feral, lambda pair: people.compared(*pair), _of_feral, NEEDS_ALL),
    "human": Page(people.read_human, people.human, _of_human, NEEDS_ALL),
    "namer": Page(namer.read, namer.figures, namer.provenance, NEEDS_ALL),
    "sparsity": Page(labels.real_labels, sparsity.figures, sparsity.provenance, NEEDS_LABELS),
    "official": Page(official.read, official.figures, official.provenance, official.NEEDS),
    "rats": Page(rats.read, rats.figures, rats.provenance, NEEDS_ALL, again=rats.facts),
    "windows": Page(likeness.read_windows, windows.tracked, likeness.windows_provenance, NEEDS_ALL),
}


def path_of(page: str) -> Path:
    """The recorded figures of a page."""
    return paths.recorded() / f"{page}.json"


def read(page: str, path: Path | None = None) -> dict:
    """A page's recorded figures and their provenance. Raises InputError naming the file if they are not there."""
    path = path or path_of(page)
    try:
        content = read_json(path)
        return {"provenance": content["provenance"], "figures": content["figures"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no recorded figures ({error}); restore the file from the repository") from error


def figures(page: str) -> dict:
    """A page's recorded figures, compared with what this machine's real data give if it has any.

    Raises InputError naming the first figure that differs.
    """
    kept, made = read(page)["figures"], PAGES[page]
    data = made.read()
    if data is not None:
        again = rounded((made.again or made.figures)(data))
        spared = kept if made.again else made.optional
        compare(path_of(page), kept, again | {name: kept[name] for name in spared if name not in again})
    return kept


def compute(page: str, data: object) -> dict:
    """A page's figures from what its `read` gives, rounded as they are recorded."""
    return rounded(PAGES[page].figures(data))


def record(page: str) -> Path:
    """Compute a page's figures from the real data and write them; return the file.

    Optional figures that this machine has no data for stay as they are recorded. Raises InputError if it has none of
    the others'.
    """
    made = PAGES[page]
    data = made.read()
    if data is None:
        raise InputError(f"the figures of {page} are recorded from real data: {made.needs}")
    found, told = compute(page, data), made.provenance(data)
    if any(name not in found for name in made.optional):
        before = read(page)
        found |= {name: before["figures"][name] for name in made.optional if name not in found}
        told = {name: told[name] if told[name] is not None else before["provenance"][name] for name in told}
    write_json(path_of(page), {"provenance": told, "figures": found})
    return path_of(page)


def compare(origin: Path, kept: object, again: object, name: str = "") -> None:
    """Raise InputError naming the first figure in which recorded and recomputed ones differ."""
    if isinstance(kept, Mapping) and isinstance(again, Mapping) and kept.keys() == again.keys():
        for key in kept:
            compare(origin, kept[key], again[key], f"{name}.{key}" if name else key)
    elif isinstance(kept, list) and isinstance(again, list) and len(kept) == len(again):
        for place, (one, other) in enumerate(zip(kept, again, strict=True)):
            compare(origin, one, other, f"{name}[{place}]")
    elif isinstance(kept, (int, float)) and isinstance(again, (int, float)) and abs(kept - again) <= TOLERANCE:
        return
    elif kept != again:
        told = f"is {again}" if isinstance(again, (int, float, str)) else "has another form"
        raise InputError(
            f"{origin}: {name} is recorded as {str(kept)[:60]}, and computed from this machine's real data {told}; "
            "if the data are right, record anew with make record"
        )


def rounded(value: Any) -> Any:
    """Figures as they are written: with `DIGITS` digits, and None where there is none."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DIGITS)  # JSON has no NaN: there is no such figure
    return value


def numbers(found: Mapping, prefix: str) -> Iterator[tuple[str, float]]:
    """Every number of nested figures under one flat name, lists left out: PREFIX_test_clips_always and so on.

    A figure with an interval gives three: its own name, and that with _low and _high.
    """
    for key, value in found.items():
        name = prefix if key == "value" else f"{prefix}_{key.replace(' ', '_')}"
        if isinstance(value, Mapping):
            yield from numbers(value, name)
        elif isinstance(value, (int, float)):
            yield name, float(value)
