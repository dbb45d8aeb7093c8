"""The two files that describe a data set of one's own: `recordings.csv`, a line a recording, and `dataset.yml`."""

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mbrepro.data.recordings import OTHER, SPLITS, Skeleton
from mbrepro.data.tables import SEPARATORS, unmarked
from mbrepro.errors import InputError
from mbrepro.paths import linked_out

TABLE, DESCRIPTION = "recordings.csv", "dataset.yml"
COLUMNS = {  # of the table, and what each holds
    "name": "what the recording is called; results are filed under it",
    "animal": "who was filmed: recordings of one animal are never learned from and tested on at once",
    "split": "train or test in every line, or empty in every line for folds by animal",
    "poses": "the pose file, its path seen from this folder",
    "labels": "the label file, likewise; empty if there is none",
    "video": "the video, likewise; empty if there is none",
    "fps": "frames a second; empty where there is a video, which has its own clock",
    "start": "second at which labels begin to count; empty: from the first frame",
    "stop": "second at which they no longer count; empty: to the last frame",
}
KEYS = {  # of the description, and what each holds
    "individuals": "the two animals by their names in the pose files, the resident first; empty if there are just two",
    "roles": "alike, if labels do not say which animal does it, or different, if resident and intruder are told apart",
    "parts": "the points to use, as a list",
    "front": "which of them is the animal's front",
    "rear": "and which its rear",
    "part_names": "where the pose files call a part otherwise: our name: theirs",
    "behaviours": "each label of the label files: its class, in one word; other is what is none of the behaviours",
    "ignored": "labels whose frames count nowhere",
    "unlabelled": "frames that no label covers: other, or nowhere if they count nowhere",
    "channel": "which channel, stream or subject of the label files; empty if they have one",
    "point_seconds": "how long point events last, from their time on: label: seconds; empty: they are refused",
    "frame_size": "width and height in px of the picture that was tracked; empty: the video's",
    "offset": "x and y to add to the poses, px, if a part of the picture was tracked; empty: none",
    "align": "start or end, the end that poses and a trimmed video have in common; empty: they are as long",
    "min_score": "points of less confidence are filled in; empty: none",
}
NEEDED = {"roles", "parts", "front", "rear", "behaviours", "unlabelled"}
ALIKE, DIFFERENT = "alike", "different"
NOWHERE = "nowhere"
_KINDS = dict.fromkeys(KEYS, str) | dict.fromkeys(("individuals", "parts", "ignored", "frame_size", "offset"), list)
_KINDS |= dict.fromkeys(("part_names", "behaviours", "point_seconds"), dict)


@dataclass(frozen=True)
class Description:
    """What the recordings have in common, as in `KEYS`.

    alike: whether labels do not say which animal does it. meaning: label → class, or None where its frames count
    nowhere. between: the class of frames without a label, or None. points: label → seconds of its point
    events. reading: keywords of `read_own` that every recording is read with.
    """

    skeleton: Skeleton
    alike: bool
    meaning: Mapping[str, str | None]
    channel: str
    between: str | None
    points: Mapping[str, float]
    reading: Mapping[str, object]

    @property
    def classes(self) -> tuple[str, ...]:
        """The behaviours in the order in which they are named, and "other" behind them."""
        named = dict.fromkeys(name for name in self.meaning.values() if name not in (None, OTHER))
        return (*named, OTHER)


@dataclass(frozen=True)
class Entry:
    """A line of the table, as in `COLUMNS`; start and stop in seconds, None for the recording's own ends."""

    name: str
    animal: str
    split: str
    poses: Path
    labels: Path | None
    video: Path | None
    fps: float | None
    start: float | None
    stop: float | None

    def counted(self, shown: np.ndarray) -> np.ndarray:
        """(T,) bool, whether labels count of frames that are shown at these seconds (T,)."""
        return (shown >= (self.start or 0)) & (shown < (math.inf if self.stop is None else self.stop))


@dataclass(frozen=True)
class Manifest:
    """A data set's folder, what its recordings share, and a line for each."""

    folder: Path
    description: Description
    entries: tuple[Entry, ...]


def read_manifest(folder: Path) -> Manifest:
    """Read `recordings.csv` and `dataset.yml` of a folder; what they name is not opened.

    Raises InputError naming the file and the line or the key that is missing, unknown or wrong.
    """
    folder = Path(folder)
    entries = tuple(_entry(folder, number, row) for number, row in _rows(folder / TABLE))
    for field in ("name", "poses"):
        values = [getattr(entry, field) for entry in entries]
        if twice := [value for value in values if values.count(value) > 1]:
            raise InputError(f"{folder / TABLE}: {field} {twice[0]} is in two lines; each recording has one")
    splits = {entry.split for entry in entries}
    if splits != {""} and not splits <= set(SPLITS):
        raise InputError(f"{folder / TABLE}: split must be train or test in every line, or empty in every line")
    both = {e.animal for e in entries if e.split == "train"} & {e.animal for e in entries if e.split == "test"}
    if both:
        raise InputError(f"{folder / TABLE}: animal {min(both)} is in both the train and the test split")
    return Manifest(folder, _description(folder / DESCRIPTION), entries)


def with_skeleton(manifest: Manifest, skeleton: Skeleton) -> Manifest:
    """A manifest whose recordings are read with other points than `dataset.yml` names; other names of these stay."""
    reading: dict[str, Any] = dict(manifest.description.reading)
    reading["parts"] = {part: theirs for part, theirs in reading["parts"].items() if part in skeleton.parts}
    reading["skeleton"] = skeleton
    return replace(manifest, description=replace(manifest.description, skeleton=skeleton, reading=reading))


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Number of each line below the header, and its cells by column; lines that begin with # are comments."""
    lines = [(k, line) for k, line in enumerate(_text(path).splitlines(), 1) if line.strip() and line[0] != "#"]
    separator = max(SEPARATORS, key=lines[0][1].count) if lines else ","
    try:
        header, *rows = csv.reader((line for _, line in lines), delimiter=separator) if lines else [[]]
    except csv.Error as error:
        raise InputError(f"{path}: not a table ({error}); save it again as csv") from error
    header, *rows = ([unmarked(cell.strip()) for cell in row] for row in (header, *rows))
    if not {"name", "poses"} <= set(header) <= set(COLUMNS):
        raise InputError(f"{path}: its columns must be {', '.join(COLUMNS)}, of which name and poses are needed")
    if not rows:
        raise InputError(f"{path}: it names no recording; add a line for each")
    for (number, _), row in zip(lines[1:], rows, strict=True):
        if len(row) != len(header):
            raise InputError(f"{path}: line {number} has {len(row)} cells, not {len(header)}")
    numbers = (number for number, _ in lines[1:])
    empty = dict.fromkeys(COLUMNS, "")
    return [(n, empty | dict(zip(header, row, strict=True))) for n, row in zip(numbers, rows, strict=True)]


def _entry(folder: Path, number: int, row: dict[str, str]) -> Entry:
    where = f"{folder / TABLE}: line {number}"
    if not re.fullmatch(r"\w[\w .+-]*", row["name"]):
        raise InputError(f"{where}: a name is letters, digits, spaces and . + - _, not {row['name']!r}")
    if not row["poses"]:
        raise InputError(f"{where}: it names no pose file")
    for key in ("poses", "labels", "video"):
        if not row[key].isprintable():
            raise InputError(f"{where}: no file of {key} can be called {row[key]!r}")
    files = {key: folder / row[key].replace("\\", "/") if row[key] else None for key in ("poses", "labels", "video")}
    for key, path in files.items():
        if path and (leads := linked_out(path, folder)):
            raise InputError(
                f"{where}: {key} leads by a link to {leads}; name that path, or copy the file into {folder}"
            )
    numbers = {key: _number(f"{where}: {key}", row[key]) if row[key] else None for key in ("fps", "start", "stop")}
    if numbers["fps"] == 0:
        raise InputError(f"{where}: fps must be above 0")
    return Entry(row["name"], row["animal"] or row["name"], row["split"], **files, **numbers)


def _number(what: str, text: str, least: float = 0) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= least):
        raise InputError(
            f"{what} must be a number{f' of at least {least}' if math.isfinite(least) else ''}, not {text!r}"
        )
    return value


def _description(path: Path) -> Description:
    try:
        content = yaml.load(_text(path), yaml.BaseLoader)  # texts alone: "no" and "1" are labels, not False and 1
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not NEEDED <= set(content) <= set(KEYS):
        raise InputError(f"{path}: its keys must be {', '.join(KEYS)}, of which {', '.join(sorted(NEEDED))} are needed")
    of: dict[str, Any] = {key: content.get(key) or kind() for key, kind in _KINDS.items()}
    for key, value in of.items():
        _check_kind(path, key, value)
    try:
        skeleton = Skeleton(tuple(of["parts"]), of["front"], of["rear"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    meaning = dict(of["behaviours"]) | dict.fromkeys(of["ignored"])
    if wrong := [name for name in meaning.values() if name is not None and not re.fullmatch(r"[\w.+-]+", name)]:
        raise InputError(f"{path}: a class is one word of letters, digits and . + - _, not {wrong[0]!r}")
    if of["unlabelled"] not in (OTHER, NOWHERE):
        raise InputError(f"{path}: unlabelled must be {OTHER} or {NOWHERE}, not {of['unlabelled']!r}")
    if of["roles"] not in (ALIKE, DIFFERENT):
        raise InputError(f"{path}: roles must be {ALIKE} or {DIFFERENT}, not {of['roles']!r}")
    points = {name: _number(f"{path}: point_seconds", text) for name, text in of["point_seconds"].items()}
    if wrong := [name for name, seconds in points.items() if name not in meaning or not seconds]:
        raise InputError(f"{path}: point_seconds must be above 0, and of a label of behaviours or ignored: {wrong[0]}")
    between, alike = None if of["unlabelled"] == NOWHERE else OTHER, of["roles"] == ALIKE
    return Description(skeleton, alike, meaning, of["channel"], between, points, _reading(path, of, skeleton))


def _check_kind(path: Path, key: str, value: Any) -> None:
    texts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(value, _KINDS[key]) or not all(isinstance(text, str) for text in texts):
        told = {str: "a text", list: "a list, as in [a, b]", dict: "lines of the form name: text"}[_KINDS[key]]
        raise InputError(f"{path}: {key} must be {told}")


def _reading(path: Path, of: Mapping, skeleton: Skeleton) -> dict[str, object]:
    for key in ("individuals", "frame_size", "offset"):
        if len(of[key]) not in (0, 2):
            raise InputError(f"{path}: {key} must be two, as in [a, b], or empty, not {len(of[key])}")
    size = [int(_number(f"{path}: frame_size", text, 1)) for text in of["frame_size"]]
    offset = [_number(f"{path}: offset", text, -math.inf) for text in of["offset"]]
    return {
        "individuals": of["individuals"] or None, "parts": of["part_names"], "skeleton": skeleton,
        "frame_size": size or None, "offset": offset or None, "align": of["align"] or None,
        "min_score": _number(f"{path}: min_score", of["min_score"] or "0"),
    }  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; mbrepro init {path.parent} writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from error
