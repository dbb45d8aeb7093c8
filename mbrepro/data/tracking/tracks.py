"""What every pose file comes down to, and how two animals and their parts are picked from it by name."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mbrepro.data.recordings import MICE
from mbrepro.errors import InputError

# what damaged files make readers raise
BROKEN = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError)
PLENTY, PACKED = 2**28, 200  # bytes that an array may always have, and times its file's if that is more
_WHOSE = (  # how the parts of several animals are named in one list, such as nose_1, m1.nose and nose1
    r"(?P<part>.+)[ _.-](?P<animal>[^ _.-]+)",
    r"(?P<animal>[^ _.-]+)[ _.-](?P<part>.+)",
    r"(?P<part>.*[^\d _.-])(?P<animal>\d+)",
)


class MissingParts(InputError):
    """A pose file lacks parts that are wanted, by the names in `parts`."""

    def __init__(self, sentence: str, parts: Sequence[str]):
        super().__init__(sentence)
        self.parts = tuple(parts)


def check_size(path: Path, shape: Iterable[int]) -> None:
    """Raise InputError if an array of float64 of this shape is more than a file of its size can mean."""
    size = 8 * math.prod(map(int, shape))
    if size > max(PLENTY, PACKED * path.stat().st_size):
        raise InputError(f"{path}: it stands for {size:,} bytes, far more than it holds; export it again")


def stored_array(path: Path, stored: h5py.Dataset) -> np.ndarray:
    """An array of an HDF5 file; InputError if it lies in another file, or is larger than `check_size` lets it be."""
    if stored.file.filename != str(path) or stored.external or stored.is_virtual:
        raise InputError(f"{path}: {stored.name} lies in another file, which is not opened; export the poses again")
    check_size(path, (stored.size or 0, max(1, stored.dtype.itemsize // 8)))
    return stored[()]


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


def joined(path: Path, files: Mapping[Path, Tracks]) -> Tracks:
    """The tracks of a folder's files, each of one animal, as those of all; likelihoods only if all have them.

    DeepLabCut's network and SLEAP's analysis are no part of a name. Raises InputError unless there are at least two
    files, each of one animal with the same parts and as many frames as the others.
    """
    if len(files) < 2:
        raise InputError(
            f"{path}: a folder of poses holds a file for each animal, and this one has {len(files)}; one of several "
            "recordings needs a manifest, which mbrepro init writes"
        )
    first_file, first = next(iter(files.items()))
    for file, tracks in files.items():
        if len(tracks.individuals) != 1:
            raise InputError(f"{file}: it holds {', '.join(tracks.individuals)}, where a file of one animal is needed")
        if set(tracks.parts) != set(first.parts) or len(tracks.positions) != len(first.positions):
            raise InputError(
                f"{file}: {len(tracks.positions)} frames of {', '.join(tracks.parts)}, where {first_file.name} has "
                f"{len(first.positions)} of {', '.join(first.parts)}; export every frame, of SLEAP's as h5"
            )
    places = [[tracks.parts.index(part) for part in first.parts] for tracks in files.values()]
    each = list(zip(files.values(), places, strict=True))
    scored = [t.likelihood[:, 0, place] for t, place in each if t.likelihood is not None]
    likelihood = np.stack(scored, 1) if len(scored) == len(files) else None
    names = without_affix([re.sub(r"DLC_.*|\.analysis$", "", file.stem) for file in files])
    return Tracks(tuple(names), first.parts, np.stack([t.positions[:, 0, place] for t, place in each], 1), likelihood)


def one_of(path: Path, sequences: Sequence[str], wanted: str | None) -> str:
    """The sequence of a file that is wanted, by its name or the last part of it; InputError unless that is one."""
    chosen = [name for name in sequences if wanted in (None, name, name.rsplit("/", 1)[-1])]
    if len(chosen) != 1:
        listed = ", ".join(sequences[:5]) + (", …" if len(sequences) > 5 else "")
        raise InputError(f"{path}: name one of its {len(sequences)} sequences as the sequence to read: {listed}")
    return chosen[0]


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


def picked(
    path: Path, tracks: Tracks, individuals: Sequence[str] | None, wanted: Sequence[str], renamed: Mapping[str, str]
) -> tuple[np.ndarray, np.ndarray | None, Sequence[str]]:
    """Positions (T, 2, K, 2) and likelihood (T, 2, K) of the wanted parts of two animals, and the animals' names.

    individuals, renamed: as `individuals` and `parts` of `read_tracking`. Raises InputError for a name that is not in
    the file, or if it does not tell which two animals are meant or whose a part is.
    """
    told_apart = {f"{role}:{part}" for role in MICE for part in wanted} <= set(renamed)
    if len(tracks.individuals) == 1 and not told_apart:
        tracks = tracks.divided(renamed.get(part, part) for part in wanted)
    one = len(tracks.individuals) == 1 and told_apart and individuals is None
    mice = [0, 0] if one else _individuals(path, tracks, individuals)
    places = [_parts(path, tracks, *who, wanted, renamed) for who in zip(mice, MICE, strict=True)]
    chosen = slice(None), np.array(mice)[:, None], np.array(places)
    likelihood = None if tracks.likelihood is None else tracks.likelihood[chosen]
    return tracks.positions[chosen], likelihood, MICE if one else [tracks.individuals[mouse] for mouse in mice]


def _individuals(path: Path, tracks: Tracks, wanted: Sequence[str] | None) -> list[int]:
    found, listed = tracks.individuals, ", ".join(tracks.individuals)
    if len(found) == 1:
        raise InputError(
            f"{path}: it does not tell two animals apart; say whose part is whose, resident:PART=NAME and intruder:"
            f"PART=NAME for each part, out of its {', '.join(tracks.parts)}"
        )
    if wanted is None:
        if len(found) != 2:
            raise InputError(f"{path}: name the two individuals, resident first, out of its {len(found)}: {listed}")
        return [0, 1]
    if len(wanted) != 2 or len(set(wanted)) != 2:
        raise InputError(f"{path}: two different individuals are needed, resident first, out of its {listed}")
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(f"{path}: it has no individual {' and no '.join(missing)}, only {listed}")
    return [found.index(name) for name in wanted]


def _parts(
    path: Path, tracks: Tracks, mouse: int, role: str, wanted: Sequence[str], renamed: Mapping[str, str]
) -> list[int]:
    """Places of the wanted parts among those of an animal; its own names come before those without their affix."""
    known = {*wanted, *(f"{role}:{part}" for role in MICE for part in wanted)}
    if unknown := [name for name in renamed if name not in known]:
        raise InputError(f"{unknown[0]!r} is none of the {len(wanted)} parts to map: {', '.join(wanted)}")
    seen = np.isfinite(tracks.positions[:, mouse]).any((0, 2))
    own = [part for part, there in zip(tracks.parts, seen, strict=True) if there] or list(tracks.parts)
    named = [*tracks.parts, *without_affix(own), *own]
    places = {
        bare(name): tracks.parts.index(part) for name, part in zip(named, [*tracks.parts, *own, *own], strict=True)
    }
    chosen = {name: places.get(bare(renamed.get(f"{role}:{name}", renamed.get(name, name)))) for name in wanted}
    if missing := [name for name, place in chosen.items() if place is None]:
        whose = f" of {tracks.individuals[mouse]}" if len(own) < len(tracks.parts) else ""
        sentence = f"missing parts{whose}: {', '.join(missing)}; map each to one that the file has: {', '.join(own)}"
        raise MissingParts(f"{path}: {sentence}", missing)
    return list(chosen.values())


def without_affix(parts: Sequence[str]) -> list[str]:
    """Names of parts, or others, without the first and last words that all of them have in common."""
    words = [re.split("[ _.-]", part) for part in parts]
    for end in (0, -1):
        while len(words) > 1 and min(map(len, words)) > 1 and len({name[end] for name in words}) == 1:
            for name in words:
                del name[end]
    return ["_".join(name) for name in words]
