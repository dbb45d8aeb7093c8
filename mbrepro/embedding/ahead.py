"""Work done ahead of its use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """Yield `make(item)` of each item in order; while one is being used, the next is made in a thread beside."""
    with ThreadPoolExecutor(1) as beside:
        waiting = deque()
        for item in items:
            waiting.append(beside.submit(make, item))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        yield from (last.result() for last in waiting)
