"""Everything a manifest names, read once: a table of what the recordings hold, and every problem as one sentence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mbrepro.data.alignment import absent
from mbrepro.data.annotations import read_bouts
from mbrepro.data.labels import bout_seconds
from mbrepro.data.own import read_labels, read_poses
from mbrepro.data.own.manifest import DESCRIPTION, Entry, Manifest
from mbrepro.data.recordings import FPS, OTHER, UNLABELLED, Recording, behaviours
from mbrepro.errors import InputError

MISSING = 0.5  # share of points filled in from which on it is said
FEW = 2  # recordings with a class, with fewer of which nothing can be learned from some and tested on others


@dataclass(frozen=True, eq=False)
class Checked:
    """What was found: a line a recording, sentences that forbid going on, and sentences to know."""

    table: pd.DataFrame
    errors: tuple[str, ...]
    notes: tuple[str, ...]


def check(manifest: Manifest) -> Checked:
    """Read every recording of a manifest, one at a time, and tell all that is wrong with them at once.

    The table has frames, rate, share of points missing, seconds in which an animal is absent, by how many frames poses
    are more than the video, how many labelled frames there are, and the bouts of each class.
    """
    lines, errors, notes = [], [], []
    for entry in manifest.entries:
        line, wrong, told = _checked(manifest, entry)
        lines.append(line)
        errors += wrong
        notes += told
    table = pd.DataFrame(lines)
    counts = {name: int((table.get(f"bouts_{name}", pd.Series(dtype=float)) > 0).sum()) for name in _named(manifest)}
    errors += too_rare(manifest, counts) if not errors else ()
    return Checked(table, tuple(errors), tuple(notes))


def _checked(manifest: Manifest, entry: Entry) -> tuple[dict, list[str], list[str]]:
    line: dict[str, Any] = {"name": entry.name, "animal": entry.animal, "split": entry.split}
    try:
        recording, about = read_poses(manifest, entry)
    except InputError as error:
        return line, [str(error), *_label_errors(manifest, entry)], []
    line |= {
        "frames": len(recording), "fps": round(recording.fps, 3), "missing": about["points_filled"],
        "absent_s": about["frames_not_scorable"] / recording.fps,
        "poses_minus_video": None if entry.video is None else about["poses_in_file"] - len(recording),
    }  # fmt: skip
    try:
        labels = read_labels(manifest, entry, recording)
    except InputError as error:
        return line, [str(error)], list(_notes(entry, recording, about, None))
    if labels is not None:
        recording = recording.at(slice(None), labels=labels)
        line |= {"labelled": int((labels != UNLABELLED).sum())}
        line |= {f"bouts_{name}": len(bout_seconds([recording], name)[0]) for name in behaviours(recording.classes)}
    return line, [], list(_notes(entry, recording, about, labels))


def _label_errors(manifest: Manifest, entry: Entry) -> list[str]:
    """What is wrong with a label file by itself, where there are no poses to hold it against."""
    try:
        if entry.labels is not None:
            read_bouts(entry.labels, entry.fps or FPS, points=manifest.description.points)
    except InputError as error:
        return [str(error)]
    return []


def _notes(entry: Entry, recording: Recording, about: dict, labels: np.ndarray | None) -> Iterator[str]:
    if about["points_filled"] >= MISSING:
        yield f"{entry.poses}: {about['points_filled']:.0%} of the points are missing"
    if about["points_outside_the_picture"]:
        yield f"{entry.poses}: {about['points_outside_the_picture']:.2%} of the points lie outside the picture"
    if labels is None:
        yield f"{entry.name}: it has no labels, so nothing is learned from it"
    elif (labelled := np.flatnonzero(labels != UNLABELLED)).size == 0:
        yield f"{entry.labels}: none of its frames counts"
    elif (alone := absent(recording)[labelled] & (labels[labelled] != recording.classes.index(OTHER))).any():
        seconds = alone.sum() / recording.fps
        yield f"{entry.poses}: an animal is absent in {seconds:.1f} s that are labelled as a behaviour of two"


def too_rare(manifest: Manifest, recordings: Mapping[str, int]) -> Iterator[str]:
    """A sentence for each behaviour that is in fewer than `FEW` recordings; recordings: how many it is in, by name."""
    for name in _named(manifest):
        if recordings[name] < FEW:
            yield (
                f"{manifest.folder / DESCRIPTION}: {name} is in {recordings[name]} recordings, and at least {FEW} are "
                "needed to learn it and test it; map its labels to another class or name them under ignored"
            )


def _named(manifest: Manifest) -> tuple[str, ...]:
    return behaviours(manifest.description.classes)
