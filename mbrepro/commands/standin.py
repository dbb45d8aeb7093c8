"""`mbrepro standin`: the shipped stand-in, trained again (about half an hour on 2 cores)."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro import paths
from mbrepro.demo.standin.learning import TrainSettings
from mbrepro.demo.standin.train import HELD_OUT_ANIMALS, TRAIN_ANIMALS, train
from mbrepro.embedding.standin import STAND_IN_WEIGHTS


def command(
    out: Annotated[Path, typer.Option(help="folder for weights, tokenizer and log")] = STAND_IN_WEIGHTS,
    steps: Annotated[int, typer.Option(min=1, help="training steps of 8 clips")] = TrainSettings.steps,
    seed: Annotated[int, typer.Option(min=0, help="of recordings, weights and order")] = TrainSettings.seed,
    animals: Annotated[int, typer.Option(min=1, help="recordings to learn from")] = TRAIN_ANIMALS,
    held_out: Annotated[int, typer.Option(min=1, help="recordings to score on")] = HELD_OUT_ANIMALS,
    store: Annotated[Path | None, typer.Option(help="where films are kept, if not with the demo's")] = None,
) -> None:
    """Film, learn, save and score."""
    store = store or paths.artifacts("demo") / "standin"
    train(out, TrainSettings(steps=steps, seed=seed), animals, held_out, store)
