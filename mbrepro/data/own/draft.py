"""A first manifest for a folder: its files told apart by content, matched by name and looked into.

What is written is a draft for a person to read: what was concluded stands in the comment of its line.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import yaml

from mbrepro.artifacts import write_texts
from mbrepro.data.annotations import read_bouts
from mbrepro.data.annotations.bout import Bout
from mbrepro.data.own.manifest import COLUMNS, DESCRIPTION, DIFFERENT, KEYS, NOWHERE, TABLE
from mbrepro.data.recordings import FPS, OTHER
from mbrepro.data.tables import marked
from mbrepro.data.tracking import reader_of
from mbrepro.data.tracking.tracks import Tracks, bare
from mbrepro.errors import InputError
from mbrepro.paths import linked_out

VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".webm"}
FRONTS, REARS = ("nose", "snout", "head"), ("tail_base", "tail", "hip")
COVERED = 0.99  # share of the frames between first and last bout from which on a label file covers all of them


def write_draft(folder: Path, fps: float | None = None) -> tuple[int, dict[str, str]]:
    """Write both files of the manifest into a folder; return the number of recordings, and the files left out with why.

    fps: of recordings without a video. Raises InputError if one of both is there already, or no pose file is.
    """
    folder = Path(folder)
    for name in (TABLE, DESCRIPTION):
        if (folder / name).exists():
            raise InputError(f"{folder / name}: it is there already; edit it, or remove it and start again")
    poses, labels, videos, left = _sorted_out(folder, fps or FPS)
    if not poses:
        raise InputError(f"{folder}: there is no pose file in it that can be read; name another folder")
    of_labels, of_videos = (matched(folder, list(poses), files) for files in (list(labels), videos))
    rows = [(name, path, of_labels.get(path), of_videos.get(path)) for path, name in _names(folder, poses).items()]
    used = {path for row in rows for path in row[1:]}
    left |= {str(path): "no pose file goes with its name" for path in (*labels, *videos) if path not in used}
    lines = _description(list(poses.values()), list(labels.values()), len(of_videos) == len(poses))
    write_texts({folder / TABLE: _table(folder, rows, fps), folder / DESCRIPTION: "\n".join(lines) + "\n"})
    return len(rows), left


def _sorted_out(
    folder: Path, fps: float
) -> tuple[dict[Path, Tracks], dict[Path, list[Bout]], list[Path], dict[str, str]]:  # fmt: skip
    """Pose files and what they hold, label files and theirs, videos, and the other files with why they are none."""
    poses, labels, videos, left = {}, {}, [], {}
    for path in sorted(folder.rglob("*"), key=lambda path: _natural(str(path))):
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if leads := linked_out(path, folder):
            left[str(path)] = f"it leads by a link to {leads}; name that path in {TABLE}, or copy it here"
            continue
        if path.suffix.lower() in VIDEOS:
            videos.append(path)
            continue
        try:
            content = _read(path, fps)
            (poses if isinstance(content, Tracks) else labels)[path] = content
        except InputError as error:
            left[str(path)] = str(error)
    return poses, labels, videos, left


def _read(path: Path, fps: float) -> Tracks | list[Bout]:
    try:
        reader = reader_of(path)
    except InputError:
        return read_bouts(path, fps, points=None)
    return _summary(reader(path, None))


def _summary(tracks: Tracks) -> Tracks:
    """Tracks of one frame, in which each point lies as far right and down as it ever does; NaN if never seen."""
    tracks = tracks.divided(()) if len(tracks.individuals) == 1 else tracks
    ever = np.isfinite(tracks.positions).any(0)
    farthest = np.where(ever, np.nan_to_num(tracks.positions, nan=-np.inf).max(0), np.nan)
    return Tracks(tracks.individuals, tracks.parts, farthest[None], None)


def matched(folder: Path, poses: Sequence[Path], others: Sequence[Path]) -> dict[Path, Path]:
    """Pose file → the other file whose name says the same once what all of its kind have in common is left out.

    Of the ways of leaving out, the one that matches most files; a pair that is alone needs no name.
    """
    if len(poses) == len(others) == 1:
        return {poses[0]: others[0]}
    best = {}
    for ours, theirs in product(_keys(folder, poses), _keys(folder, others)):
        pairs = {path: theirs[key] for key, path in ours.items() if key in theirs}
        best = max(best, pairs, key=len)
    return best


def _keys(folder: Path, paths: Sequence[Path]) -> list[dict[tuple[str, ...], Path]]:
    """Ways to tell files apart, the plainest first: words of their names, or of their paths, less what all share."""
    ways = []
    names = [path.stem for path in paths], [str(path.relative_to(folder).with_suffix("")) for path in paths]
    for named, ends in product(names, _ENDS):
        words = [re.findall(r"\d+|[^\W\d_]+", name) for name in named]
        for end in ends if len(paths) > 1 else ():
            while all(words) and len({word[end] for word in words}) == 1:
                words = [word[1:] if end == 0 else word[:-1] for word in words]
        keys = {tuple(word): path for word, path in zip(words, paths, strict=True) if word}
        ways += [keys] if len(keys) == len(paths) else []
    return ways


_ENDS = ((), (-1,), (0, -1))  # what to leave out: nothing, the words all end with, and also those they begin with


def _names(folder: Path, poses: Mapping[Path, Tracks]) -> dict[Path, str]:
    """Pose file → what its recording is called: the words that tell it from the others."""
    ways = _keys(folder, list(poses))
    short = {path: "_".join(key) for key, path in (ways[1] if len(ways) > 1 else ways[0]).items()}
    return dict(sorted(short.items(), key=lambda item: _natural(item[1])))


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else -1, part) for part in re.findall(r"\d+|\D+", text)]


def _table(folder: Path, rows: Sequence[tuple], fps: float | None) -> str:
    out = io.StringIO()
    out.write("".join(f"# {column}: {what}\n" for column, what in COLUMNS.items()))
    out.write("# if an animal was filmed more than once, name it alike in those lines\n")
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for name, *files in rows:
        rate = "" if fps is None or files[-1] else f"{fps:g}"
        paths = ["" if path is None else path.relative_to(folder).as_posix() for path in files]
        table.writerow(map(marked, [name, name, "", *paths, rate, "", ""]))
    return out.getvalue()


def _description(poses: Sequence[Tracks], labels: Sequence[Sequence[Bout]], filmed: bool) -> list[str]:
    """Lines of `dataset.yml`: what each key holds, its value, and what of it was concluded from where."""
    seen = [np.isfinite(tracks.positions[0, :2]).all((0, 2)) for tracks in poses]
    theirs = [np.array(tracks.parts)[there].tolist() for tracks, there in zip(poses, seen, strict=True)]
    parts = [part for part in theirs[0] if all(part in others for others in theirs)]
    if len(parts) < 2:
        raise InputError("the pose files have fewer than two points of both animals in common, so they are no data set")
    animals = poses[0].individuals
    front, rear = _named(parts, FRONTS, 0), _named(parts, REARS, -1)
    channels = Counter(bout.channel for bouts in labels for bout in bouts)
    channel = next(iter(channels), "")
    bouts = [[bout for bout in of_file if bout.channel == channel] for of_file in labels]
    covered = _covered(bouts)
    size = np.ceil(np.nanmax([np.nanmax(tracks.positions, (0, 1, 2)) for tracks in poses], 0)).astype(int).tolist()
    values = {
        "individuals": (list(animals[:2]) if len(animals) > 1 else [], f"of {', '.join(animals)}"),
        "roles": (DIFFERENT, "labels do not tell; what is right for resident and intruder"),
        "parts": (parts, f"seen in every file, of {', '.join(poses[0].parts)}"),
        "front": (front, "a guess"), "rear": (rear, "a guess"), "part_names": ({}, ""), "behaviours": (None, ""),
        "ignored": ([], ""), "channel": (channel, f"of {', '.join(channels)}" if len(channels) > 1 else ""),
        "unlabelled": (NOWHERE if covered >= COVERED else OTHER, f"labels cover {covered:.1%}"),
        "frame_size": ([] if filmed else size, "" if filmed else "how far the points reach; better the picture's own"),
    }  # fmt: skip
    return [line for key, (value, note) in values.items() for line in _lines(key, value, note, bouts)]


def _lines(key: str, value: object, note: str, bouts: Sequence[Sequence[Bout]]) -> list[str]:
    head = f"# {KEYS[key]}" + (f" ({note})" if note else "")
    if key != "behaviours":
        flow = False if isinstance(value, str) else None
        return [head, yaml.safe_dump({key: value}, default_flow_style=flow, width=math.inf).strip()]
    counts = Counter(bout.behaviour for of_file in bouts for bout in of_file)
    files = Counter(name for of_file in bouts for name in {bout.behaviour for bout in of_file})
    lines = []
    for label, count in counts.most_common():
        line = yaml.safe_dump({label: re.sub(r"[^\w.+-]+", "_", label)}, width=math.inf).strip()
        lines.append(f"  {line}  # {count} bouts in {files[label]} files")
    return [head, "behaviours:", *lines] if lines else [head, "behaviours: {}"]


def _named(parts: Sequence[str], names: Sequence[str], otherwise: int) -> str:
    return next((part for name in names for part in parts if bare(name) == bare(part)), parts[otherwise])


def _covered(bouts: Sequence[Sequence[Bout]]) -> float:
    """Share of the frames from the first bout's start to the last one's end that are in a bout, of all files."""
    inside = reach = 0
    for of_file in filter(None, bouts):
        ordered = sorted((bout.start, bout.stop) for bout in of_file)
        end = ordered[0][0]
        for start, stop in ordered:
            inside, end = inside + max(0, stop - max(start, end)), max(end, stop)
        reach += end - ordered[0][0]
    return inside / reach if reach else 0.0
