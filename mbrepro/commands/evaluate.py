"""`mbrepro evaluate`: two labellings of the same recordings, a model's and a person's or two people's, compared."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mbrepro.artifacts import json_text, write_texts
from mbrepro.commands.options import pair, positive, writable
from mbrepro.data.annotations import check_points
from mbrepro.data.annotations.paired import entries_of, paired_files, read_labelled
from mbrepro.data.own.manifest import TABLE, read_manifest
from mbrepro.data.recordings import OTHER
from mbrepro.data.tables import csv_text
from mbrepro.metrics.matching import Criteria
from mbrepro.report.evaluation import markdown
from mbrepro.study.evaluate import SECONDS, evaluation, match_table, sweep
from mbrepro.study.recorded import rounded

WRITTEN = ("evaluation.md", "evaluation.json", "bouts.csv", "tidied.csv")
Rename = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=CLASS", help="the class that a file's behaviour is; other is none of them"),
]
Lengths = Annotated[
    list[str] | None, typer.Option(metavar="NAME=SECONDS", help="how long point events of BORIS last, by behaviour")
]
Fill = Annotated[list[float] | None, typer.Option(min=0, help="s, gaps of the prediction to fill in turn")]
Drop = Annotated[list[float] | None, typer.Option(min=0, help="s, under which its bouts are dropped in turn")]


def command(
    predicted: Annotated[Path, typer.Argument(help="a label file, or a folder of them, one a recording")],
    true: Annotated[Path, typer.Argument(help="the labels taken as true, in any form, or a folder with a manifest")],
    out: Annotated[Path, typer.Option(help="folder for what is found", show_default=False)],
    fps: Annotated[float | None, typer.Option(help="frames per second, where the files do not tell")] = None,
    channel: Annotated[str, typer.Option(help="which channel or subject of true files that have several")] = "",
    predicted_channel: Annotated[str, typer.Option(help="the same of predicted files")] = "",
    behaviours: Annotated[list[str] | None, typer.Option(help="those to compare, if not all")] = None,
    rename: Rename = None,
    ignore: Annotated[list[str] | None, typer.Option(help="behaviours whose frames count nowhere")] = None,
    point_seconds: Lengths = None,
    tiou: Annotated[float, typer.Option(help="shared part of two bouts from which on they match")] = 0.5,
    edges: Annotated[float, typer.Option(help="s by which the ends of matching bouts may differ")] = 0.5,
    fill: Fill = None,
    drop: Drop = None,
) -> None:  # fmt: skip
    """Write a page, its figures, a row for each bout and criterion, and a row a way of tidying; print the files."""
    criteria, folder = Criteria(tiou, edges), writable(out)
    renamed = dict(pair("--rename", "NAME=CLASS, such as fight=attack", text) for text in rename or [])
    fps = None if fps is None else positive("--fps", fps)
    (pairs, alone), said, points = paired_files(predicted, true), _manifest(true), _lengths(point_seconds or [])
    check_points((path for pair_of in pairs.values() for path in pair_of), points)
    labelled, classes = read_labelled(
        pairs, fps=fps, channels=(predicted_channel, channel or said["channel"]),
        only=behaviours or (), renamed=renamed | dict.fromkeys(ignore or (), ""), known=said["known"],
        between=said["between"], entries=(entries_of(predicted), entries_of(true)), points=said["points"] | points,
    )  # fmt: skip
    found = evaluation(labelled, classes, criteria)
    tidied = sweep(labelled, classes, criteria, fill or SECONDS, drop or SECONDS)
    title = f"{predicted} compared with {true}"
    told = {"predicted": str(predicted), "true": str(true), "compared": sorted(pairs), "not_compared": alone}
    tables = (match_table(labelled, classes, criteria), tidied)
    texts = (
        markdown(title, found, criteria, tidied, alone),
        json_text(rounded(told | {"criteria": asdict(criteria)} | found)),
        *map(csv_text, tables),
    )
    write_texts({folder / name: text for name, text in zip(WRITTEN, texts, strict=True)})
    for name in WRITTEN:
        print(folder / name)


def _lengths(options: Sequence[str]) -> dict[str, float]:
    """Behaviour → seconds of its point events, as the option has it."""
    told = dict(pair("--point-seconds", "NAME=SECONDS, such as bite=0.5", text) for text in options)
    numbers = {name: float(text) if re.fullmatch(r"\d*\.?\d+", text) else math.nan for name, text in told.items()}
    return {name: positive("--point-seconds", number) for name, number in numbers.items()}


def _manifest(folder: Path) -> dict[str, Any]:
    """What a data set's description says of its labels; of any other folder or file, that nothing is special."""
    if not (folder / TABLE).exists():
        return {"channel": "", "known": {}, "between": OTHER, "points": {}}
    told = read_manifest(folder).description
    known = {label: name or "" for label, name in told.meaning.items()}
    return {"channel": told.channel, "known": known, "between": told.between, "points": told.points}
