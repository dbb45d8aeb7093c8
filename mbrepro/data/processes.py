"""Work in several processes, none of which outlives the one that asked for it."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import TypeVar

from tqdm import tqdm

from mbrepro.errors import InputError

Item = TypeVar("Item")
Made = TypeVar("Made")
KILLED = (
    "a worker process was killed, most likely because memory ran out; what was finished is kept, so free some memory "
    "and start again"
)
WATCH_S = 0.5  # how often a worker looks whether the process that started it is still there


def side_by_side(
    jobs: Sequence[tuple], what: str, unit: str, most: int | None = None, start: Callable[[], None] | None = None,
    stay: bool = False,
) -> list:  # fmt: skip
    """Do jobs (function, argument, …), each in an interpreter of its own, and return what they return, in order.

    As many run at a time as there are cores, or `most`; a single one runs right here. what, unit: for the progress bar.
    start: called once in each worker. A fresh interpreter for each, as fork and torch's threads do not mix. Workers end
    with this process, however it ends, and when this function is interrupted. Raises InputError if one was killed.
    stay: take workers that stay for the next call: starting one, its imports and its model take seconds.
    """
    workers = min(most or os.cpu_count() or 1, os.cpu_count() or 1)
    if min(workers, len(jobs)) <= 1:
        return [function(*arguments) for function, *arguments in jobs]
    # glibc would give a step's arrays back to the system and fault their pages in again: a fifth of the time.
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**33))
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**32))
    with (
        contextlib.nullcontext(_staying(workers)) if stay else _started(min(workers, len(jobs)), start) as pool,
        _ending_workers(pool),
        tqdm(total=len(jobs), desc=what, unit=unit, disable=None) as bar,
    ):
        waiting = [pool.submit(*job) for job in jobs]
        for done in as_completed(waiting):
            done.result()
            bar.update()
    return [job.result() for job in waiting]


def shared_out(make: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Iterator[Made]:
    """Yield `make(item)` of each item in order, made ahead by workers that stay for the next call, two for each.

    They end with this process. Raises InputError if one was killed; the next call then starts others.
    """
    waiting = deque()
    try:
        for item in items:
            waiting.append(_staying(workers).submit(make, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        yield from (last.result() for last in waiting)
    except BrokenProcessPool as error:
        _staying.cache_clear()
        raise InputError(KILLED) from error


def _started(workers: int, start: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (os.getpid(), start))


_staying = cache(_started)


@contextlib.contextmanager
def _ending_workers(pool: ProcessPoolExecutor) -> Iterator[None]:
    """End a pool's workers if the block fails: the pool itself would wait until each has done its job."""
    try:
        yield
    except BaseException as error:
        _staying.cache_clear()
        for worker in list((pool._processes or {}).values()):
            worker.kill()
        if isinstance(error, BrokenProcessPool):
            raise InputError(KILLED) from error
        raise


def _begin(parent: int, start: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C, and a kernel that is shut down, are its parent's to answer
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if start is not None:
        start()


def _end_with(parent: int) -> None:
    """End this process as soon as its parent is gone; killed, a parent has no moment left to stop it."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)
