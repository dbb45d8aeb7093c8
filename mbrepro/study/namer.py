"""What is left of a dense video model's F1 when it looks at part of the video: FERAL's predictions name the clips.

`sparsity` grants perfect naming; here a clip's answer is the most frequent of FERAL's labels in what it shows. Stage 1
is the true labels, FERAL's own action, or for mouse071 what the poster's author's localizer found. What FERAL labels a
frame from is a chunk of 64 frames, so more was seen than is shown: both shares are given.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from mbrepro import paths
from mbrepro.artifacts import file_hash
from mbrepro.data import real
from mbrepro.data.labels import LabelTrack
from mbrepro.data.recordings import behaviours
from mbrepro.method.proposals import PosterRule, propose
from mbrepro.metrics import resampling
from mbrepro.metrics.agreement import tolerant_counts
from mbrepro.metrics.frames import confusion
from mbrepro.study import audit, people, sparsity

PIECES = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)  # s
CHUNK = 32  # frames before and after a frame that FERAL labels it from
OWN, TRUE, AUTHOR = "FERAL's own action", "true labels", "the poster author's stage 1"
AUTHORS_VIDEO = "mouse071_task1_annotator1"


@dataclass(frozen=True, eq=False)
class Named:
    """The test videos' labels, FERAL's predictions on them, and (T,) bool what the author's stage 1 found in one."""

    test: tuple[LabelTrack, ...]
    feral: tuple[LabelTrack, ...]
    author: np.ndarray


def read() -> Named | None:
    """What this machine has of it; None unless it has all."""
    pair, folder = people.read_feral(), paths.real_data()
    author = folder and folder / audit.AUTHOR_FOLDER / "demo_ifaction_pred.npy"
    if pair is None or author is None or not author.exists():
        return None
    return Named(*pair, np.load(author, allow_pickle=False) == 0)


def figures(data: Named) -> dict[str, object]:
    """Stage 1 → the curve of `sparsity.curve` with the shares seen, both cuts of the poster's clips, and `pieces`."""
    stages = {TRUE: [t.action for t in data.test], OWN: [t.action for t in data.feral]}
    found = {
        name: looked(data.test, actions, data.feral) | {"pieces": pieces(data.test, actions, data.feral)}
        for name, actions in stages.items()
    }
    one = [k for k, track in enumerate(data.test) if track.name == AUTHORS_VIDEO]
    test, feral = ([tracks[k] for k in one] for tracks in (data.test, data.feral))
    return {"all": found, "mouse071": {AUTHOR: looked(test, [data.author], feral)}}


def looked(
    tracks: Sequence[LabelTrack], actions: Sequence[np.ndarray], namers: Sequence[LabelTrack]
) -> dict[str, object]:
    """How well one looks with `namers` at what stage 1 finds: `curve` and `poster`, as of `sparsity` and `audit`."""
    curve = sparsity.curve(tracks, actions=actions, namers=namers, context=CHUNK)
    return {"curve": curve, "poster": cuts(tracks, actions, namers)}


def pieces(
    tracks: Sequence[LabelTrack], actions: Sequence[np.ndarray], namers: Sequence[LabelTrack],
    lengths: Sequence[float] = PIECES,
) -> list[dict]:  # fmt: skip
    """Pieces of at most so many s, each with one label, as in the policy "clips" of `sparsity`: a dictionary a length.

    touched, seen: shares as of `sparsity.point`. counts: behaviour → how many frames are claimed and occur, and of
    those how many are right and found without tolerance and within each of `TOLERANCES`: F1 at any of them follows.
    """
    classes, rates, told = tracks[0].classes, [t.fps for t in tracks], []
    values = [classes.index(name) for name in behaviours(classes)]
    jobs, true = list(zip(actions, namers, strict=True)), [t.labels for t in tracks]
    for seconds in lengths:
        labels, seen = zip(*(sparsity.watched("clips", seconds, *job) for job in jobs), strict=True)
        shares = (sum(s.sum() for s in seen), sum(binary_dilation(s, np.ones(2 * CHUNK + 1)).sum() for s in seen))
        hits = np.sum([confusion(*pair, len(classes)) for pair in zip(true, labels, strict=True)], 0).diagonal()
        right, found = (part.sum(0) for part in tolerant_counts(true, labels, rates, values))
        counts = {
            classes[value]: {"claimed": int(of_said[-1]), "right": [int(hits[value]), *of_said[:-1].tolist()],
                             "occurring": int(of_true[-1]), "found": [int(hits[value]), *of_true[:-1].tolist()]}
            for value, of_said, of_true in zip(values, right, found, strict=True)
        }  # fmt: skip
        touched, wide = (float(share / sum(map(len, tracks))) for share in shares)
        told.append({"seconds": seconds, "touched": touched, "seen": wide, "counts": counts})
    return told


def cuts(
    tracks: Sequence[LabelTrack], actions: Sequence[np.ndarray], namers: Sequence[LabelTrack]
) -> dict[str, dict[str, dict[str, float]]]:
    """F1 end to end with the poster's rule and 5 s clips, cut as its code cuts and at the true time."""
    proposals, found = [propose(action, PosterRule()) for action in actions], {}
    for cut, assumed in audit.CUTS.items():
        named = [audit.observed(*pair, assumed) for pair in zip(namers, proposals, strict=True)]
        found[cut] = audit.end_to_end(tracks, actions, proposals, named)
    return found


def provenance(data: Named) -> dict[str, object]:
    """What is recorded beside `figures`."""
    folder = paths.real_folder()
    return {
        **real.FERAL,
        "sha256": file_hash(folder / real.PREDICTIONS),
        "author_predictions_sha256": audit.author_sha256(folder / audit.AUTHOR_FOLDER),
        "computed_by": "mbrepro.study.namer.figures",
        "intervals": resampling.BY_VIDEO,
    }


def numbers(found: Mapping) -> Iterator[tuple[str, float]]:
    """Recorded figures under flat names: namer_STAGE_POLICY_MILLISECONDSms, …_touched, …_seen, and namer_STAGE_CUT."""
    for stage, name in {"own": OWN, "true": TRUE}.items():
        told = found["all"][name]
        for policy, points in told["curve"].items():
            for point in points:
                key = f"namer_{stage}_{policy}_{1000 * point['seconds']:.0f}ms"
                yield key, point["f1"]["value"]
                yield f"{key}_touched", point["touched"]["value"]
                yield f"{key}_seen", point["seen"]["value"]
        for cut, scores in told["poster"].items():
            yield f"namer_{stage}_{cut}", scores["f1"]["value"]
