"""`mbrepro learning-curve`: how scores of one's own data set grow with what is labelled, and what more would give."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro.artifacts import replacing, write_texts
from mbrepro.commands.options import writable
from mbrepro.data.own import read_recording
from mbrepro.data.own.manifest import read_manifest
from mbrepro.data.tables import csv_text
from mbrepro.report import plots
from mbrepro.report.plots_curve import learning
from mbrepro.study.learning_curve import curve, extrapolated

Draws = Annotated[int, typer.Option(min=2, help="random orders of the animals")]


def command(
    folder: Annotated[Path, typer.Argument(help="a folder with recordings.csv and dataset.yml")],
    out: Annotated[Path, typer.Option(help="folder for the curve", show_default=False)],
    draws: Draws = 5,
) -> None:
    """Write curve.csv, what was measured, extrapolated.csv and curve.png, and print their names."""
    manifest, folder = read_manifest(folder), writable(out)
    recordings = [read_recording(manifest, entry)[0] for entry in manifest.entries if entry.labels is not None]
    classes, points = manifest.description.classes, curve(recordings, draws)
    laws = extrapolated(points, classes)
    tables = {folder / "curve.csv": points, folder / "extrapolated.csv": laws}
    write_texts({path: csv_text(table, "%.6g") for path, table in tables.items()})
    plots.set_style()
    with replacing(folder / "curve.png") as temporary:
        learning(points, laws, classes).savefig(temporary)
    for path in (*tables, folder / "curve.png"):
        print(path)
