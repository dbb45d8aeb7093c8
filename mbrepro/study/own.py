"""A model of one's own recordings: trained on all of them, measured on animals held out, carried as one file."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

import numpy as np
import sklearn
from tqdm import tqdm

from mbrepro import paths
from mbrepro.artifacts import cached_arrays, versions
from mbrepro.data.labels import bout_seconds
from mbrepro.data.own import read_recording
from mbrepro.data.own.check import too_rare
from mbrepro.data.own.manifest import Manifest, read_manifest, with_skeleton
from mbrepro.data.recordings import UNLABELLED, Prediction, Recording, Skeleton, behaviours
from mbrepro.errors import InputError
from mbrepro.method import boosting, context, features
from mbrepro.method.boosting import BoostingSettings
from mbrepro.method.bundle import Bundle, Looks, save_bundle
from mbrepro.method.context import FOLDS, fit_layered, folds_by_animal
from mbrepro.method.decoding import smooth
from mbrepro.metrics.frames import evaluate
from mbrepro.metrics.resampling import BY_VIDEO, LEAST_VIDEOS, estimates

SEED = 0
OUTER = 4  # folds by animal that the figures come from
SMOOTHED_S = 1.0  # scores are means over so long before a frame's most probable class is taken
SHOWN = ("f1", "precision", "recall", "bout_f1_50", "kappa")
OF_CLASS = ("f1", "precision", "recall", "bout_f1_50")


class Eye(Protocol):
    """What a model learns to look at video with: `looking.Eye`, which this module lies below."""

    def check(self, folder: Path, recordings: Sequence[Recording]) -> None: ...

    def learn(self, recordings: Sequence[Recording], held_out: Sequence[Prediction]) -> tuple[Looks, dict]: ...


def train(folder: Path, out: Path, parts: Sequence[str] = (), eye: Eye | None = None) -> str:
    """Train on the labelled recordings of a data set, write the model to `out`, and return its card.

    parts: those to use, of the ones in `dataset.yml`. eye: what it looks at video with too, of at least two filmed
    animals. The figures of the card are of recordings of animals that the scoring model never saw; scores of finished
    folds are kept, so that an interrupted training goes on from there.
    Raises InputError if a recording cannot be read, a behaviour is in fewer than two recordings, or labelled
    recordings are of fewer than three animals.
    """
    manifest = with_parts(read_manifest(folder), parts)
    recordings, alike = labelled(manifest), manifest.description.alike
    if eye:
        eye.check(folder, recordings)
    with tqdm(total=min(OUTER, _animals(recordings)) + 1, desc="train", unit="model", disable=None) as bar:
        held_out = out_of_fold(recordings, alike, bar.update)
        model = fit_layered(recordings, alike, SEED)
        bar.update()
    about = _seen(recordings) | {"figures": figures(held_out, recordings[0].classes), "trained": f"{date.today()}"}
    about["smoothed_s"] = SMOOTHED_S
    looks, told = eye.learn(recordings, held_out) if eye else (None, None)
    about |= {"video": told} if told else {}
    bundle = Bundle(model, manifest.description.skeleton, manifest.description.classes, about, looks)
    text = card(bundle)
    save_bundle(Path(out), bundle, text)
    return text


def with_parts(manifest: Manifest, parts: Sequence[str]) -> Manifest:
    """A manifest whose recordings are read with some of its parts; raises InputError for one that is none of them."""
    whole = manifest.description.skeleton
    if not parts:
        return manifest
    if unknown := [part for part in parts if part not in whole.parts]:
        raise InputError(f"--parts: {unknown[0]!r} is none of the parts in dataset.yml, {', '.join(whole.parts)}")
    return with_skeleton(manifest, Skeleton(tuple(parts), whole.front, whole.rear))


def labelled(manifest: Manifest) -> list[Recording]:
    """The recordings of a manifest that have labels; raises InputError for what `train` cannot learn from."""
    found = [read_recording(manifest, entry)[0] for entry in manifest.entries if entry.labels is not None]
    found = [recording for recording in found if (recording.true != UNLABELLED).any()]
    if _animals(found) < FOLDS:
        raise InputError(
            f"{manifest.folder}: labelled recordings are of {_animals(found)} animals, and at least {FOLDS} are needed "
            "to learn from some and test on others"
        )
    held = {name: sum(len(s) > 0 for s in bout_seconds(found, name)) for name in behaviours(found[0].classes)}
    for sentence in too_rare(manifest, held):
        raise InputError(sentence)
    return found


def _animals(recordings: Sequence[Recording]) -> int:
    return len({recording.animal for recording in recordings})


def out_of_fold(
    recordings: Sequence[Recording], alike: bool, done: Callable[[], object] = lambda: None,
    layers: Sequence[BoostingSettings] = (),
) -> list[Prediction]:  # fmt: skip
    """Every recording's labels and scores by a model of other animals; folds that were scored before are read.

    alike, layers: as of `fold_scores`. done: called after each fold.
    """
    found = []
    for others, held in folds_by_animal(recordings, OUTER):
        scores = fold_scores(others, held, alike, layers)
        found += [named(recording, scores[recording.name]) for recording in held]
        done()
    return found


def fold_scores(
    others: Sequence[Recording], held: Sequence[Recording], alike: bool, layers: Sequence[BoostingSettings] = ()
) -> dict[str, np.ndarray]:
    """Scores (T, C) of held recordings by a model of others, by their names; read if they were made before.

    alike: as of `fit_layered`. layers: settings of both, where not `train`'s.
    """

    def scores() -> dict[str, np.ndarray]:
        model = fit_layered(others, alike, SEED, *layers)
        return {recording.name: model.scores(recording) for recording in held}

    settings = layers or (context.FIRST, context.SECOND)
    made_from = [*settings, context.MOST_FRAMES, alike, SEED, versions(features, boosting, context, sklearn)]
    for part in (others, held):
        made_from += [[r.name, r.animal, r.keypoints, r.labels, r.seen, r.fps, r.times, r.skeleton] for r in part]
    return cached_arrays(paths.data() / "own", "fold", tuple(made_from), scores)


def named(recording: Recording, scores: np.ndarray, seconds: float = SMOOTHED_S) -> Prediction:
    """A recording's frames as the most probable class of the mean scores (T, C) over so many seconds around each."""
    found = smooth(scores, max(1, round(seconds * recording.fps)))
    return Prediction(recording.name, recording.labels, found.argmax(1), found, recording.fps)


def figures(predictions: Sequence[Prediction], classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Value and 95 % interval of each metric of a card, over labelled frames; no interval of few recordings."""
    kept = [prediction.labelled() for prediction in predictions]
    true, labels, scores = ([getattr(one, field) for one in kept] for field in ("true", "labels", "scores"))
    found = estimates(true, labels, classes, [one.rate for one in kept])
    wanted = [*SHOWN, *(f"{metric}_{name}" for name in behaviours(classes) for metric in OF_CLASS)]
    ends = ("value", "low", "high") if len(kept) >= LEAST_VIDEOS else ("value",)
    told = {name: {end: found[name][end] for end in ends} for name in wanted}
    ranked = evaluate(true, labels, scores, classes)
    return told | {name: {"value": ranked[name]} for name in ("map", *(f"ap_{c}" for c in behaviours(classes)))}


def _seen(recordings: Sequence[Recording]) -> dict[str, object]:
    """What a model is trained on."""
    labelled = sum(float((r.true != UNLABELLED).sum() / r.fps) for r in recordings)
    bouts = {name: sum(map(len, bout_seconds(recordings, name))) for name in behaviours(recordings[0].classes)}
    seen = [r.tracked.mean() for r in recordings]
    return {
        "recordings": [r.name for r in recordings], "animals": _animals(recordings), "labelled_minutes": labelled / 60,
        "bouts": bouts, "points_seen": float(np.mean(seen)),
    }  # fmt: skip


def card(bundle: Bundle) -> str:
    """What a model is, as Markdown: what it saw, and how good it was on animals that it had not seen."""
    about, skeleton = bundle.about, bundle.skeleton
    bouts = ", ".join(f"{count} of {name}" for name, count in about["bouts"].items())
    lines = [
        f"# {', '.join(bundle.classes)}", "",
        f"Trained {about['trained']} on {len(about['recordings'])} recordings of {about['animals']} animals, "
        f"{about['labelled_minutes']:.1f} minutes labelled: {bouts}.",
        f"It takes two animals with the points {', '.join(skeleton.parts)} (front {skeleton.front}, rear "
        f"{skeleton.rear}), of any frame rate, brought to {bundle.model.fps:g} a second; "
        f"{about['points_seen']:.0%} of the points it learned from were seen.", "",
        f"Every recording scored by a model of other animals, in {min(OUTER, about['animals'])} folds of neighbours; "
        f"{BY_VIDEO}.", "",
        "| | value | 95 % interval |", "|---|---|---|",
    ]  # fmt: skip
    for name, told in about["figures"].items():
        between = f"{told['low']:.3f} to {told['high']:.3f}" if "low" in told else ""
        lines.append(f"| {name} | {told['value']:.3f} | {between} |")
    if told := about.get("video"):
        lines += ["", f"It looks at video by {told['embedder']}, at {told['budget']:.0%} of the seconds of what poses "
                  f"propose: of the {told['filmed']} filmed recordings F1 is {told['f1_with_video']:.3f}, by poses "
                  f"alone {told['f1_poses']:.3f}, at all of it {told['f1_all_clips']:.3f}. Head and gate never saw the "
                  "animal either, the weights that join both stages' scores and a share's choice did."]  # fmt: skip
    return "\n".join(lines) + "\n"
