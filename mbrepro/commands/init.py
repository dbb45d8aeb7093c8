"""`mbrepro init`: a manifest for a folder of pose files, label files and videos."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro.data.own.draft import write_draft


def command(
    folder: Annotated[Path, typer.Argument(help="where the files lie, in it or in folders of it")],
    fps: Annotated[float | None, typer.Option(min=0.1, help="frames a second of recordings without a video")] = None,
) -> None:
    """Write `recordings.csv` and `dataset.yml`, and say what to do next."""
    count, left = write_draft(folder, fps)
    for name, why in left.items():
        print(f"left out: {name} ({why})")
    print(f"{count} recordings; read and mend {folder / 'dataset.yml'} and {folder / 'recordings.csv'}, then")
    print(f"mbrepro check {folder}")
