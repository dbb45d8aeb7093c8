"""Work done ahead of its use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Item], Made], items: Iterable[Item], workers: int = 1) -> Iterator[Made]:
    """Yield `make(item)` of each item in order; while one is used, as many of the next are made, a thread each."""
    with ThreadPoolExecutor(workers) as beside:
        waiting = deque()
        for item in items:
            waiting.append(beside.submit(make, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        yield from (last.result() for last in waiting)
