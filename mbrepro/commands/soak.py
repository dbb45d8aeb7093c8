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
SECONDS = 10.0  # of each recording
COUNT = 3


def recordings(folder: Path) -> list[tuple[Recording, list[int]]]:
    """Short simulated recordings, filmed into `folder`, and where their clips begin: three blocks and a bit each."""
    made = extra_recordings("task1", COUNT, DemoSettings(seconds=SECONDS, seed=5), folder)
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


def killed(jobs: list[tuple[Recording, list[int]]], folder: Path, kills: int, seed: int) -> int:
    """Fill a store with processes of which the first `kills` are killed at random moments; returns how many were."""
    films, rng, done = jobs[0][0].video.parent.parent, random.Random(seed), 0
    while True:
        command = [sys.executable, "-m", "mbrepro", "soak", "--only-embed", films, folder]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        child.stdout.readline()  # it has loaded the model and begins
        if done < kills:
            time.sleep(rng.uniform(0, 0.6))
            child.kill()
        status = child.wait()
        if status == 0:
            return done
        if done == kills:
            raise RuntimeError(f"the process failed by itself with status {status}")
        done += 1


def soak(
    jobs: list[tuple[Recording, list[int]]], wanted: dict[str, bytes], folder: Path, kills: int, seed: int
) -> tuple[int, bool]:
    """Fill a store again and again until there have been so many kills; how many, and if it was `wanted` each time.

    A process that is done before its moment comes counts as no kill, so that a fast machine makes more rounds.
    """
    done, bar = 0, tqdm(total=kills, desc="kills", disable=None)
    while done < kills:
        made = killed(jobs, folder, min(5, kills - done), seed + done)
        done += made
        bar.update(made)
        if files(folder) != wanted:
            return done, False
        shutil.rmtree(folder)
    return done, True


def command(
    kills: Annotated[int, typer.Argument(min=1, help="how many")] = 50,
    seed: Annotated[int, typer.Argument(min=0, help="of the moments")] = 0,
    only_embed: Annotated[tuple[Path, Path] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Soak until there have been so many kills. Raises InputError if the bytes differ after one."""
    if only_embed:
        films, folder = only_embed
        embed_all(recordings(films), folder)
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        jobs = recordings(place / "films")
        embed_all(jobs, place / "straight")
        done, same = soak(jobs, files(place / "straight"), place / "killed", kills, seed)
    if not same:
        raise InputError(f"after kill {done} the bytes differ from a straight run's")
    print(f"{done} kills: the bytes are those of a straight run")
