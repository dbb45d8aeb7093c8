"""Changed files for every reader, `mbrepro soak --what fuzz`: each is read or refused in one sentence.

A process of its own reads one changed file after the other, with `SECONDS` of work for each, ten times that in all, and
`BYTES` of memory beyond what it began with. A fault is whatever else comes of a file: another error, no answer in time,
more memory, a process that dies, a file left behind.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mbrepro.commands.fuzz.changes import changed
from mbrepro.errors import InputError

if TYPE_CHECKING:
    from mbrepro.commands.fuzz.readers import Reader

SECONDS, BYTES = 10, 2 * 2**30
READ, REFUSED, READY = "read", "refused", "ready\n"
Job = tuple[str, int]  # a reader, and the number of the changed file


def fuzz(counts: Mapping[str, int], seed: int, seen: Callable[[], object] = lambda: None) -> dict[str, Counter[str]]:
    """What came of so many changed files of each reader: how often each was read, was refused, or was which fault."""
    jobs, outcomes = [(name, k) for name, count in counts.items() for k in range(count)], {n: Counter() for n in counts}
    with tempfile.TemporaryDirectory() as folder:
        while jobs:
            for outcome in _child(jobs, seed, Path(folder)):
                outcomes[jobs.pop(0)[0]][outcome] += 1
                seen()
    return outcomes


def _child(jobs: Sequence[Job], seed: int, folder: Path) -> Iterator[str]:
    """The outcomes of jobs in order, by one process, until it ends or dies of one."""
    listed = folder / "jobs.json"
    listed.write_text(json.dumps(jobs), encoding="utf-8")
    command = [sys.executable, "-m", "mbrepro.commands.fuzz", str(listed), str(seed)]
    environment = {**os.environ, "MBREPRO_DATA": str(folder / "data"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done, count, said = 0, len(jobs), folder / "said.txt"
    with (
        said.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as child,
    ):
        if child.stdout is None or child.stdout.readline() != READY:
            child.wait()
            raise InputError(f"readers do not read their own whole files: {said.read_text()[-300:]}")
        for line in child.stdout:
            done += 1
            yield json.loads(line)
    if done < count:  # jobs that are done are taken from the list meanwhile
        died = -child.returncode
        yield (
            f"no answer in {SECONDS} s"
            if died in (signal.SIGALRM, signal.SIGPROF)
            else f"the process died ({died}): {said.read_text()[-200:]}"
        )


def readers_of(names: Collection[str]) -> Mapping[str, "Reader"]:
    """Readers by name, all of them if none is asked for; those of what was made here take seconds to import."""
    from mbrepro.commands.fuzz.readers import READERS

    if names and READERS.keys() >= set(names):
        return READERS
    from mbrepro.commands.fuzz import made

    return READERS | made.READERS


def read_changed(listed: Path, seed: int) -> None:
    """Do the jobs of a file, a line of JSON on standard output for each: what came of it."""
    jobs = json.loads(listed.read_text(encoding="utf-8"))
    out, originals = os.fdopen(os.dup(1), "w"), {}
    readers = readers_of({name for name, _ in jobs})
    os.dup2(2, 1)  # what a reader prints is no outcome
    shutil.rmtree(listed.with_name("whole"), ignore_errors=True)
    for name in dict.fromkeys(name for name, _ in jobs):
        originals[name] = listed.with_name("whole") / name
        originals[name].mkdir(parents=True, exist_ok=True)
        readers[name].write(originals[name])
        readers[name].read(originals[name])  # which it can, and what it imports is there before memory is bounded
    began = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (began + BYTES, resource.RLIM_INFINITY))
    warnings.simplefilter("ignore")
    print(READY, end="", file=out, flush=True)
    for name, number in jobs:
        folder = listed.with_name("changed")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(originals[name], folder)
        rng = random.Random(f"{seed} {name} {number}")
        path = rng.choice(
            [path for part in readers[name].changed for path in sorted(folder.rglob(part)) if path.is_file()]
        )
        path.write_bytes(changed(path.read_bytes(), rng))
        print(json.dumps(_outcome(readers[name].read, folder)), file=out, flush=True)


def _outcome(read: Callable[[Path], object], folder: Path) -> str:
    before, outcome = sorted(folder.rglob("*")), READ
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # s of work, as other programs may be busy
    signal.alarm(10 * SECONDS)  # s of waiting
    try:
        read(folder)
    except (InputError, OSError) as error:  # for which the command line says one sentence and exits with status 2
        outcome = REFUSED
        while error := error.__cause__ or error.__context__:
            outcome = f"memory: {_place(error)}" if isinstance(error, MemoryError) else outcome
    except BaseException as error:
        outcome = _place(error)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    left = [path.name for path in folder.rglob("*") if path not in before]
    return f"left {left[0]} behind" if left else outcome


def _place(error: BaseException) -> str:
    """What an error is, and the last line of the package that it came through."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if "/mbrepro/" in f.filename]
    at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
    return f"{type(error).__name__} at {at}: {' '.join(str(error).split())[:100]}"
