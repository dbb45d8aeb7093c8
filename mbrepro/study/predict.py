"""Both stages on a recording of one's own, stage 1 a profile's localizer or the official network."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from mbrepro import paths
from mbrepro.artifacts import file_hash, fingerprint, json_text, read_json, write_texts
from mbrepro.data.alignment import absent, back_to_frames, body_length, resample, to_training_scale
from mbrepro.data.annotations import read_behaviour
from mbrepro.data.annotations.bout import NOT_SCORABLE
from mbrepro.data.calms21.network import find_network, published_network
from mbrepro.data.own.fitted import outside_frame, read_own
from mbrepro.data.recordings import FPS, UNLABELLED, Clock, Dataset, Recording, runs
from mbrepro.data.tables import csv_text
from mbrepro.embedding import load_embedder
from mbrepro.errors import InputError
from mbrepro.method import pipeline, protocols
from mbrepro.method.localizer import LOCALIZER_CLASSES, PoseCNN, action_probability, localize
from mbrepro.method.networks import train_localizers
from mbrepro.method.official import BODY_LENGTH, load_official
from mbrepro.method.proposals import propose
from mbrepro.method.together import embed_together
from mbrepro.study.profiles import embedder_settings, load_dataset, training_epochs

SEED = 0  # the first of the study's seeds; its models are used on own recordings
REAL_MICE = "CalMS21's real mice"  # which the official network has seen
LABELLED = "labelled.mp4"


Compared = tuple[Path, str] | tuple[Path, str, float]  # a label file, its behaviour, seconds of its point events if any
Film = Callable[[Path, Recording, Sequence[str], np.ndarray, np.ndarray], None]  # `report.write_labelled_video`


def predict(
    video: Path | None, poses: Path, out: Path, profile: str = "demo", *, official: bool = False,
    stage1_only: bool = False, compare: Compared | None = None, film: Film | None = None, **how: object,
) -> list[Path]:  # fmt: skip
    """Label every frame of one recording with a profile's models; return the files written into `out`.

    Those of `write_prediction`. Frames in which an animal is absent are `NOT_SCORABLE`, without scores. What the same
    poses gave before is replaced. official: the official network is stage 1 in place of the profile's. stage1_only:
    labels are action and other, where the localizer proposes. compare: a label file and one of its behaviours; the
    notes hold how well P(action) tells it. film: as of `write_prediction`. how: as of `read_own`. Raises InputError,
    and writes nothing, if something given cannot be used or another's files would go.
    """
    if video is None and not stage1_only:
        raise InputError("stage 2 looks at the video: name one, or give --stage1-only to use the poses alone")
    recording, notes = read_own(video, poses, **how)
    check_film(recording, film)
    notes["poses_fingerprint"] = unless_taken(Path(out), (video or poses).stem, poses)
    there, events = ~absent(recording), behaviour_frames(recording, *compare) if compare else None
    published = official_network() if official else None  # if it was not fetched, before recordings are made
    folder, data = paths.artifacts(profile), load_dataset("task1", profile)
    protocol = protocols.corrected(embedder_settings(profile, "corrected"), training_epochs(profile, "localizer"))
    model, length, about = published or _trained(data, protocol, folder)
    scaled = to_training_scale(recording, length)
    p_action = np.where(there, action_probability(localize_own(model, scaled)), 0)
    if stage1_only:
        classes, made = LOCALIZER_CLASSES, _stage1_labels(p_action, recording.clock, protocol)
    else:
        classes, made = data.classes, _stage2_labels(recording, p_action, data.filmed(), model, protocol, folder)
    notes |= {"profile": profile, "stages": 1 if stage1_only else 2, **about}
    notes["points_outside_the_training_frame"] = outside_frame(scaled)
    theirs = f"{data.source} recordings"
    notes["models_trained_on"] = f"{REAL_MICE} (stage 1), {theirs} (stage 2)" if official else theirs
    if compare and events is not None:
        notes["compared_with"] = {"behaviour": compare[1]} | agreement(events[there], p_action[there])
    scores, p_action = (np.where(there, values.T, np.nan).T for values in (made[1], p_action))
    labels, name = np.where(there, made[0], UNLABELLED), (video or poses).stem
    return write_prediction(Path(out), name, recording, classes, labels, scores, p_action, notes, film)


def check_film(recording: Recording, film: Film | None) -> None:
    """Raise InputError if a labelled video is wanted of a recording without a video."""
    if film and recording.video is None:
        raise InputError(
            f"{recording.name}: --video-out draws on the video, and none is named; give it beside --poses or in "
            "recordings.csv, or leave out --video-out"
        )


def behaviour_frames(recording: Recording, path: Path, behaviour: str, *seconds: float) -> np.ndarray:
    """(T,) bool, where a label file has a behaviour; InputError unless scorable frames with and without it exist."""
    events = read_behaviour(path, behaviour, recording.clock, len(recording), *seconds)
    check_both(events[~absent(recording)])
    return events


def localize_own(model: PoseCNN, scaled: Recording) -> np.ndarray:
    """(T, classes) probabilities of a recording brought to the training's scale (`to_training_scale`), at its rate."""
    return back_to_frames(localize(model, resample(scaled, FPS)), FPS, scaled)


def agreement(events: np.ndarray, p_action: np.ndarray) -> dict[str, float]:
    """How well P(action) (T,) tells frames of a behaviour (T,) bool from the rest: share of frames, AUROC, AP.

    Raises InputError if there is none or nothing else.
    """
    check_both(events)
    return {
        "share_of_frames": float(events.mean()),
        "auroc": float(roc_auc_score(events, p_action)),
        "average_precision": float(average_precision_score(events, p_action)),
    }


def check_both(events: np.ndarray) -> None:
    """Raise InputError unless some frames (T,) bool have a behaviour and some do not."""
    if events.all() or not events.any():
        raise InputError(
            "a comparison needs frames with the behaviour and frames without it, in which both animals are"
        )


def official_network() -> tuple[PoseCNN, float, dict]:
    """The official network, the body length of its mice (px), and notes on it."""
    path, info = find_network(), published_network()
    told: dict[str, Any] = {"network": info.title, "source": info.source, "file": str(path), "sha256": file_hash(path)}
    told |= {"trained_on": REAL_MICE, "poses_scaled_to_body_length_px": BODY_LENGTH}
    return load_official(path), BODY_LENGTH, {"stage1": told}


def _trained(data: Dataset, protocol: protocols.Protocol, folder: Path) -> tuple[PoseCNN, float, dict]:
    """The same of a profile's own localizer."""
    (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [SEED], folder)
    return model, body_length(data.train), {}


def _stage1_labels(p_action: np.ndarray, clock: Clock, protocol: protocols.Protocol) -> tuple[np.ndarray, np.ndarray]:
    labels = np.ones(len(p_action), int)
    for proposal in propose(p_action, protocol.rule, clock):
        labels[proposal.start : proposal.stop] = 0
    return labels, np.stack([p_action, 1 - p_action], 1)


def _stage2_labels(
    recording: Recording, p_action: np.ndarray, dataset: Dataset, model: PoseCNN, protocol: protocols.Protocol,
    folder: Path,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    embedder = load_embedder(protocol.embedder)
    learned = [pipeline.propose_for_head(r, model, protocol) for r in dataset.train]
    embed_together(learned, protocol.clips, embedder, folder)
    head = pipeline.train_head(learned, protocol, embedder, folder, SEED)
    proposed = pipeline.propose(replace(recording, classes=dataset.classes), p_action, protocol)
    scores = head.scores(pipeline.embed(proposed, protocol, embedder, folder))
    prediction = pipeline.write_frames(proposed, scores, protocol)
    return prediction.labels, prediction.scores


def write_prediction(
    out: Path, name: str, recording: Recording, classes: Sequence[str], labels: np.ndarray, scores: np.ndarray,
    p_action: np.ndarray, notes: dict, film: Film | None = None,
) -> list[Path]:  # fmt: skip
    """Write labels (T,), index into classes or `UNLABELLED`, not scorable, and what is told of them; return the files.

    `<name>.pred.csv` has a line for each stretch of one label (label, start_s, stop_s, start_frame, stop_frame
    excluded, score), `<name>.frames.csv` a line for each frame with P(action) and class scores, `<name>.pred.json`
    the notes. film: writes `<name>.labelled.mp4`; without it, one of an earlier prediction is deleted.
    """
    edges, named = recording.edges, (*classes, NOT_SCORABLE)  # UNLABELLED is the last place
    segments = [
        (named[value], edges[start], edges[stop], start, stop, scores[start:stop, value].mean())
        for start, stop, value in runs(labels)
    ]
    columns = ["label", "start_s", "stop_s", "start_frame", "stop_frame", "score"]
    frames = pd.DataFrame({"frame": np.arange(len(labels)), "time_s": edges[:-1]})
    frames["p_action"], frames["label"] = p_action, [named[value] for value in labels]
    frames[[f"score_{name}" for name in classes]] = scores
    tables = {"pred.csv": pd.DataFrame(segments, columns=columns), "frames.csv": frames}
    texts = {suffix: csv_text(table) for suffix, table in tables.items()}
    texts["pred.json"] = json_text(notes)
    video = out / f"{name}.{LABELLED}"
    if film:
        film(video, recording, classes, labels, scores)
    else:
        video.unlink(missing_ok=True)
    write_texts({out / f"{name}.{suffix}": text for suffix, text in texts.items()})
    return [*([video] if film else []), *(out / f"{name}.{suffix}" for suffix in texts)]


def unless_taken(out: Path, name: str, poses: Path) -> str:
    """The fingerprint of poses; InputError if a folder has predictions under this name that are not known to be theirs.

    Predictions of versions before this one do not say from which poses they are; notes that are none are nobody's.
    """
    path, made_from = out / f"{name}.pred.json", fingerprint(poses)
    if path.exists() and (told := told_in(path)) and told.get("poses_fingerprint") != made_from:
        raise InputError(f"{path}: these are not known to be of these poses; name another --out, or delete them")
    return made_from


def told_in(path: Path) -> dict:
    """What a file of notes tells; nothing if it is none."""
    try:
        told = read_json(path)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
