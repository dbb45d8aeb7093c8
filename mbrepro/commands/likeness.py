"""`mbrepro likeness`: what is known of real labels and poses, kept as quantiles and shares beside the simulator."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mbrepro.artifacts import write_text
from mbrepro.demo.likeness import measure_real
from mbrepro.demo.simulated import schedule


def command(
    folder: Annotated[Path, typer.Argument(help="real data: calms21_labels and calms21_pose_windows")],
    out: Annotated[Path, typer.Option(help="the JSON file to write")] = schedule.STATISTICS,
) -> None:
    """Measure the real recordings in a folder and print the file the statistics were written to."""
    write_text(out, json.dumps(measure_real(folder), indent=1) + "\n")
    print(out)
