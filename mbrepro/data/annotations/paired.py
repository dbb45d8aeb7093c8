"""Label files of the same recordings by two hands, a model's and a person's or two people's, as labels of frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbrepro.data.annotations import (
    NO_POINTS,
    SPARE_S,
    Points,
    frame_labels,
    read_bouts,
    read_extent,
    read_scores,
)
from mbrepro.data.annotations.bout import NOT_SCORABLE, Bout
from mbrepro.data.own.manifest import TABLE, Entry, read_manifest
from mbrepro.data.recordings import OTHER, UNLABELLED, Clock, behaviours, mean_rate
from mbrepro.errors import InputError

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".annot", ".pred", ".frames", ".boris", ".bouts", ".labels")
RATES_ALIKE = 1e-4  # by so small a part two files' rates may differ: a frame in 5 minutes


@dataclass(frozen=True, eq=False)
class Labelled:
    """One recording labelled twice: (T,) class indices or `UNLABELLED`, at `fps` frames per second.

    scores: the prediction's by class, (T,) each, empty if it has none. start_s: when its first frame is shown.
    """

    name: str
    true: np.ndarray
    predicted: np.ndarray
    fps: float
    scores: Mapping[str, np.ndarray]
    start_s: float = 0.0

    @property
    def scorable(self) -> np.ndarray:
        """(T,) bool, True where both have a label."""
        return (self.true != UNLABELLED) & (self.predicted != UNLABELLED)


def paired_files(predicted: Path, true: Path) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Predicted and true label file of each recording, by its name, and the files that have no partner.

    Two files are one recording's, whatever they are called; in two folders files go by their names without `SUFFIXES`.
    Raises InputError if nothing can be paired, or if a folder has several files of one recording.
    """
    for path in (predicted, true):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
    if predicted.is_dir() != true.is_dir():
        raise InputError(f"{predicted} and {true}: give two label files, or two folders of them")
    if predicted.is_file():
        return {_name(predicted): (predicted, true)}, []
    ours, theirs = _label_files(predicted), _label_files(true)
    pairs = {name: (ours[name], theirs[name]) for name in sorted({*ours} & {*theirs})}
    if not pairs:
        some = " and ".join(f"{folder} has {', '.join([*found][:3]) or 'none'}" for folder, found in
                            ((predicted, ours), (true, theirs)))  # fmt: skip
        raise InputError(f"no recording has label files of one name in both folders: {some}; name them alike")
    return pairs, sorted(str(found[name]) for found in (ours, theirs) for name in {*found} - {*pairs})


def _name(path: Path) -> str:
    name = path.name
    while (suffix := Path(name).suffix).lower() in SUFFIXES:
        name = name.removesuffix(suffix)
    return name.removesuffix("_annot")


def _label_files(folder: Path) -> dict[str, Path]:
    """A folder's label files by recording, as its manifest names them; of what `predict` writes, the csv of frames."""
    if entries := entries_of(folder):
        return {name: entry.labels for name, entry in entries.items() if entry.labels is not None}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.endswith(".pred.json"):
            found.setdefault(_name(path), []).append(path)
    chosen = {}
    for name, paths in found.items():
        frames = [path for path in paths if path.name.endswith(".frames.csv")]
        if len(frames or paths) > 1:
            raise InputError(f"{folder}: {name} has several label files, {', '.join(p.name for p in paths)}; keep one")
        (chosen[name],) = frames or paths
    return chosen


def entries_of(folder: Path) -> dict[str, Entry]:
    """The lines of a folder's manifest by recording; none for a folder, or a file, without one."""
    return {e.name: e for e in read_manifest(folder).entries} if (folder / TABLE).exists() else {}


def read_labelled(
    pairs: Mapping[str, tuple[Path, Path]], *, fps: float | None = None, channels: tuple[str, str] = ("", ""),
    only: Sequence[str] = (), renamed: Mapping[str, str] | None = None, known: Mapping[str, str] | None = None,
    between: str | None = OTHER, entries: Sequence[Mapping[str, Entry]] = ({}, {}), points: Points = NO_POINTS,
) -> tuple[list[Labelled], tuple[str, ...]]:  # fmt: skip
    """Every recording's two labellings, and the classes: all behaviours that either knows, sorted, and other.

    fps: frames per second, where files do not tell or do not agree. channels: which of several the predicted files have
    and the true ones. only: the behaviours that count, others being other. renamed: a file's behaviour → its class,
    other, or "" for frames that count nowhere; known: the same of behaviours that files may have. between: the class of
    frames in no bout of the true files, or None; of the predicted ones it is other. entries: of both sides' manifests,
    outside whose start and stop nothing is labelled. points: as of `read_bouts`. Raises InputError for what a file
    leaves open, an option that is not used, or files of unlike length.
    """
    read = {name: _read(pair, fps, points) for name, pair in pairs.items()}
    for side, channel in enumerate(channels):
        _choose_channel([both[side] for *_, both in read.values()], channel)
    there = {bout.behaviour for *_, both in read.values() for _, found in both for bout in found} - {NOT_SCORABLE}
    meaning, classes = _meaning(there, renamed or {}, only, known or {})
    cut = {name: [side.get(name) for side in entries] for name in read}
    return [_labelled(name, *each, meaning, classes, between, cut[name]) for name, each in read.items()], classes


def _read(
    pair: tuple[Path, Path], fps: float | None, points: Points
) -> tuple[Clock, int, list[tuple[Path, list[Bout]]]]:
    """A recording's clock, its frames, and both files' bouts."""
    clock, frames = _extent(*pair, fps)
    both = [(path, read_bouts(path, clock, points=points)) for path in pair]
    frames = frames or max((bout.stop for _, found in both for bout in found), default=0)
    if not frames:
        raise InputError(f"{pair[0]} and {pair[1]}: neither has a bout or tells how long the recording is")
    return clock, frames, both


def _choose_channel(files: Sequence[tuple[Path, list[Bout]]], channel: str) -> None:
    """Leave in one side's files the bouts of a channel, of which a file may have none, but not all of them."""
    known = sorted({bout.channel for _, found in files for bout in found})
    if channel and channel not in known:
        raise InputError(f"{files[0][0].parent}: no label file has the channel {channel!r}; they have {known}")
    for path, found in files:
        if not channel and len({bout.channel for bout in found}) > 1:
            raise InputError(f"{path}: name the channel to read, one of {', '.join(known)}")
        found[:] = [bout for bout in found if channel in ("", bout.channel)]


def _meaning(
    there: set[str], renamed: Mapping[str, str], only: Sequence[str], known: Mapping[str, str]
) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Each behaviour's class, None if its frames do not count, and the classes."""
    meaning = {name: renamed.get(name, known.get(name, name)) or None for name in there}
    named = sorted({name for name in meaning.values() if name} - {OTHER})
    if unknown := [name for name in renamed if name not in there] or [name for name in only if name not in named]:
        raise InputError(f"no file has the behaviour {unknown[0]!r}; they have {', '.join(sorted(there))}")
    classes = (*(only or named), OTHER)
    if len(classes) == 1:
        raise InputError("none of the files has a behaviour to compare")
    return {name: of if of in (None, *classes) else OTHER for name, of in meaning.items()}, classes


def _extent(predicted: Path, true: Path, fps: float | None) -> tuple[Clock, int | None]:
    """When a recording's frames are shown, as the files or else `fps` tell, and how many both files have."""
    told = {path: read_extent(path) for path in (predicted, true)}
    clocks = {path: extent.clock for path, extent in told.items() if extent.clock is not None}
    uneven = [clock for clock in clocks.values() if np.ndim(clock)]
    rates = [mean_rate(clock) for clock in uneven or clocks.values()]
    alike = bool(rates) and max(rates) <= min(rates) * (1 + RATES_ALIKE)
    if fps is None and not alike:
        which = f"{predicted} and {true} tell {rates[0]:g} and {rates[1]:g} frames per second" if rates else None
        raise InputError(f"{which or f'{true} and {predicted} tell no rate'}; give --fps")
    if fps is not None and alike:
        raise InputError(
            f"{next(iter(clocks))}: it tells {rates[0]:g} frames per second, so --fps is not used; leave it out"
        )
    clock = uneven[0] if uneven else fps or rates[0]
    lengths = [extent.frames for extent in told.values() if extent.frames]
    if lengths and max(lengths) - min(lengths) > SPARE_S * mean_rate(clock):
        raise InputError(
            f"{predicted} is of {lengths[0]} frames and {true} of {lengths[1]}: they are not of one recording"
        )
    return clock, min(lengths, default=None)


def _labelled(
    name: str, clock: Clock, frames: int, both: Sequence[tuple[Path, list[Bout]]], meaning: Mapping[str, str | None],
    classes: Sequence[str], between: str | None, cut: Sequence[Entry | None],
) -> Labelled:  # fmt: skip
    predicted, true = (
        frame_labels(*file, clock, frames, meaning, classes, between=rest)
        for file, rest in zip(both, (OTHER, between), strict=True)
    )
    shown = clock[:frames] if isinstance(clock, np.ndarray) else np.arange(frames) / clock
    for track, entry in zip((predicted, true), cut, strict=True):
        if entry:
            track[~entry.counted(shown)] = UNLABELLED
    table = read_scores(both[0][0])
    scores = {meaning.get(label, label): table[label].to_numpy()[:frames] for label in table}
    scores = {label: values for label, values in scores.items() if label in behaviours(classes)}
    if np.ndim(clock) == 0:
        return Labelled(name, true, predicted, float(clock), scores)
    rate = mean_rate(shown)
    # compared frame by frame as if filmed evenly, so that a second weighs as much everywhere
    even = np.arange(shown[0], shown[-1] + 0.5 / rate, 1 / rate)
    places = np.interp(even, shown, np.arange(frames)).round().astype(int)
    scores = {label: values[places] for label, values in scores.items()}
    return Labelled(name, true[places], predicted[places], rate, scores, float(shown[0]))
