"""`mbrepro judges`: how hard simulated train recordings are for methods whose scores on real mice are known."""

from typing import Annotated

import typer

from mbrepro.data.calms21.network import find_network
from mbrepro.demo.judges import judged_on_train
from mbrepro.demo.simulated import DemoSettings
from mbrepro.errors import InputError
from mbrepro.method.official import load_official
from mbrepro.study import tradeoff


def command(
    record: Annotated[bool, typer.Option("--record", help="record what single changes of the simulator do")] = False,
) -> None:
    """Print each judge's scores on held-out train recordings (about 6 minutes on one core)."""
    if record:
        print(tradeoff.record())
        return
    try:
        network = load_official(find_network())
    except InputError as error:
        print(f"without the official network: {error}")
        network = None
    print(judged_on_train(DemoSettings(), network).to_string(float_format="{:.3f}".format))
