"""`mbrepro encoder`: a real encoder of pictures on the demo, recorded beside its controls."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro.commands.options import Scale, Seeds, local_model
from mbrepro.study import encoder, recorded


def command(
    model: Annotated[str, typer.Argument(help="the folder of a checkpoint such as DINOv2, or ID@COMMIT")],
    seeds: Seeds = 5, scale: Scale = 1.0,
    second_stage: Annotated[bool, typer.Option("--second-stage", help="behind poses, as stage 2 of page 13")] = False,
    out: Annotated[Path | None, typer.Option(help="the JSON file to write, if not the recorded one")] = None,
) -> None:  # fmt: skip
    """Compute the table and print the file it was written to."""
    if second_stage:
        path = out or recorded.path_of(encoder.SECOND)
        print(encoder.record_second_stage(local_model(model), seeds, scale, encoder.SHARE, path))
        return
    print(encoder.record(local_model(model), seeds, scale, out or recorded.path_of(encoder.PAGE)))
