"""`mbrepro ablation`: crops, frame rates and views on the demo, recorded for page 10."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro.commands.options import Scale, Seeds
from mbrepro.study import ablations, recorded


def command(
    seeds: Seeds = 5, scale: Scale = 1.0,
    out: Annotated[Path | None, typer.Option(help="the JSON file to write, if not the recorded one")] = None,
) -> None:  # fmt: skip
    """Compute the table and print the file it was written to."""
    print(ablations.record(seeds, scale, out or recorded.path_of(ablations.PAGE)))
