"""`mbrepro soak`: kills at random moments; what is left is taken up again, with the bytes of a run that went straight.

A process that embeds a few short recordings with the stand-in is killed (SIGKILL) at a random moment, started again,
and so on; a finished store is compared with one made straight, emptied and begun anew until there have been as many
kills as asked for.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Recording
from mbrepro.demo.simulated import DemoSettings, extra_recordings
from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.store import embed_recording
from mbrepro.errors import InputError

PIXELS = 56 * 84
CLIPS = ClipSettings(seconds=0.5, sampled_fps=8.0, crop="mice", crop_pixels=56)


def recordings(folder: Path) -> list[tuple[Recording, list[int]]]:
    """Short simulated recordings, filmed into `folder`, and where their clips begin: three blocks and a bit each."""
    made = extra_recordings("task1", 3, DemoSettings(seconds=10.0, seed=5), folder)
    return [(recording, list(range(number, 200, 4))) for number, recording in enumerate(made)]


def embed_all(jobs: list[tuple[Recording, list[int]]], folder: Path) -> None:
    """Embed every recording's clips into the store; a line on standard output tells when the model is loaded."""
    embedder = load_embedder(EmbedderSettings(max_pixels=PIXELS, batch_size=2))
    print("the model is loaded", flush=True)
    for recording, starts in jobs:
        embed_recording(recording, starts, CLIPS, embedder, folder)


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder: name → bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def soak(films: Path, wanted: dict[str, bytes], folder: Path, kills: int, seed: int) -> None:
    """Fill a store again and again, by processes that are killed at random moments, until there have been so many.

    Every sixth process at the latest is spared, and one that is done before its moment comes counts as no kill. Raises
    InputError if a filled store is not `wanted`.
    """
    command = [sys.executable, "-m", "mbrepro", "soak", "--only-embed", films, folder]
    rng, done, here = random.Random(seed), 0, 0  # here: kills since the store was empty
    bar = tqdm(total=kills, desc="kills", disable=None)
    while done < kills or here:
        spared = done == kills or here == 5
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        child.stdout.readline()  # it has loaded the model and begins
        if not spared:
            time.sleep(rng.uniform(0, 0.6))
            child.kill()
        if child.wait() == 0:
            if files(folder) != wanted:
                raise InputError(f"after kill {done} the bytes differ from a straight run's")
            shutil.rmtree(folder)
            here = 0
        elif spared:
            raise RuntimeError(f"the process failed by itself with status {child.returncode}")
        else:
            done, here = done + 1, here + 1
            bar.update()


def command(
    kills: Annotated[int, typer.Argument(min=1, help="how many")] = 50,
    seed: Annotated[int, typer.Argument(min=0, help="of the moments")] = 0,
    only_embed: Annotated[tuple[Path, Path] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Soak until there have been so many kills, or the bytes differ after one."""
    if only_embed:
        return embed_all(recordings(only_embed[0]), only_embed[1])
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        embed_all(recordings(place / "films"), place / "straight")
        soak(place / "films", files(place / "straight"), place / "killed", kills, seed)
    print(f"{kills} kills: the bytes are those of a straight run")
