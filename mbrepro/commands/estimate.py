"""`mbrepro estimate`: what stage 2 costs here."""

import os
from typing import Annotated

import typer

from mbrepro.commands.options import Cpu, Model, Profile, Seeds, Source, use_profile
from mbrepro.data.calms21.fetch import chosen_videos
from mbrepro.study.estimate import estimate, refuse_slow


def command(
    profile: Profile = "calms21",
    videos: Annotated[list[str] | None, typer.Option(help="count these, as fetch takes them")] = None,
    seeds: Seeds = 5, model: Model = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Print clips, tokens, TFLOP and hours of both protocols; refuse hours of CPU."""
    use_profile(profile, model, source)
    names = videos and chosen_videos(videos, os.environ.get("MBREPRO_CALMS21", ""))
    costs = estimate(profile, seeds, names or None)
    print(costs.to_string(float_format="{:,.2f}".format))
    if not cpu:
        refuse_slow(costs)
