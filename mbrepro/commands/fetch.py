"""`mbrepro fetch`: CalMS21 from its record, a mirror or a folder, or the official network trained on it."""

import os
from enum import StrEnum
from typing import Annotated, Literal

import typer

from mbrepro.data.calms21.fetch import fetch
from mbrepro.data.calms21.network import fetch_network
from mbrepro.errors import InputError

Number = StrEnum("Number", {"one": "1", "three": "3"})


def command(
    release: Annotated[Literal["calms21", "official"], typer.Argument(help="the data set, or the official network")],
    task: Annotated[list[Number], typer.Option(help="whose poses and labels")] = list(Number),  # noqa: B006
    videos: Annotated[
        list[str], typer.Option(help="all, none, how many (spread over train and test), or names")
    ] = ["all"],  # noqa: B006
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="DIR_OR_URL", show_default=False,
            help="a mirror, or a folder with the released zips or what is in them; videos are linked, not copied",
        ),
    ] = "",
    verify: Annotated[bool, typer.Option("--verify", help="read everything that is there, compare SHA-256")] = False,
) -> None:  # fmt: skip
    """Bring what is missing, and print the folder where it lies, or the network's file."""
    if release == "official":
        if task != list(Number) or videos != ["all"]:
            raise InputError("--task and --videos are of mbrepro fetch calms21; the official network is one file")
        print(fetch_network(source))  # which reads its bytes in any case
        return
    tasks = [f"task{number}" for number in task]
    print(fetch(tasks, videos, source or os.environ.get("MBREPRO_CALMS21", ""), verify))
