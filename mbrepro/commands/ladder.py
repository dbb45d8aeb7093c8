"""`mbrepro ladder`: the published networks on the demo, recorded for page 00 (one to two hours on 2 cores)."""

from mbrepro import paths
from mbrepro.study import ladder


def command() -> None:
    """Record the ladder and print it beside the published one."""
    print(ladder.record(paths.artifacts("demo")))
    print(ladder.beside_published(ladder.recorded_ladder()[0]).to_string())
