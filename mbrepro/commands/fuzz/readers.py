"""Every reader of data from elsewhere, with a small whole file of its form, for `fuzz`; see also `made`."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from mbrepro.artifacts import write_text
from mbrepro.data.annotations import read_bouts, read_extent, read_frame_labels
from mbrepro.data.annotations.boris import write_boris
from mbrepro.data.annotations.bout import Bout
from mbrepro.data.annotations.caltech import write_bento
from mbrepro.data.calms21 import download, release
from mbrepro.data.calms21.read import read_sequences
from mbrepro.data.own.draft import write_draft
from mbrepro.data.own.manifest import DESCRIPTION, TABLE, read_manifest
from mbrepro.data.recordings import TASK1_CLASSES, Skeleton
from mbrepro.data.tracking import read_tracking
from mbrepro.data.video import decode_frames, probe, write_video


@dataclass(frozen=True)
class Reader:
    """Writes whole files into a folder, of which those that patterns name are changed, and reads what is there."""

    write: Callable[[Path], object]
    read: Callable[[Path], object]
    changed: tuple[str, ...] = ("*",)


def one_file(name: str, write: Callable[[Path], object], read: Callable[[Path], object]) -> Reader:
    return Reader(lambda folder: write(folder / name), lambda folder: read(folder / name), (name,))


PARTS, ANIMALS, FRAMES, FPS = ("nose", "back", "tail"), ("a", "b"), 30, 30.0
POINTS = np.arange(FRAMES * 12, dtype=float).reshape(FRAMES, 2, 3, 2)  # (frame, animal, part, xy)
COLUMNS = [(animal, part, cell) for animal in ANIMALS for part in PARTS for cell in ("x", "y", "likelihood")]
CELLS = np.concatenate([POINTS, np.full((FRAMES, 2, 3, 1), 0.9)], -1).reshape(FRAMES, -1)
BOUTS = [Bout("attack", 3, 9, "a"), Bout("mount", 12, 20, "a")]


def _poses(path: Path) -> None:
    read_tracking(path, fps=FPS, frame_size=(800, 600), skeleton=Skeleton(PARTS, "nose", "tail"))


def _arrays_of_poses(path: Path) -> None:
    numbers = {part: str(place + 1) for place, part in enumerate(PARTS)}
    read_tracking(path, fps=FPS, frame_size=(800, 600), skeleton=Skeleton(PARTS, "nose", "tail"), parts=numbers)


def _mice(path: Path) -> None:
    read_tracking(path, fps=FPS, frame_size=(800, 600), sequence="mouse001_a")


def _labels(path: Path) -> None:
    read_extent(path)
    read_bouts(path, FPS)
    meaning = dict.fromkeys(("attack", "mount", "other", "1", "0"), "attack")
    read_frame_labels(path, FPS, FRAMES, meaning, ("attack", "other"), between="other")


def _video(path: Path) -> None:
    decode_frames(path, range(probe(path).frames))


def _film(path: Path) -> None:
    write_video(path, (np.full((48, 64, 3), 8 * k, np.uint8) for k in range(12)), FPS, 64, 48, gop=4)


def _dlc_csv(path: Path) -> None:
    levels = zip(("individuals", "bodyparts", "coords"), zip(*COLUMNS, strict=True), strict=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerows([["scorer", *["net"] * len(COLUMNS)], *([name, *row] for name, row in levels)])
        table.writerows([frame, *cells] for frame, cells in enumerate(CELLS))


def _dlc_h5(path: Path) -> None:
    """pandas' fixed form."""
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs.update({"pandas_type": np.bytes_("frame"), "nblocks": 1, "block0_items_nlevels": 4})
        for level, names in enumerate(zip(*(("net", *column) for column in COLUMNS), strict=True)):
            known = sorted(set(names))
            group[f"block0_items_level{level}"] = np.array(known, "S")
            group[f"block0_items_label{level}"] = np.array([known.index(name) for name in names], np.int8)
        group["axis1"], group["block0_values"] = np.arange(FRAMES), CELLS
        group["block0_values"].attrs["transposed"] = np.uint8(1)


def _sleap_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["node_names"], file["track_names"] = np.array(PARTS, "S"), np.array(ANIMALS, "S")
        file["tracks"], file["point_scores"] = POINTS.transpose(1, 3, 2, 0), np.ones((2, 3, FRAMES))


def _sleap_csv(path: Path) -> None:
    head = ["track,frame_idx,instance.score", *(f"{part}.{cell}" for part in PARTS for cell in ("x", "y", "score"))]
    rows = [f"{a},{t},0.9," + ",".join(f"{x},{y},0.8" for x, y in POINTS[t, k]) for t in range(FRAMES)
            for k, a in enumerate(ANIMALS)]  # fmt: skip
    path.write_text("\n".join([",".join(head), *rows]) + "\n", encoding="utf-8")


def _calms21(path: Path) -> None:
    points = np.arange(FRAMES * 28, dtype=float).reshape(FRAMES, 2, 2, 7)
    fields = {"keypoints": points.tolist(), "scores": np.ones((FRAMES, 2, 7)).tolist(), "annotations": [3, 0] * 15}
    names = {f"task1/{path.parent.name}/mouse00{k}_a": fields | {
        "metadata": {"vocab": {name: n for n, name in enumerate(TASK1_CLASSES)}}} for k in (1, 2)}  # fmt: skip
    write_text(path, json.dumps({"annotator-id_0": names}))


def _caltech(path: Path) -> None:
    rows = "".join(f"   \t{b.start + 1}\t{b.stop}\t{b.behaviour}\n" for b in BOUTS)
    head = "Caltech Behavior Annotator - Annotation File\n\nConfiguration file:\nattack\ta\nmount\tm\n\n"
    path.write_text(f"{head}S1:\tstart\tend\ttype\n{'-' * 29}\n{rows}  \t\n", encoding="utf-8")


def _manifest(folder: Path) -> None:
    _lab(folder)
    write_draft(folder, FPS)


def _lab(folder: Path) -> None:
    _dlc_csv(folder / "p.csv")
    write_boris(folder / "l.csv", BOUTS, np.arange(FRAMES + 1) / FPS)


def _drafted(folder: Path) -> None:
    write_draft(folder, FPS)
    try:
        read_manifest(folder)
    finally:  # a draft is for a person to mend
        for name in (TABLE, DESCRIPTION):
            (folder / name).unlink()


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("task1/a.json", bytes(3000))
        file.writestr("task1/b.mp4", bytes(range(256)) * 9)


def _unpacked(path: Path) -> None:
    for member in download.local_members(path, path):
        target = path.with_name("unpacked") / "member"
        download.unpack(path, member.start, member.info, target, path.parent, path)
        shutil.rmtree(target.parent)


def _describe(folder: Path) -> None:
    release.write_release_file(folder, release.official())


def _described(folder: Path) -> None:
    release.read_release(folder / release.RELEASE_FILE)


def _fetched(folder: Path) -> None:
    told = {"title": "a", "doi": "b", "notice": "c", "simulated": True}
    release.record(folder, release.Fetched("a", told, "2026-01-01", {"a.json": {"size": 1}}, {}, {"held": [], "of": 0}))


READERS = {  # by what the files are; a reader that makes anew what is damaged has read it
    "CalMS21 JSON": one_file("a.json", _calms21, read_sequences),
    "CalMS21 JSON as poses": one_file("a.json", _calms21, _mice),
    "DeepLabCut csv": one_file("a.csv", _dlc_csv, _poses),
    "DeepLabCut h5": one_file("a.h5", _dlc_h5, _poses),
    "SLEAP h5": one_file("a.h5", _sleap_h5, _poses),
    "SLEAP csv": one_file("a.csv", _sleap_csv, _poses),
    "npy": one_file("a.npy", lambda path: np.save(path, POINTS), _arrays_of_poses),
    "npz": one_file("a.npz", lambda path: np.savez_compressed(path, a=POINTS), _arrays_of_poses),
    "mp4": one_file("a.mp4", _film, _video),
    "avi": one_file("a.avi", _film, _video),
    "mkv": one_file("a.mkv", _film, _video),
    "BORIS": one_file("a.csv", lambda path: write_boris(path, BOUTS, np.arange(FRAMES + 1) / FPS), _labels),
    "Bento annot": one_file("a.annot", lambda path: write_bento(path, BOUTS, FRAMES, FPS), _labels),
    "Caltech annotations": one_file("a.txt", _caltech, _labels),
    "csv of bouts": one_file("a.csv", lambda path: write_text(path, "label,start_s,stop_s,start_frame,stop_frame\n"
        "attack,0.1,0.3,3,9\nmount,0.4,0.6,12,18\n"), _labels),
    "csv of frames": one_file("a.csv", lambda path: write_text(path, "frame,time_s,label,score_attack\n" + "".join(
        f"{k},{k / FPS:.6f},{'attack' if k % 9 else ''},0.5\n" for k in range(FRAMES))), _labels),
    "recordings.csv and dataset.yml": Reader(_manifest, read_manifest, ("recordings.csv", "dataset.yml")),
    "mbrepro init": Reader(_lab, _drafted),
    "zip of a release": one_file("a.zip", _zip, _unpacked),
    "description of a release": Reader(_describe, _described),
    "record of a fetch": Reader(_fetched, release.fetched),
}  # fmt: skip
