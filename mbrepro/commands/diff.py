"""`mbrepro diff`: in what two runs differ."""

from typing import Annotated

import typer

from mbrepro.commands.options import Profile
from mbrepro.study import stored


def command(
    one: Annotated[str, typer.Argument(help=f"a run's name, or {stored.STUDY}", show_default=False)],
    other: Annotated[str, typer.Argument(help="another", show_default=False)],
    profile: Profile = "demo",
) -> None:
    """Print the parameters and metrics that differ."""
    parameters, metrics = stored.compared(profile, one, other)
    print(parameters.to_string() if len(parameters) else "the same parameters")
    print(metrics.to_string(float_format="{:.3f}".format, na_rep="") if len(metrics) else "the same metrics")
