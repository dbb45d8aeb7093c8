"""What every pose file comes down to."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

BROKEN = (LookupError, ValueError, TypeError, AttributeError, MemoryError)  # what damaged files make readers raise
_WHOSE = (  # how the parts of several animals are named in one list, such as nose_1, m1.nose and nose1
    r"(?P<part>.+)[ _.-](?P<animal>[^ _.-]+)",
    r"(?P<animal>[^ _.-]+)[ _.-](?P<part>.+)",
    r"(?P<part>.*[^\d _.-])(?P<animal>\d+)",
)


@dataclass(frozen=True, eq=False)
class Tracks:
    """Everything a pose file holds: positions (T, I, P, 2) px with NaN for gaps, likelihood (T, I, P) or None."""

    individuals: tuple[str, ...]
    parts: tuple[str, ...]
    positions: np.ndarray
    likelihood: np.ndarray | None

    def divided(self, wanted: Iterable[str]) -> "Tracks":
        """The tracks of one individual as those of several, if its parts are the wanted ones with an affix for each."""
        names = {bare(name) for name in wanted}
        for animals in (_grouped(self.parts, pattern) for pattern in _WHOSE):
            parts = tuple(next(iter(animals.values()), ()))
            if len(animals) > 1 and names <= set(map(bare, parts)):
                places = np.array([[of_part[part] for part in parts] for of_part in animals.values()])
                likelihood = None if self.likelihood is None else self.likelihood[:, 0, places]
                return Tracks(tuple(animals), parts, self.positions[:, 0, places], likelihood)
        return self


def bare(part: str) -> str:
    """A part's name as it is compared: without case, spaces, hyphens and underscores."""
    return re.sub("[ _-]", "", part).lower()


def _grouped(parts: Sequence[str], pattern: str) -> dict[str, dict[str, int]]:
    """Animal → part → place of a list in which each animal has the same parts; else nothing."""
    animals: dict[str, dict[str, int]] = {}
    for place, match in enumerate(re.fullmatch(pattern, name) for name in parts):
        if match is None:
            return {}
        animals.setdefault(match["animal"], {})[match["part"]] = place
    return animals if len({frozenset(places) for places in animals.values()}) == 1 else {}
