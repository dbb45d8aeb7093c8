"""One model on any number of recordings, one after another, each kept when it is done.

The model is one that `mbrepro train` wrote, or CalMS21's official network.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np

from mbrepro.artifacts import file_hash, fingerprint
from mbrepro.data.alignment import absent, to_training_scale
from mbrepro.data.annotations.boris import write_boris
from mbrepro.data.annotations.bout import NOT_SCORABLE, Bout
from mbrepro.data.annotations.caltech import write_bento
from mbrepro.data.own import read_poses
from mbrepro.data.own.fitted import outside_frame, read_own
from mbrepro.data.own.manifest import DESCRIPTION, TABLE, read_manifest, with_skeleton
from mbrepro.data.recordings import MOUSE, OTHER, TASK1_CLASSES, UNLABELLED, Recording, Skeleton, other_index, runs
from mbrepro.data.tracking import reader_of
from mbrepro.data.tracking.tracks import MissingParts
from mbrepro.errors import InputError
from mbrepro.method.bundle import load_bundle
from mbrepro.study import looking, predict
from mbrepro.study.own import SMOOTHED_S, named
from mbrepro.study.predict import LABELLED, REAL_MICE, Compared, Film, told_in

WRITTEN = ("boris.csv", "annot", "pred.csv", "frames.csv", "pred.json")  # of each recording, in this order


@dataclass(frozen=True, eq=False)
class Labeller:
    """A model that names every frame: the points it takes, its classes, its file's SHA-256, and what scores frames.

    score: (T, C) probabilities of a recording, and notes on how they came about. looks: the share of the seconds of its
    proposals at whose video it looks; None if it takes no video.
    """

    skeleton: Skeleton
    classes: tuple[str, ...]
    sha256: str
    score: Callable[[Recording], tuple[np.ndarray, dict]]
    looks: float | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """A recording to label: what its files are called, its poses, what else it is made from, and what reads it."""

    name: str
    poses: Path
    made_from: tuple[object, ...]
    read: Callable[[], tuple[Recording, dict]]


def own_model(path: Path, poses_only: bool = False, share: float | None = None) -> Labeller:
    """A model that `mbrepro train` wrote; poses_only: one that looks at video does without.

    share: of the seconds of what poses propose, from 0 to 1, those that are looked at, if not the model's own. Raises
    InputError as `load_bundle`, if its embedder is not there, or for poses_only or share of one that looks at none.
    """
    bundle = load_bundle(path)
    if poses_only and not bundle.looks:
        raise InputError(f"--model {path} has no use for --stage1-only; leave it out")
    seconds = bundle.about.get("smoothed_s", SMOOTHED_S)  # files of versions before this one do not say
    looks = None if poses_only else bundle.looks
    if share is not None and not looks:
        raise InputError(f"--model {path} looks at no video here, so --share is not used; leave it out")
    share = looks.budget if looks and share is None else share
    if share is not None and not 0 <= share <= 1:
        raise InputError(f"--share must lie between 0 and 1, not {share}")
    embedder = looking.load(looks) if looks else None

    def score(recording: Recording) -> tuple[np.ndarray, dict]:
        if looks and recording.video is None:
            raise InputError(f"{recording.name}: the model looks at video; name one, or give --stage1-only")
        found = named(recording, bundle.model.scores(recording), seconds).scores
        if looks is None:
            return found, {"stages": 1}
        recording = replace(recording, classes=bundle.classes)
        both, told = looking.joined(looks, recording, found, embedder, share)
        return both, {"stages": 2, "embedder": looks.embedder.model, **told}

    return Labeller(bundle.skeleton, bundle.classes, file_hash(path), score, share)


def official_model() -> Labeller:
    """The official network alone, each frame by itself; raises InputError if it was not fetched."""
    network, length, about = predict.official_network()

    def score(recording: Recording) -> tuple[np.ndarray, dict]:
        scaled = to_training_scale(recording, length)
        told = {"profile": None, "stages": 1, **about, "points_outside_the_training_frame": outside_frame(scaled)}
        return predict.localize_own(network, scaled), told | {"models_trained_on": REAL_MICE}

    return Labeller(MOUSE, TASK1_CLASSES, about["stage1"]["sha256"], score)


def label(
    sources: Sequence[Path], model: Labeller, out: Path, *, pairs: bool = False, video: Path | None = None,
    compare: Compared | None = None, film: Film | None = None, **how: object,
) -> Iterator[Path]:  # fmt: skip
    """Label the frames of pose files, or of the recordings of data sets, and yield each file written into `out`.

    Those of `write_prediction`, and beside them `<name>.boris.csv`, without "other", for BORIS and `<name>.annot` for
    Bento. Frames in which an animal is absent are not scorable. What was made before from the same files, model and
    options is kept as it is. pairs: two animals of a file at a time, all of them, each pair in both orders. video: of a
    single pose file. compare, film: as of `predict`. how: as of `read_own`. A recording that cannot be read does not
    stop the others: InputError comes at the end, with its sentence, or at once if two recordings have one name.
    """
    jobs = [job for path in sources for job in _jobs(Path(path), model.skeleton, pairs, video, how)]
    names = [job.name for job in jobs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two recordings are called {twice[0]}, and one would replace the other; label one at a time")
    if compare and len(jobs) > 1:
        raise InputError(
            f"--compare takes the labels of one recording, and there are {len(jobs)}; see mbrepro evaluate"
        )
    wrong = []
    for job in jobs:
        try:
            yield from _labelled(job, model, out, compare, film)
        except InputError as error:
            wrong.append(str(error))
    if wrong and len(jobs) == 1:
        raise InputError(wrong[0])
    if wrong:
        others = f" ({len(wrong) - 1} more: {'; '.join(wrong[1:])})" if wrong[1:] else ""
        raise InputError(f"{len(wrong)} of {len(jobs)} recordings could not be labelled: {wrong[0]}{others}")


def _jobs(path: Path, skeleton: Skeleton, pairs: bool, video: Path | None, how: Mapping) -> list[Job]:
    if (path / TABLE).exists():
        if unused := [name for name, value in {"pairs": pairs, "video": video, **how}.items() if value]:
            raise InputError(f"{path / TABLE}: it says how to read its recordings, so leave out {', '.join(unused)}")
        manifest = with_skeleton(read_manifest(path), skeleton)
        read = partial(_read, skeleton, read_poses, manifest)
        return [Job(e.name, e.poses, (*filter(None, [e.video]), path / DESCRIPTION), partial(read, e))
                for e in manifest.entries]  # fmt: skip
    if not pairs:
        return [_job(path, (video or path).stem, skeleton, video, how)]
    if how.get("individuals"):
        raise InputError("--pairs all takes every two animals, so --individuals is not used; leave it out")
    animals = reader_of(path)(path, how.get("sequence")).individuals
    if len(animals) < 2:
        raise InputError(f"{path}: --pairs all needs a file that tells animals apart")
    return [_job(path, f"{(video or path).stem}.{one}-{other}", skeleton, video, {**how, "individuals": (one, other)})
            for one, other in permutations(animals, 2)]  # fmt: skip


def _job(path: Path, name: str, skeleton: Skeleton, video: Path | None, how: Mapping) -> Job:
    made_from = *filter(None, [video]), json.dumps(how, default=str, sort_keys=True)
    return Job(name, path, made_from, partial(_read, skeleton, read_own, video, path, skeleton=skeleton, **how))


def _read(skeleton: Skeleton, read: Callable, /, *what: object, **how: object) -> tuple[Recording, dict]:
    """What `read` returns; where it misses parts of a model, InputError says how to train one without them."""
    try:
        return read(*what, **how)
    except MissingParts as error:
        left = [part for part in skeleton.parts if part not in error.parts]
        ends = [part for part in (skeleton.front, skeleton.rear) if part in error.parts]
        other = f", after naming others than {' and '.join(ends)} as front or rear in {DESCRIPTION}" if ends else ""
        raise InputError(
            f"{error}; or train a model without them{other}: mbrepro train FOLDER --out MODEL --parts {' '.join(left)}"
        ) from error


def _labelled(
    job: Job, model: Labeller, out: Path, compare: Compared | None, film: Film | None
) -> Iterator[Path]:  # fmt: skip
    files = job.poses, *job.made_from, *(compare or ())
    if missing := [path for path in files if isinstance(path, Path) and not path.exists()]:
        raise InputError(f"{missing[0]}: there is no such file")
    made_from = fingerprint(model.sha256, model.looks, *files)
    suffixes = (*WRITTEN[:2], *([LABELLED] if film else []), *WRITTEN[2:])
    written = [out / f"{job.name}.{suffix}" for suffix in suffixes]
    if all(path.exists() for path in written) and told_in(written[-1]).get("made_from") == made_from:
        return
    poses = predict.unless_taken(out, job.name, job.poses)
    recording, told = job.read()
    predict.check_film(recording, film)
    there, events = ~absent(recording), predict.behaviour_frames(recording, *compare) if compare else None
    scores, notes = model.score(recording)
    action = 1 - scores[:, other_index(model.classes)]
    told |= {"model": model.sha256, "made_from": made_from, "poses_fingerprint": poses, **notes}
    told["not_scorable_s"] = float((~there).sum() / recording.fps)
    if compare and events is not None:
        told["compared_with"] = {"behaviour": compare[1]} | predict.agreement(events[there], action[there])
    labels = np.where(there, scores.argmax(1), UNLABELLED)
    scores, action = (np.where(there, values.T, np.nan).T for values in (scores, action))
    names = (*model.classes, NOT_SCORABLE)  # UNLABELLED is the last place
    bouts = [Bout(names[value], start, stop) for start, stop, value in runs(labels)]
    media = recording.video.name if recording.video else ""
    write_boris(written[0], [bout for bout in bouts if bout.behaviour != OTHER], recording.edges, media)
    write_bento(written[1], bouts, len(recording), recording.fps, media)
    yield from written[:2]
    yield from predict.write_prediction(out, job.name, recording, model.classes, labels, scores, action, told, film)
