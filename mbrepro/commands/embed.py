"""`mbrepro embed`: stage 2 ahead of the notebooks."""

from typing import Annotated, Literal

import typer

from mbrepro.commands.options import (
    Cpu,
    Model,
    Profile,
    Scale,
    Seeds,
    Source,
    Task,
    check_patience,
    check_workers,
    use_profile,
)
from mbrepro.embedding import check_embedder
from mbrepro.study import embed
from mbrepro.study.estimate import estimate
from mbrepro.study.profiles import embedder_settings


def command(
    profile: Profile = "demo",
    protocol: Annotated[Literal["published", "corrected"], typer.Option(help="whose clips")] = "corrected",
    tasks: Annotated[list[Task], typer.Option(help="whose")] = list(Task),  # noqa: B006
    seeds: Seeds = 5, scale: Scale = 1.0,
    shard: Annotated[str, typer.Option(metavar="I/N", help="do the I-th of N shares of the recordings")] = "1/1",
    engine: Annotated[Literal["local", "ray"], typer.Option(help="ray: on all machines of a cluster")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="engine ray: models side by side")] = 1,
    only_estimate: Annotated[bool, typer.Option("--estimate", help="only say how much there is to do")] = False,
    model: Model = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Embed a share of the clips into the store, or say what all of them cost."""
    embed.shard([], shard)  # refused before minutes of training
    check_workers(engine, workers)
    use_profile(profile, model, source)
    memory = engine == "local" and not only_estimate
    check_embedder(embedder_settings(profile, protocol), memory=memory)
    if only_estimate:
        costs = estimate(profile, seeds, tasks=tasks, scale=scale, names=[protocol])
        print(costs.to_string(float_format="{:,.2f}".format))
        return
    check_patience(profile, cpu, seeds)
    chosen, jobs = embed.plan(profile, protocol, seeds, tasks, scale)
    mine = embed.shard(jobs, shard)
    embed.run(mine, chosen, profile, engine, workers)
    print(f"{sum(len(job.starts) for job in mine)} clips of {len(mine)} recordings are embedded")
