"""`mbrepro simulate`: simulated recordings as files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mbrepro.commands.options import Task, positive
from mbrepro.demo.simulated.release import write_release
from mbrepro.errors import InputError


def command(
    folder: Annotated[Path, typer.Argument(help="where they are written")],
    layout: Annotated[Literal["calms21"], typer.Option(help="file layout of a public release")] = "calms21",
    tasks: Annotated[list[Task], typer.Option(help="which")] = list(Task),  # noqa: B006
    scale: Annotated[str, typer.Option(help="times the number of recordings; full: CalMS21's, poses only")] = "1",
    behaviours: Annotated[
        list[str] | None, typer.Option(help="those of Task 3 to simulate; all seven if not given")
    ] = None,
    no_videos: Annotated[bool, typer.Option("--no-videos", help="poses and labels only")] = False,
) -> None:
    """Write recordings in the layout of the CalMS21 release."""
    times = _scale(scale)
    write_release(folder, tasks, times, not no_videos and times != "full", behaviours or None)


def _scale(text: str) -> float | str:
    if text == "full":
        return text
    try:
        return positive("--scale", float(text))
    except ValueError:
        raise InputError(f"--scale takes a positive number or full, not {text}") from None
