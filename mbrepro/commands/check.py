"""`mbrepro check`: what a data set of one's own holds, and everything that is wrong with it, at once."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro.data.own.check import check
from mbrepro.data.own.manifest import read_manifest


def command(folder: Annotated[Path, typer.Argument(help="a folder with recordings.csv and dataset.yml")]) -> None:
    """Print a table with a line a recording, notes and errors; exit status 2 if an error forbids going on."""
    found = check(read_manifest(folder))
    table = found.table.dropna(axis=1, how="all")
    print(table.to_string(index=False, na_rep="", float_format="{:.3g}".format))
    for kind, sentences in (("note", found.notes), ("error", found.errors)):
        for sentence in sentences:
            print(f"{kind}: {' '.join(sentence.split())}")
    if found.errors:
        raise typer.Exit(2)
    print("nothing forbids going on")
