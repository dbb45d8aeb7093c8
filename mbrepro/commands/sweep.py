"""`mbrepro sweep`: one notebook under every combination of some parameters' values."""

import contextlib
import sys
import time
from collections.abc import Sequence
from itertools import product
from typing import Annotated

import typer

from mbrepro.commands import runner
from mbrepro.commands.execute import WarmKernel
from mbrepro.commands.options import Cpu, Model, Profile, Source, check_patience, use_profile
from mbrepro.commands.run import parameter
from mbrepro.errors import InputError


def command(
    notebook: Annotated[str, typer.Argument(help="a notebook's name, such as 03_clip", show_default=False)],
    given: Annotated[
        list[str],
        typer.Option("-p", metavar="NAME A,B,C", help="a parameter and its values; ; between those that hold commas"),
    ],
    seeds: Annotated[int, typer.Option(min=0, help="-p seeds N, for all; 0 for the study's")] = 0,
    profile: Profile = "demo", model: Model = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Run the notebook once for each combination, as a run of its own; those that are there already are kept."""
    use_profile(profile, model, source)
    grid = combinations([*given, *([f"seeds={seeds}"] if seeds else [])])
    print(f"{sweep(runner.full_name(notebook), profile, grid, cpu)} of {len(grid)} combinations run, the others were "
          "there; mbrepro run ablations and mbrepro book show them")  # fmt: skip


def combinations(given: Sequence[str]) -> list[dict[str, object]]:
    """Every combination of the values in NAME=A,B,C texts, the last name's changing fastest.

    Raises InputError for a name given twice or without a value, or a run's name: each combination has its own.
    """
    values: dict[str, list] = {}
    for text in given:
        name, sign, listed = text.partition("=")
        if name in values or name == "run":
            raise InputError(
                f"sweep takes each parameter once, with all of its values, and names runs itself: -p {text}"
            )
        parts = listed.split(";" if ";" in listed else ",")
        values[name] = [parameter(f"{name}{sign}{part}")[1] for part in parts]
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def sweep(notebook: str, profile: str, grid: Sequence[dict[str, object]], cpu: bool = True) -> int:
    """Run a notebook with each of some sets of parameters, in one kernel; return how many were not there yet.

    All are checked before the first runs. One that fails is told and the others go on; then InputError says which did.
    """
    plans = [runner.check_run([notebook], profile, given) for given in grid]
    for model in dict.fromkeys(map(runner.named_model, plans)):
        check_patience(profile, cpu, max(map(runner.stage2_seeds, plans)), model)
    done, failed, begun = 0, [], time.monotonic()
    with contextlib.closing(WarmKernel()) as kernel:
        for number, (given, plan) in enumerate(zip(grid, plans, strict=True), 1):
            name = runner.run_name(runner.given_in(plan, given))
            try:
                done += bool(runner.run_study(profile, given, [notebook], name, kernel))
            except InputError as error:
                failed.append(f"{name} ({error})")
            left = (time.monotonic() - begun) / number * (len(grid) - number)
            print(f"{number} of {len(grid)}, about {left / 60:.1f} minutes left: {name}", file=sys.stderr, flush=True)
    if failed:
        raise InputError(f"{len(failed)} of {len(grid)} combinations failed, the others are kept: {'; '.join(failed)}")
    return done
