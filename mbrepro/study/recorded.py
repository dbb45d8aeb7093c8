"""Figures that CalMS21's real labels decide, recorded in the repository: numbers with their provenance, never labels.

They are read from `results/recorded/PAGE.json`. Where this machine has the labels they are computed again and must
agree. `mbrepro record` records them anew.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mbrepro import paths
from mbrepro.artifacts import write_json
from mbrepro.data import labels
from mbrepro.errors import InputError
from mbrepro.metrics import resampling
from mbrepro.study import audit, sparsity

PAGES = ("audit", "sparsity")
TOLERANCE = 1e-9
DIGITS = 10  # what is kept of a number: more than the tolerance, less than processors differ in
AUTHOR_FOLDER = "author_predictions_mouse071"
AUTHOR_KEY = "mouse071"


def path_of(page: str) -> Path:
    """The recorded figures of a page, "audit" or "sparsity"."""
    return paths.recorded() / f"{page}.json"


def read(page: str, path: Path | None = None) -> dict:
    """A page's recorded figures and their provenance. Raises InputError naming the file if they are not there."""
    path = path or path_of(page)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {"provenance": content["provenance"], "figures": content["figures"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no recorded figures ({error}); restore the file from the repository") from error


def figures(page: str) -> dict:
    """A page's recorded figures, compared with what this machine's real labels give if it has any.

    Raises InputError naming the first figure that differs.
    """
    kept = read(page)["figures"]
    data = labels.real_labels()
    if data is not None:
        again = compute(page, data, _author())
        if AUTHOR_KEY in kept:  # the author's predictions are no part of CalMS21
            again.setdefault(AUTHOR_KEY, kept[AUTHOR_KEY])
        compare(path_of(page), kept, again)
    return kept


def compute(page: str, data: labels.LabelSet, author: Path | None) -> dict:
    """A page's figures from labels, rounded as they are recorded."""
    return _rounded(audit.figures(data, author) if page == "audit" else sparsity.figures(data))


def record(page: str) -> Path:
    """Compute a page's figures from the real labels and write them; return the file.

    Without the author's predictions, which are no part of CalMS21, what is recorded of them stays. Raises InputError if
    this machine has no real labels.
    """
    data, author = labels.real_labels(), _author()
    if data is None:
        raise InputError(
            "figures are recorded from real labels: fetch CalMS21, or set MBREPRO_REAL_DATA to a folder with "
            "calms21_labels/task1_labels.npz"
        )
    provenance = {
        "data": "CalMS21 (Sun et al. 2021, DOI 10.22002/D1.1991), Task 1: labels of 70 train and 19 test videos",
        "labels_sha256": labels.sha256(data),
        "computed_by": f"mbrepro.{page}.figures",
        "intervals": f"95 % percentile bootstrap over videos, {resampling.RESAMPLES} resamples, seed 0",
    }
    found = compute(page, data, author)
    if page == "audit":
        provenance["author_predictions"] = "github.com/audreyadouglas/mouse_action_rec, commit 0428eddc, demo/"
        hashed = audit.author_sha256(author) if author else read(page)["provenance"]["author_predictions_sha256"]
        provenance["author_predictions_sha256"] = hashed
        if author is None:
            found[AUTHOR_KEY] = read(page)["figures"][AUTHOR_KEY]
    write_json(path_of(page), {"provenance": provenance, "figures": found})
    return path_of(page)


def _author() -> Path | None:
    folder = Path(os.environ.get("MBREPRO_REAL_DATA", "")) / AUTHOR_FOLDER
    return folder if folder.is_dir() else None


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
            f"{origin}: {name} is recorded as {str(kept)[:60]}, and computed from this machine's real labels {told}; "
            "if the labels are right, record anew with make record"
        )


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, DIGITS) if isinstance(value, float) else value


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
