"""A model that `mbrepro train` wrote, on any number of recordings: one after another, each kept when it is done."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np

from mbrepro.artifacts import file_hash, fingerprint
from mbrepro.data.alignment import absent
from mbrepro.data.annotations.boris import write_boris
from mbrepro.data.annotations.bout import NOT_SCORABLE, Bout
from mbrepro.data.annotations.caltech import write_bento
from mbrepro.data.own import read_poses
from mbrepro.data.own.fitted import read_own
from mbrepro.data.own.manifest import TABLE, read_manifest
from mbrepro.data.recordings import OTHER, UNLABELLED, Recording, other_index, runs
from mbrepro.data.tracking import reader_of
from mbrepro.data.tracking.tracks import MissingParts
from mbrepro.errors import InputError
from mbrepro.method.bundle import Bundle, load_bundle
from mbrepro.study.own import named, with_parts
from mbrepro.study.predict import told_in, write_prediction

WRITTEN = ("boris.csv", "annot", "pred.csv", "frames.csv", "pred.json")  # of each recording, in this order


@dataclass(frozen=True, eq=False)
class Job:
    """A recording to label: what its files are called, what it is made from, and what reads it."""

    name: str
    made_from: tuple[object, ...]
    read: Callable[[], tuple[Recording, dict]]


def label(
    sources: Sequence[Path], model: Path, out: Path, *, pairs: bool = False, video: Path | None = None, **how: object
) -> Iterator[Path]:
    """Label the frames of pose files, or of the recordings of data sets, and yield each file written into `out`.

    Those of `study.predict`, and beside them `<name>.boris.csv`, without "other", for BORIS and `<name>.annot` for
    Bento. Frames in which an animal is absent are not scorable. What was made before from the same files, model and
    options is kept as it is. pairs: two animals of a file at a time, all of them, each pair in both orders. video: of a
    single pose file. how: as of `read_own`. A recording that cannot be read does not stop the others: InputError comes
    at the end, with its sentence, or at once if the model cannot be used or two recordings have one name.
    """
    bundle = load_bundle(model)
    jobs = [job for path in sources for job in _jobs(Path(path), bundle, pairs, video, how)]
    names = [job.name for job in jobs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two recordings are called {twice[0]}, and one would replace the other; label one at a time")
    wrong = []
    for job in jobs:
        try:
            yield from _labelled(job, bundle, file_hash(model), out)
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        others = f" ({len(wrong) - 1} more: {'; '.join(wrong[1:])})" if wrong[1:] else ""
        raise InputError(f"{len(wrong)} of {len(jobs)} recordings could not be labelled: {wrong[0]}{others}")


def _jobs(path: Path, bundle: Bundle, pairs: bool, video: Path | None, how: Mapping) -> list[Job]:
    if (path / TABLE).exists():
        if unused := [name for name, value in ({"pairs": pairs, "video": video} | how).items() if value]:
            raise InputError(f"{path / TABLE}: it says how to read its recordings, so leave out {', '.join(unused)}")
        manifest = with_parts(read_manifest(path), bundle.skeleton.parts)
        said = path / "dataset.yml"
        return [Job(e.name, (e.poses, *filter(None, [e.video]), said), lambda e=e: read_poses(manifest, e))
                for e in manifest.entries]  # fmt: skip
    if not pairs:
        return [_job(path, path.stem if video is None else video.stem, bundle, video, how)]
    if how.get("individuals"):
        raise InputError("--pairs all takes every two animals, so --individuals is not used; leave it out")
    animals = reader_of(path)(path, how.get("sequence")).individuals
    if len(animals) < 2:
        raise InputError(f"{path}: --pairs all needs a file that tells animals apart")
    return [_job(path, f"{path.stem}.{one}-{other}", bundle, video, {**how, "individuals": (one, other)})
            for one, other in permutations(animals, 2)]  # fmt: skip


def _job(path: Path, name: str, bundle: Bundle, video: Path | None, how: Mapping) -> Job:
    def read() -> tuple[Recording, dict]:
        try:
            return read_own(video, path, skeleton=bundle.skeleton, **how)
        except MissingParts as error:
            left = " ".join(part for part in bundle.skeleton.parts if part not in error.parts)
            raise InputError(
                f"{error}; or train a model without them: mbrepro train FOLDER --out MODEL --parts {left}"
            ) from error

    return Job(name, (path, *filter(None, [video]), json.dumps(how, default=str, sort_keys=True)), read)


def _labelled(job: Job, bundle: Bundle, model: str, out: Path) -> Iterator[Path]:
    if missing := [path for path in job.made_from if isinstance(path, Path) and not path.exists()]:
        raise InputError(f"{missing[0]}: there is no such file")
    made_from, (*others, notes) = fingerprint(model, *job.made_from), [out / f"{job.name}.{s}" for s in WRITTEN]
    if all(path.exists() for path in (*others, notes)) and told_in(notes).get("made_from") == made_from:
        return
    recording, told = job.read()
    prediction = named(recording, bundle.model.scores(recording))
    there = ~absent(recording)
    labels = np.where(there, prediction.labels, UNLABELLED)
    scores = np.where(there[:, None], prediction.scores, np.nan)
    names = (*bundle.classes, NOT_SCORABLE)  # UNLABELLED is the last place
    bouts = [Bout(names[value], start, stop) for start, stop, value in runs(labels)]
    boris, bento, *_ = others
    media = recording.video.name if recording.video else ""
    write_boris(boris, [bout for bout in bouts if bout.behaviour != OTHER], recording.edges, media)
    write_bento(bento, bouts, len(recording), recording.fps, media)
    yield from (boris, bento)
    action = 1 - scores[:, other_index(bundle.classes)]
    told |= {"model": model, "made_from": made_from, "not_scorable_s": float((~there).sum() / recording.fps)}
    yield from write_prediction(out, job.name, recording, bundle.classes, labels, scores, action, told)
