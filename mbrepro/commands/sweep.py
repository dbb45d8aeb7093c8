"""`mbrepro sweep`: one notebook under every combination of some parameters' values."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Annotated, Literal, NamedTuple

import typer

from mbrepro.commands import runner
from mbrepro.commands.execute import WarmKernel
from mbrepro.commands.options import (
    Cpu,
    Model,
    Profile,
    Source,
    check_patience,
    check_workers,
    use_profile,
)
from mbrepro.commands.run import parameter
from mbrepro.embedding.distributed import joined
from mbrepro.errors import InputError


class Job(NamedTuple):
    """One combination: what `runner.run_study` is given, and its run's name."""

    notebook: str
    profile: str
    given: dict[str, object]
    name: str


class Ended(NamedTuple):
    """What came of a combination: whether it had to be run, and what stopped it, or nothing."""

    name: str
    run: bool
    fault: str = ""


class Worker:
    """A process of Ray with a kernel of its own; environment: of whoever sweeps, such as where the study is."""

    def __init__(self, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self.kernel = WarmKernel()

    def run(self, job: Job) -> Ended:
        return _run(job, self.kernel)

    def close(self) -> None:
        self.kernel.close()


def command(
    notebook: Annotated[str, typer.Argument(help="a notebook's name, such as 03_clip", show_default=False)],
    given: Annotated[
        list[str],
        typer.Option("-p", metavar="NAME A,B,C", help="a parameter and its values; ; between those that hold commas"),
    ],
    seeds: Annotated[int, typer.Option(min=0, help="-p seeds N, for all; 0 for the study's")] = 0,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="ray: on all machines of a cluster")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="engine ray: combinations side by side")] = 1,
    profile: Profile = "demo", model: Model = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Run the notebook once for each combination, as a run of its own; those that are there already are kept."""
    check_workers(engine, workers)
    use_profile(profile, model, source)
    grid = combinations([*given, *([f"seeds={seeds}"] if seeds else [])])
    done = sweep(runner.full_name(notebook), profile, grid, cpu, engine, workers)
    print(f"{done} of {len(grid)} combinations run, the others were there; mbrepro run ablations and mbrepro book show "
          "them")  # fmt: skip


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


def sweep(
    notebook: str, profile: str, grid: Sequence[dict[str, object]], cpu: bool = True, engine: str = "local",
    workers: int = 1,
) -> int:  # fmt: skip
    """Run a notebook with each of some sets of parameters; return how many were not there yet.

    engine: "local", in one kernel, or "ray", in as many workers of a cluster whose machines all see the study's folder.
    All are checked before the first runs. One that fails is told and the others go on; then InputError says which did.
    """
    plans = [runner.check_run([notebook], profile, given) for given in grid]
    for model in dict.fromkeys(map(runner.named_model, plans)):
        check_patience(profile, cpu, max(map(runner.stage2_seeds, plans)), model)
    jobs = [
        Job(notebook, profile, given, runner.run_name(runner.given_in(plan, given)))
        for given, plan in zip(grid, plans, strict=True)
    ]
    ended, begun = [], time.monotonic()
    for one in _here(jobs) if engine == "local" else _with_ray(jobs, workers):
        ended.append(one)
        left = (time.monotonic() - begun) / len(ended) * (len(jobs) - len(ended))
        told = f"{len(ended)} of {len(jobs)}, about {left / 60:.1f} minutes left: {one.name}"
        print(told, file=sys.stderr, flush=True)
    if failed := [f"{one.name} ({one.fault})" for one in ended if one.fault]:
        raise InputError(f"{len(failed)} of {len(grid)} combinations failed, the others are kept: {'; '.join(failed)}")
    return sum(one.run for one in ended)


def _run(job: Job, kernel: WarmKernel) -> Ended:
    try:
        return Ended(job.name, bool(runner.run_study(job.profile, job.given, [job.notebook], job.name, kernel)))
    except InputError as error:
        return Ended(job.name, False, str(error))


def _here(jobs: Sequence[Job]) -> Iterator[Ended]:
    with contextlib.closing(WarmKernel()) as kernel:
        for job in jobs:
            yield _run(job, kernel)


def _with_ray(jobs: Sequence[Job], workers: int) -> Iterator[Ended]:
    """Combinations as they end. Raises InputError if a worker is lost; what others had finished is kept."""
    ray = joined(workers)
    gpus = min(1.0, ray.cluster_resources().get("GPU", 0) / workers)
    mine = {name: value for name, value in os.environ.items() if name.startswith(("MBREPRO_", "HF_"))}
    kind = ray.remote(num_cpus=1, num_gpus=gpus)(Worker)
    started = [kind.remote(mine) for _ in range(workers)]
    try:
        yield from ray.util.ActorPool(started).map_unordered(lambda worker, job: worker.run.remote(job), jobs)
        ray.get([worker.close.remote() for worker in started])
    except ray.exceptions.RayActorError as error:
        raise InputError("a worker of Ray was lost, most likely because memory ran out; what was finished is kept, and "
                         "the same sweep goes on from there") from error  # fmt: skip
