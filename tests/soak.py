"""Kills at random moments: what is left is taken up again, and the bytes are those of one run that went straight.

python -m tests.soak [KILLS] [SEED] starts a process that embeds a few short recordings with the stand-in, kills it
(SIGKILL) at a random moment, starts it again, and so on; a finished store is compared with one made straight, emptied
and begun anew until there have been KILLS kills.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Recording
from mbrepro.demo.simulated import DemoSettings, extra_recordings
from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.store import embed_recording

PIXELS = 56 * 84
CLIPS = ClipSettings(seconds=0.5, sampled_fps=8.0, crop="mice", crop_pixels=56)
SECONDS = 10.0  # of each recording
COUNT = 3


def recordings(folder: Path) -> list[tuple[Recording, list[int]]]:
    """Short simulated recordings, filmed into `folder`, and where their clips begin: three blocks and a bit each."""
    made = extra_recordings("task1", COUNT, DemoSettings(seconds=SECONDS, seed=5), folder)
    return [(recording, list(range(number, 200, 4))) for number, recording in enumerate(made)]


def embed_all(jobs: list[tuple[Recording, list[int]]], folder: Path) -> None:
    """Embed every recording's clips into the store."""
    embedder = load_embedder(EmbedderSettings(max_pixels=PIXELS, batch_size=2))
    for recording, starts in jobs:
        embed_recording(recording, starts, CLIPS, embedder, folder)


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder: name → bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed(jobs: list[tuple[Recording, list[int]]], folder: Path, kills: int, seed: int) -> int:
    """Fill a store with processes of which the first `kills` are killed at random moments; returns how many were."""
    films, rng, done = jobs[0][0].video.parent.parent, random.Random(seed), 0
    while True:
        child = subprocess.Popen([sys.executable, "-m", "tests.soak", "--embed", films, folder], stdout=subprocess.PIPE)
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


def main(kills: int, seed: int) -> int:
    """Soak until there have been so many kills; returns an exit status."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        jobs = recordings(place / "films")
        embed_all(jobs, place / "straight")
        done, same = soak(jobs, files(place / "straight"), place / "killed", kills, seed)
    if not same:
        print(f"after kill {done}: the bytes differ", file=sys.stderr)
        return 1
    print(f"{done} kills: the bytes are those of a straight run")
    return 0


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


def _child(films: Path, folder: Path) -> int:
    jobs = recordings(films)
    embedder = load_embedder(EmbedderSettings(max_pixels=PIXELS, batch_size=2))
    print("ready", flush=True)
    for recording, starts in jobs:
        embed_recording(recording, starts, CLIPS, embedder, folder)
    return 0


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] == ["--embed"]:
        sys.exit(_child(Path(given[1]), Path(given[2])))
    sys.exit(main(int(given[0]) if given else 50, int(given[1]) if len(given) > 1 else 0))
