"""`mbrepro run`: one notebook, or all of them."""

import ast
from typing import Annotated

import typer

from mbrepro import paths
from mbrepro.commands import runner
from mbrepro.commands.options import Cpu, Data, Model, Profile, Source, check_patience, local_model, use_profile
from mbrepro.errors import InputError


def command(
    notebook: Annotated[str, typer.Argument(help="a notebook's name, such as 03_clip", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="run every notebook, into the table and the book")] = False,
    given: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="NAME VALUE", help="a parameter; what is run with any is kept apart from the study"),
    ] = None,
    show: Annotated[bool, typer.Option("--parameters", help="list the notebook's parameters and stop")] = False,
    profile: Profile = "demo", data: Data = None, model: Model = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Run, or show, what was asked for; a run with parameters is one of its own, kept under results/PROFILE/runs."""
    if every == bool(notebook):
        raise InputError("name one notebook, or give --all for the whole study")
    notebook = runner.full_name(notebook, profile)
    parameters = dict(parameter(text) for text in given or [])
    use_profile(profile, model, source, data, poses=True)
    if show:
        if every:
            raise InputError("--parameters lists those of one notebook: name it")
        print(runner.describe(notebook, profile))
        return
    names = runner.notebook_names(profile) if every else [notebook]
    plan = runner.check_run(names, profile, parameters)
    check_patience(profile, cpu, runner.stage2_seeds(plan), runner.named_model(plan))
    run = runner.run_name(runner.given_in(plan, parameters))
    done = runner.run_study(profile, parameters, names, run)
    folder = paths.results(profile, run) / "notebooks"
    if every:
        print(f"{len(done)} notebooks run, {len(names) - len(done)} were up to date; they are in {folder}")
    else:
        print(folder / f"{notebook}.ipynb")


def parameter(text: str) -> tuple[str, object]:
    """Name and value of a parameter typed as NAME=VALUE; InputError if it is not, or has a place of its own."""
    name, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"-p takes a parameter's name and its value, such as -p clip_seconds 2, not {text!r} alone")
    if name == "profile":
        raise InputError(f"the profile is no parameter of a run: give --profile {value}")
    return name, local_model(value) if name == "model" else typed(value)


def typed(text: str) -> object:
    """A parameter as typed: a Python literal, true, false, or else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
