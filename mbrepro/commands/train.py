"""`mbrepro train`: a model of one's own recordings, as one file."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro.commands.options import Cpu, local_model, writable
from mbrepro.embedding import load_embedder
from mbrepro.errors import InputError
from mbrepro.study.looking import Eye, settings_of
from mbrepro.study.own import train


def command(
    folder: Annotated[Path, typer.Argument(help="a folder with recordings.csv and dataset.yml")],
    out: Annotated[Path, typer.Option(help="the file to write, such as rats.zip", show_default=False)],
    parts: Annotated[
        list[str] | None, typer.Option(help="points to use, if fewer than dataset.yml names", show_default=False)
    ] = None,
    embedder: Annotated[
        str, typer.Option(help="also look at the videos, by this model: ID@COMMIT or a folder", show_default=False)
    ] = "",
    cpu: Cpu = False,
) -> None:
    """Train, write the model and print its card."""
    writable(out.parent)
    if out.is_dir():
        raise InputError(f"{out}: this is a folder; name the file to write, such as {out / 'model.zip'}")
    eye = Eye(load_embedder(settings_of(local_model(embedder))), patient=cpu) if embedder else None
    print(train(folder, out, parts or (), eye))
    print(f"{out}\nmbrepro predict POSES --model {out} --out predictions")
