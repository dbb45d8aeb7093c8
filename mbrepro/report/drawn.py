"""What a figure draws, as rows of numbers: its data for whoever wants to draw it otherwise."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.container import Container
from matplotlib.patches import Rectangle

DIGITS, MOST = 5, 500  # that are kept of a number; points that are kept of a line


def drawn(figure: plt.Figure) -> pd.DataFrame:
    """Every mark of a figure in columns panel, series, mark, x, y, width and height; pictures have none.

    Marks are line, point, edge (of a band), cell (of a grid) and bar, whose x and y are its corner nearest to 0, 0.
    A panel is named by its title, or its number; a series as in the key. Of a line of more than `MOST` points so many
    are kept, evenly chosen, its ends among them.
    """
    rows = []
    for number, axis in enumerate(figure.axes, 1):
        panel = axis.get_title(loc="center") or axis.get_title(loc="left") or str(number)
        rows += [(panel, *mark) for mark in _marks(axis)]
    columns = ["panel", "series", "mark", "x", "y", "width", "height"]
    return pd.DataFrame(rows, columns=columns).round(DIGITS).dropna(axis="columns", how="all")


def _marks(axis: Axes) -> Iterator[tuple]:
    none = (np.nan, np.nan)
    for line in axis.lines:
        points = line.get_xydata()
        kept = np.linspace(0, len(points) - 1, min(MOST, len(points))).round().astype(int)
        yield from ((_name(line), "line", x, y, *none) for x, y in points[kept])
    for part in axis.collections:
        if isinstance(part, QuadMesh):
            down, across = _ticks(axis, "y"), _ticks(axis, "x")
            for (row, column), value in np.ndenumerate(np.ma.filled(part.get_array(), np.nan)):
                yield f"{down[row]} → {across[column]}", "cell", column, value, *none
        elif isinstance(part, LineCollection) or not len(part.get_offsets()) > 1:
            yield from ((_name(part), "edge", x, y, *none) for path in part.get_paths() for x, y in path.vertices)
        else:
            yield from ((_name(part), "point", x, y, *none) for x, y in np.ma.filled(part.get_offsets(), np.nan))
    for bars in axis.containers:
        for bar in bars:
            if isinstance(bar, Rectangle):
                yield _name(bars), "bar", bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()


def _ticks(axis: Axes, which: str) -> list[str]:
    """Words at an axis' ticks; of axes that share it, only some show any."""
    shared = getattr(axis, f"get_shared_{which}_axes")().get_siblings(axis)
    return max(([t.get_text() for t in getattr(one, f"{which}axis").get_ticklabels()] for one in shared), key=len)


def _name(artist: Artist | Container) -> str:
    label = str(artist.get_label())
    return "" if label.startswith("_") else label
