"""DeepLabCut's csv and h5 files as plain arrays.

The h5 files are pandas' HDFStore; its "table" form keeps column labels as pickles. Nothing of an untrusted file is run:
pickles may hold texts, numbers and containers only, and name no class or function.
"""

import csv
import io
import pickle
import pickletools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import pandas as pd

from mbrepro.data.tables import comma_lines
from mbrepro.data.tracking.tracks import BROKEN, Tracks, check_size, stored_array
from mbrepro.errors import InputError

LEVELS = ("scorer", "individuals", "bodyparts", "coords")
SINGLE = ("scorer", "bodyparts", "coords")  # of a project without individuals
CELLS = ("x", "y", "likelihood")


def _arrange(path: Path, columns: Sequence[tuple[str, ...]], rows: np.ndarray, values: np.ndarray) -> Tracks:
    """Sort (T, C) values by individual, part and coordinate; rows: (T,) frame numbers."""
    if len(rows) == 0:
        raise InputError(f"{path}: the file has no frames")
    if not np.array_equal(rows, np.arange(len(rows))):
        raise InputError(f"{path}: the frame numbers do not run 0, 1, 2 …; export every frame")
    if values.shape != (len(rows), len(columns)):
        raise InputError(f"{path}: {len(columns)} columns are named, and {values.shape[-1]} there; export it again")
    single = all(len(column) == len(SINGLE) for column in columns)
    columns = [(column[0], "", *column[1:]) for column in columns] if single else columns
    if any(len(column) != len(LEVELS) for column in columns):
        raise InputError(f"{path}: the columns are not named by {', '.join(LEVELS)}; export it again")
    individuals = tuple(dict.fromkeys(column[1] for column in columns))
    parts = tuple(dict.fromkeys(column[2] for column in columns))
    check_size(path, (len(values), len(individuals), len(parts), len(CELLS)))
    table = np.full((len(values), len(individuals), len(parts), len(CELLS)), np.nan)
    filled = set()
    for column, series in zip(columns, values.T, strict=True):
        _, individual, part, cell = column
        if cell not in CELLS or column[1:] in filled:
            raise InputError(f"{path}: unexpected or repeated column {' / '.join(column)}")
        filled.add(column[1:])
        table[:, individuals.index(individual), parts.index(part), CELLS.index(cell)] = series
    scored = any(column[3] == "likelihood" for column in columns)
    return Tracks(individuals, parts, table[..., :2], table[..., 2] if scored else None)


def read_csv(path: Path, sequence: str | None = None) -> Tracks:
    """Read a csv file's one sequence; raises InputError if it is damaged or its frames are out of order."""
    lines = comma_lines(path)
    try:
        header = list(csv.reader(lines[: len(LEVELS)]))
    except csv.Error as error:
        raise InputError(f"{path}: not a csv file ({error}); export it again") from error
    names = [row[0].strip().lower() if row else "" for row in header]
    levels = next((levels for levels in (LEVELS, SINGLE) if tuple(names[: len(levels)]) == levels), None)
    if levels is None:
        raise InputError(
            f"{path}: not DeepLabCut's csv, whose rows begin with {', '.join(LEVELS)} (individuals may lack), then 0, 1"
        )
    header = header[: len(levels)]
    columns = list(zip(*(row[1:] for row in header), strict=False))
    for place, line in enumerate(lines):
        if line.count(",") != len(columns):
            raise InputError(
                f"{path}: line {place + 1} has {line.count(',') + 1} cells, not {len(columns) + 1}; export it again"
            )
    body = io.StringIO("".join(lines[len(levels) :]))
    try:
        table = pd.read_csv(body, header=None, dtype=np.float64, names=range(len(columns) + 1), index_col=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: a row below the header does not hold numbers only ({_one_line(error)})") from error
    return _arrange(path, columns, table[0].to_numpy(), table.iloc[:, 1:].to_numpy())


def read_h5(path: Path, sequence: str | None = None) -> Tracks:
    """As `read_csv`, for an h5 file."""
    try:
        with h5py.File(path) as file:
            frames = {name: group for name, group in file.items() if "pandas_type" in group.attrs}
            if len(frames) != 1:
                raise InputError(f"{path}: an h5 file of DeepLabCut holds one table, this one {len(frames)}")
            (group,) = frames.values()
            content = _read_table(path, group) if "table" in group else _read_fixed(path, group)
    except (OSError, RuntimeError, *BROKEN) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: not a whole DeepLabCut h5 file ({_one_line(error)}); export it again, or as csv"
        ) from error
    return _arrange(path, *content)


def _read_fixed(path: Path, group: h5py.Group) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray]:
    """pandas' "fixed" form: plain arrays, a block of values for each number type."""
    columns, blocks = [], []
    for block in range(int(group.attrs["nblocks"])):
        levels = range(int(group.attrs[f"block{block}_items_nlevels"]))
        names = [_plain(path, group[f"block{block}_items_level{level}"]).astype("U") for level in levels]
        codes = [_plain(path, group[f"block{block}_items_label{level}"]) for level in levels]
        columns += zip(*(name[code].tolist() for name, code in zip(names, codes, strict=True)), strict=True)
        stored = group[f"block{block}_values"]
        values = _plain(path, stored).astype(np.float64)
        blocks.append(values if stored.attrs["transposed"] else values.T)
    return columns, _plain(path, group["axis1"]), np.concatenate(blocks, axis=1)


def _read_table(path: Path, group: h5py.Group) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray]:
    """pandas' "table" form: one compound array, whose attributes hold the column labels as pickles."""
    table = group["table"]
    fields = [name for name in table.dtype.names if name.startswith("values_block_")]
    columns = [column for field in fields for column in unpickle_plain(path, table.attrs[f"{field}_kind"])]
    if not all(isinstance(column, tuple) and all(isinstance(name, str) for name in column) for column in columns):
        raise InputError(f"{path}: the columns are not named by {', '.join(LEVELS)}; export it again")
    rows = stored_array(path, table)
    return columns, rows["index"], np.concatenate([rows[field].astype(np.float64) for field in fields], axis=1)


def _plain(path: Path, stored: h5py.Dataset) -> np.ndarray:
    if stored.dtype.kind not in "Siuf":
        raise InputError(f"{path}: {stored.name} holds objects, which are not opened; export the poses as csv")
    return stored_array(path, stored)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def unpickle_plain(path: Path, data: bytes) -> Any:
    """Unpickle texts, numbers and containers; raise InputError for anything that would import or call something."""
    try:
        data = io.BytesIO(data).getvalue()
        for opcode, value, _ in pickletools.genops(data):
            if opcode.name.endswith("PUT") and (value or 0) > len(data):  # the memo is an array as long as this number
                raise pickle.UnpicklingError("it asks for more memory than it can use")
        return _PlainUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, OverflowError, *BROKEN) as error:
        raise InputError(
            f"{path}: its column names are not plain text ({_one_line(error)}); export the poses as csv"
        ) from error
