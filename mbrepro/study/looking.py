"""Stage 2 of a model of one's own: learned on clips of what its trees propose, and joined with their scores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np

from mbrepro import method, paths
from mbrepro.artifacts import versions
from mbrepro.data import clips
from mbrepro.data.recordings import Dataset, Prediction, Recording, other_index
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import ClipEmbedder, EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method import pipeline
from mbrepro.method.bundle import Looks
from mbrepro.method.protocols import Protocol, corrected
from mbrepro.metrics.frames import evaluate
from mbrepro.study import gate_curves, gated
from mbrepro.study.beyond import Scores
from mbrepro.study.estimate import of_own, refuse_slow

VIEW = "video_100"  # of a vision-language model; of another embedder its first
HEAD = "linear"  # which a file holds as arrays
SHARE = 0.4  # of the video, the most that the gate's budget shows on animals held out, as on the study's page
MACHINE = {"device", "dtype"}  # of what an embedder is known by: another machine may compute elsewhere


def settings_of(model: str) -> EmbedderSettings:
    """An embedder by its name, on a GPU if there is one."""
    return EmbedderSettings(model, dtype="auto", device="auto")


def protocol_of(embedder: ClipEmbedder, *shown: float) -> Protocol:
    """The corrected protocol's clips and proposals; shown: their seconds and the frames a second shown."""
    view = VIEW if VIEW in embedder.views else embedder.views[0]
    return replace(corrected(embedder.settings, 1, *shown), view=view)


def identity_of(embedder: ClipEmbedder) -> dict[str, object]:
    """What a clip's embedding depends on: the embedder's own, and how clips are proposed and cut."""
    return {**embedder.identity, **versions(clips, method)}


def most_probable(scores: np.ndarray) -> np.ndarray:
    """(T,) labels of scores (T, C)."""
    return scores.argmax(1)


@dataclass(frozen=True, eq=False)
class Eye:
    """An embedder that a model of one's own is to look at videos with; patient: on a CPU too, however long it takes."""

    embedder: ClipEmbedder
    patient: bool = False

    def check(self, folder: Path, recordings: Sequence[Recording]) -> None:
        """Raise InputError, before anything long, unless enough animals were filmed to hold some out, or for hours."""
        count = len({r.animal for r in recordings if r.video is not None})
        if count < gated.FEWEST:
            raise InputError(
                f"{folder}: --embedder looks at videos of at least {gated.FEWEST} animals, and labelled recordings of "
                f"{count} have one; name them in recordings.csv, or leave out --embedder"
            )
        if not self.patient:
            refuse_slow(of_own(recordings, self.embedder.settings))

    def learn(self, recordings: Sequence[Recording], held_out: Sequence[Prediction]) -> tuple[Looks, dict]:
        """A head on clips of filmed recordings, its joint with the trees, a gate, and what is told of them.

        held_out: of each recording the scores by trees that never saw its animal. Clips embedded before are read.
        """
        scores, embedder = {found.name: found.scores for found in held_out}, self.embedder
        filmed = tuple(r for r in recordings if r.video is not None)
        data = Dataset(paths.OWN, filmed[0].classes, filmed, (), "")
        protocol, folder = protocol_of(embedder), paths.data() / "own"
        found = Scores([scores[r.name] for r in filmed], [], [])
        stages = gated.both_stages(data, found, 0, most_probable, protocol, embedder, folder, (HEAD,))
        chosen = (embedder.settings, protocol.clips, protocol.view, identity_of(embedder), stages.fitted)
        gate, values = gated.train_gate(stages)
        budget = gate_curves.choose_budget(stages, values, data, protocol, SHARE)
        ends = np.cumsum([len(one.spans) for one in stages.train])[:-1]
        told = {"embedder": embedder.settings.model, "filmed": len(filmed), "budget": budget}
        for name, spent in {"f1_poses": 0.0, "f1_with_video": budget, "f1_all_clips": 1.0}.items():
            pairs = zip(stages.train, np.split(values, ends), strict=True)
            shown = [gated.shown_at([one], own, spent)[0] for one, own in pairs]  # of each recording, as predict does
            true, labels, _ = gated.run_at(stages.train, shown, stages, data).arrays()
            told[name] = evaluate(true, labels, None, data.classes)["f1"]
        return Looks(*chosen, stages.joint.trust, stages.joint.bias, gate, budget), told


def load(looks: Looks) -> ClipEmbedder:
    """The embedder that a model was trained with; raises InputError if there is none of its name, or another is."""
    embedder = load_embedder(looks.embedder)
    told = json.loads(json.dumps(identity_of(embedder)))
    known = {*told, *looks.identity} - MACHINE
    if differ := sorted(key for key in known if told.get(key) != looks.identity.get(key)):
        raise InputError(
            f"{looks.embedder.model}: it embeds otherwise than the model's ({', '.join(differ)}); take that one, train "
            "again, or give --stage1-only"
        )
    return embedder


def joined(
    looks: Looks, recording: Recording, scores: np.ndarray, embedder: ClipEmbedder, share: float
) -> tuple[np.ndarray, dict]:  # fmt: skip
    """(T, C) scores of both stages of a recording with a video, from the trees' (T, C), and what was looked at.

    share: of the seconds of what is proposed, those of which clips are cut and embedded, by the gate's choice.
    """
    protocol = replace(protocol_of(embedder), clips=looks.clips, view=looks.view)
    proposed = pipeline.propose(recording, 1 - scores[:, other_index(recording.classes)], protocol)
    named = np.zeros((len(proposed.starts), scores.shape[1]))  # and so where it is not looked
    one = gated.Staged(proposed, scores, gated.spans_of(proposed, protocol.clips.seconds), named)
    (shown,) = gated.shown_at([one], gated.expected(looks.gate, one), share)
    kept = replace(proposed, proposals=tuple(compress(proposed.proposals, shown)), starts=proposed.starts[shown])
    named[shown] = looks.head.scores(pipeline.embed(kept, protocol, embedder, paths.data() / "own"))
    told = {"clips_proposed": len(shown), "clips_looked_at": int(shown.sum()), "share": share}
    return gated.joined(one, gated.Joint(looks.trust, looks.bias), shown), told
