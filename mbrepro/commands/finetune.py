"""`mbrepro finetune`: the video model learns from labelled clips."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro.commands.options import Cpu, Model, Profile, Scale, Source, check_patience, use_profile
from mbrepro.embedding.lora import LoraSettings
from mbrepro.study.finetune import finetune


def command(
    folder: Annotated[Path, typer.Argument(help="a new folder for the model, to be given as --model afterwards")],
    profile: Profile = "demo", scale: Scale = 1.0,
    view: Annotated[str, typer.Option(help="what a classifier reads: last_100 or video_100")] = LoraSettings.view,
    rank: Annotated[int, typer.Option(help="of the adapters")] = LoraSettings.rank,
    epochs: Annotated[int, typer.Option(help="passes over the clips; the best is kept")] = LoraSettings.epochs,
    learning_rate: Annotated[float, typer.Option(help="of AdamW")] = LoraSettings.learning_rate,
    seed: Annotated[int, typer.Option(min=0, help="of split, adapters and order")] = LoraSettings.seed,
    model: Model = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Write a fine-tuned checkpoint and print its folder."""
    settings = LoraSettings(view=view, rank=rank, epochs=epochs, learning_rate=learning_rate, seed=seed)
    use_profile(profile, model, source)
    check_patience(profile, cpu, 1)
    print(finetune(profile, folder, settings, scale))
