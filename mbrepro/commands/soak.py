"""`mbrepro soak`: kills at random moments; what is left is taken up again, with the bytes of a run that went straight.

A command is killed (SIGKILL) at a random moment, started again, and so on; what it has made when it ends is compared
with what a straight run made, emptied and begun anew until there have been as many kills as asked for. No process that
it started may outlive it.
"""

import datetime
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from mbrepro.artifacts import write_json
from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Recording
from mbrepro.demo.simulated import DemoSettings, extra_recordings
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.store import embed_recording
from mbrepro.errors import InputError
from mbrepro.report import faults
from mbrepro.study import recorded

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


@dataclass(frozen=True)
class Work:
    """A command to kill: its arguments, and the files, as patterns of the root, that a straight run decides.

    announced: it says by a line when it begins, and is killed only after that, within `LONGEST` seconds.
    """

    arguments: tuple[str, ...]
    results: tuple[str, ...] = ("**/*",)
    announced: bool = False


HELD = "the bytes of a straight run, and no process left"
LONGEST, GRACE = 0.6, 10.0  # s: embedding a few clips; until a killed command's workers have to be gone
SMALL = ("-p", "scale", "0.15", "-p", "seeds", "1", "-p", "baseline_epochs", "1")
ALSO = ("-p", "epochs", "1", "-p", "behaviours", "sniff_face", "-p", "run", "small")
RUNS = tuple(f"results/demo/runs/*/{part}" for part in ("table.csv", "rows/*.json", "predictions/*"))
WORKS = {
    "embed": Work(("soak", "--only-embed", "films"), announced=True),
    "study": Work(("run", "--all", *SMALL, *ALSO), RUNS),
    "sweep": Work(("sweep", "01_baseline", *SMALL, "-p", "validation_fraction", "0,0.25"), RUNS),
    "train": Work(("train", "data", "--out", "model.zip"), ("model.zip",)),
    "predict": Work(("predict", "data", "--model", "model", "--out", "predictions"), ("predictions/**/*",)),
}


def files(folder: Path, patterns: tuple[str, ...] = ("**/*",)) -> dict[str, bytes]:
    """The files in a folder that patterns name: name → bytes."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


def attempt(work: Work, given: Mapping[str, Path], root: Path, moment: float | None) -> tuple[int, str]:
    """Do the work in `root`, killed after `moment` seconds unless that is None; exit status and what it said last.

    given: what words of its arguments stand for. Raises InputError if a process that it started outlives a kill.
    """
    arguments = [str(given.get(word, word)) for word in work.arguments] + ([str(root)] if work.announced else [])
    child = subprocess.Popen(
        [sys.executable, "-m", "mbrepro", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "MBREPRO_ROOT": str(root)}, cwd=root,
    )  # fmt: skip
    if work.announced and child.stdout:
        child.stdout.readline()
    try:
        _, said = child.communicate(timeout=moment)
        return child.returncode, said.strip().rpartition("\n")[2]
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        _wait_for_others(root)
        return child.returncode, "killed"


def _wait_for_others(root: Path) -> None:
    """Return when no process that works in `root` is left; raise InputError if one is after `GRACE` seconds.

    They are known by their environment, which Linux shows; elsewhere none is found.
    """
    until, mark = time.monotonic() + GRACE, f"MBREPRO_ROOT={root}\0".encode()
    while left := [path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if mark in _read(path)]:
        if time.monotonic() > until:
            raise InputError(f"what the killed process started is still there after {GRACE:g} s: {', '.join(left)}")
        time.sleep(0.1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


def soak(
    work: Work, given: Mapping[str, Path], wanted: dict[str, bytes], root: Path, kills: int, seed: int, longest: float
) -> None:
    """Do the work again and again, killed at random moments within `longest` seconds, until so many kills.

    Every sixth process at the latest is spared, and one that is done before its moment comes counts as no kill. Raises
    InputError if what is made is not `wanted`, or the work fails by itself.
    """
    rng, done, here = random.Random(seed), 0, 0  # here: kills since the root was empty
    bar = tqdm(total=kills, desc="kills", disable=None)
    while done < kills or here:
        spared = done == kills or here == 5
        root.mkdir(exist_ok=True)
        status, said = attempt(work, given, root, None if spared else rng.uniform(0, longest))
        if status == 0:
            if files(root, work.results) != wanted:
                raise InputError(f"after kill {done} the bytes differ from a straight run's")
            shutil.rmtree(root)
            here = 0
        elif spared or status != -9:
            raise InputError(f"after kill {done} the command failed by itself with status {status}: {said}")
        else:
            done, here = done + 1, here + 1
            bar.update()


def record(what: str, seed: int, outcome: str, **numbers: int) -> None:
    """Put a run into the recorded figures that page `faults` shows, in the place of an earlier one of the same work."""
    path = recorded.path_of(faults.PAGE)
    kept = recorded.read(faults.PAGE)["figures"] if path.exists() else {}
    row = {**numbers, "seed": seed, "outcome": outcome, "day": datetime.date.today().isoformat()}
    write_json(path, {"provenance": {"computed_by": "mbrepro soak"}, "figures": kept | {what: row}})


def command(
    kills: Annotated[int, typer.Argument(min=1, help="how many")] = 50,
    what: Annotated[str, typer.Option(help=f"what is killed: {', '.join(WORKS)}")] = "embed",
    data: Annotated[
        Path | None, typer.Option(help="train, predict: a data set of your own, as of mbrepro init")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="predict: a model of mbrepro train", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the moments")] = 0,
    only_embed: Annotated[tuple[Path, Path] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Soak until there have been so many kills, or the bytes differ after one."""
    if only_embed:
        return embed_all(recordings(only_embed[0]), only_embed[1])
    if what not in WORKS:
        raise InputError(f"nothing is known to kill by the name {what!r}; there are {', '.join(WORKS)}")
    with tempfile.TemporaryDirectory() as name:
        place, work = Path(name), WORKS[what]
        given = {"films": place / "films", "data": data and data.absolute(), "model": model and model.absolute()}
        lacking = [word for word in work.arguments if given.get(word, word) is None]
        if lacking:
            raise InputError(f"{what} needs --{lacking[0]}")
        if "films" in work.arguments:
            recordings(given["films"])
        (place / "straight").mkdir()
        began = time.monotonic()
        status, said = attempt(work, given, place / "straight", None)
        if status:
            raise InputError(f"{what} fails without a kill, with status {status}: {said}")
        longest = LONGEST if work.announced else time.monotonic() - began
        if not (wanted := files(place / "straight", work.results)):
            raise InputError(f"{what} makes nothing that could be compared")
        try:
            soak(work, given, wanted, place / "killed", kills, seed, longest)
        except InputError as error:
            record(what, seed, str(error), kills=kills)
            raise
    record(what, seed, HELD, kills=kills)
    print(f"{kills} kills of {what}: {HELD}")
