"""SLEAP's analysis files, h5 and csv (sleap.ai, "Export analysis")."""

import io
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from mbrepro.data.tables import comma_lines
from mbrepro.data.tracking.tracks import BROKEN, Tracks, check_size, stored_array
from mbrepro.errors import InputError

ID = ("track", "frame_idx", "instance.score")


def is_analysis(path: Path) -> bool:
    """Whether an HDF5 file is SLEAP's."""
    try:
        with h5py.File(path) as file:
            return {"tracks", "node_names", "track_names"} <= set(file)
    except (OSError, RuntimeError, *BROKEN):
        return False


def read_analysis_h5(path: Path, sequence: str | None = None) -> Tracks:
    """Read an h5 file; InputError if it is damaged or its arrays do not belong together."""
    try:
        with h5py.File(path) as file:
            parts, names = (_texts(path, file[key]) for key in ("node_names", "track_names"))
            positions = stored_array(path, file["tracks"]).astype(np.float64)
            scores = stored_array(path, file["point_scores"]).astype(np.float64) if "point_scores" in file else None
        names = names or tuple(f"track_{place}" for place in range(len(positions)))
        shape = (len(names), 2, len(parts), positions.shape[-1])
        if positions.shape != shape or (scores is not None and scores.shape != (shape[0], *shape[2:])):
            raise InputError(f"{path}: its tracks are not of shape (tracks, 2, nodes, frames); export it again")
    except (OSError, RuntimeError, *BROKEN) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a whole SLEAP analysis file ({error}); export it again") from error
    return Tracks(names, parts, positions.transpose(3, 0, 2, 1), None if scores is None else scores.transpose(2, 0, 1))


def _texts(path: Path, stored: h5py.Dataset) -> tuple[str, ...]:
    return tuple(text.decode() for text in stored_array(path, stored).tolist())


def read_analysis_csv(path: Path, sequence: str | None = None) -> Tracks:
    """Read a csv file, a line for each instance; frames without one are gaps. InputError if it is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a cell too many, and what follows it moved
            table = pd.read_csv(io.StringIO("".join(comma_lines(path))), dtype={"track": str}, index_col=False)
        parts = tuple(column.removesuffix(".x") for column in table.columns if column.endswith(".x"))
        tracks = table["track"].fillna("track_0" if table["track"].isna().all() else "")
        frames = table["frame_idx"].to_numpy(np.int64)
        if "" in set(tracks) or pd.DataFrame({"track": tracks, "frame": frames}).duplicated().any():
            raise InputError(f"{path}: it has instances without a track of their own; track them in SLEAP and export")
        if len(table) == 0 or frames.min() < 0 or len(parts) * 3 + len(ID) != len(table.columns):
            raise InputError(f"{path}: not a whole SLEAP analysis file of frames from 0 on; export it again")
        names = tuple(dict.fromkeys(tracks))
        check_size(path, (frames.max() + 1, len(names), len(parts), 3))
        values = np.full((frames.max() + 1, len(names), len(parts), 3), np.nan)
        cells = [[f"{part}.{cell}" for part in parts] for cell in ("x", "y", "score")]
        at = frames, [names.index(track) for track in tracks]
        values[at] = np.stack([table[columns].to_numpy(np.float64) for columns in cells], -1)
    except (*BROKEN, pd.errors.ParserWarning) as error:
        if isinstance(error, InputError):
            raise
        told = " ".join(str(error).split())
        raise InputError(f"{path}: not a whole SLEAP analysis file ({told}); export it again") from error
    return Tracks(names, parts, values[..., :2], values[..., 2])
