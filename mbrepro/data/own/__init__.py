"""A data set of one's own: a folder with a manifest, and the pose files, label files and videos that it names."""

from dataclasses import replace

import numpy as np

from mbrepro.data.annotations import read_frame_labels
from mbrepro.data.own.fitted import read_own
from mbrepro.data.own.manifest import DESCRIPTION, TABLE, Entry, Manifest
from mbrepro.data.recordings import UNLABELLED, Recording
from mbrepro.errors import InputError


def read_recording(manifest: Manifest, entry: Entry) -> tuple[Recording, dict]:
    """Read the files of a line, and return the recording with notes on its poses, as of `read_own`.

    Its labels are None without a label file, and `UNLABELLED` before `start` and from `stop` on. Raises InputError for
    a file that cannot be read, or that does not fit the others.
    """
    recording, notes = read_poses(manifest, entry)
    return replace(recording, labels=read_labels(manifest, entry, recording)), notes


def read_poses(manifest: Manifest, entry: Entry) -> tuple[Recording, dict]:
    """The recording without its labels, and notes; raises InputError as `read_own`."""
    if entry.video is None and (entry.fps is None or manifest.description.reading["frame_size"] is None):
        raise InputError(f"{entry.poses}: without a video, give fps in {TABLE} and frame_size in {DESCRIPTION}")
    recording, notes = read_own(entry.video, entry.poses, fps=entry.fps, **manifest.description.reading)
    told = {"name": entry.name, "animal": entry.animal, "classes": manifest.description.classes}
    return replace(recording, **told, partly_labelled=True), notes


def read_labels(manifest: Manifest, entry: Entry, recording: Recording) -> np.ndarray | None:
    """(T,) int64 labels of the frames of an entry's recording, or None; raises InputError as `read_frame_labels`."""
    if entry.labels is None:
        return None
    what = manifest.description
    labels = read_frame_labels(
        entry.labels, recording.clock, len(recording), what.meaning, what.classes, channel=what.channel,
        between=what.between, points=what.points,
    )  # fmt: skip
    labels[~entry.counted(recording.edges[:-1])] = UNLABELLED
    return labels
