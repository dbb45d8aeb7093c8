"""The study's rows that name clips, on recordings of one's own: both stages, and few-shot.

Stage 1 are the layered trees of `mbrepro train`, which propose where their scores, smoothed, say action; what is
learned from train recordings rests on scores of trees that never saw their animal.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from mbrepro import paths
from mbrepro.data.clips import ClipSettings, clip_frames
from mbrepro.data.labels import bout_seconds
from mbrepro.data.own import read_labels
from mbrepro.data.own.manifest import Manifest, read_manifest
from mbrepro.data.recordings import OTHER, UNLABELLED, Dataset, Recording, other_index
from mbrepro.embedding import load_embedder
from mbrepro.embedding.embedder import ClipEmbedder, EmbedderSettings
from mbrepro.embedding.pose import summarise
from mbrepro.errors import InputError
from mbrepro.method import pipeline, protocols
from mbrepro.method.features import frame_features
from mbrepro.method.pipeline import Proposed, name_clips, write_frames
from mbrepro.method.protocols import Protocol
from mbrepro.method.together import embed_together
from mbrepro.study import gated, looking, own, results
from mbrepro.study.beyond import Scores
from mbrepro.study.own_rows import folds
from mbrepro.study.results import Run
from mbrepro.study.shots import BOTH, COLUMNS, DRAWS, POSES, SHOTS, VIDEO, Clips, drawn_lines, with_noise

FEW = 20  # bouts; a behaviour with no more is a few-shot task too
CLIP, FRAMES, JOINED = ("clip", "corrected"), ("pose_vlm", "corrected"), ("pose_vlm", "beyond_dense")
FEW_SHOT = ("few_shot", "corrected")


def embedder_of(data: Dataset, model: str) -> ClipEmbedder | None:
    """The embedder that is named, by its model or by MBREPRO_MODEL; None if none is, or nothing can be looked at."""
    named = model or os.environ.get("MBREPRO_MODEL")
    return load_embedder(looking.settings_of(named)) if named and filmed_folds(data) else None


def protocol_of(embedder: ClipEmbedder | None, *clips: float) -> Protocol:
    """As of `looking.protocol_of`; without an embedder, of the same clips."""
    return (
        protocols.corrected(EmbedderSettings(), 1, *clips)
        if embedder is None
        else looking.protocol_of(embedder, *clips)
    )


def record(found: Mapping[tuple, Sequence[Run]], source: str, run: str, protocol: Protocol) -> pd.DataFrame:
    """Store the runs of each row and protocol of this page, take those that there are none of out of the table."""
    rows = []
    for row in (CLIP, FRAMES, JOINED, FEW_SHOT):
        if found.get(row):
            rows.append(results.record(*row, found[row], paths.OWN, run, source, protocol_settings=protocol))
        else:
            results.leave_out(*row, paths.OWN, run)
    return pd.concat(rows) if rows else pd.DataFrame(columns=results.COLUMNS)


def stage1_scores(part: Dataset, known: Mapping[str, np.ndarray] | None = None) -> Scores:
    """The trees' smoothed scores in a fold: of its train recordings out of fold, of its test ones by all of those.

    known: those of the train recordings by their names, if there are some already.
    """
    alike = read_manifest(paths.own_data()).description.alike
    if known is None:
        known = {found.name: found.scores for found in own.out_of_fold(part.train, alike)}
    raw = own.fold_scores(part.train, part.test, alike)
    test = [own.named(r, raw[r.name]).scores for r in part.test]
    return Scores([known[r.name] for r in part.train], [test], test)


def filmed_folds(data: Dataset) -> list[Dataset]:
    """The folds in which clips can be learned from and tested on: some test video, and train animals to hold out."""
    return [part for part in folds(data) if gated.enough(part) and any(r.video for r in part.test)]


def video_runs(
    data: Dataset, protocol: Protocol, embedder: ClipEmbedder | None, folder: Path
) -> dict[tuple, list[Run]]:  # fmt: skip
    """Both stages on the filmed recordings: a run a row and protocol, none without an embedder.

    `CLIP` are the clips that hold a behaviour, `FRAMES` every frame as the proposals' classes are written, `JOINED` as
    a joint of both stages' scores has it. The head, and with the view "auto" the view, are those of the highest F1 on
    train animals held out; see `gated.both_stages`.
    """
    found: dict[tuple, list] = {CLIP: [], FRAMES: [], JOINED: []}
    for part in filmed_folds(data) if embedder else ():
        filmed, scores = gated.of_filmed(part, stage1_scores(part))
        stages = gated.both_stages(filmed, scores, 1, looking.most_probable, protocol, embedder, folder)
        (test,) = stages.test
        found[CLIP] += [name_clips(one.proposed, one.named) for one in test]
        found[FRAMES] += [write_frames(one.proposed, one.named, protocol) for one in test]
        found[JOINED] += gated.run_at(test, [np.ones(len(s.spans), bool) for s in test], stages, filmed).videos
    return {row: [Run(own.SEED, data.task, data.classes, tuple(videos))] for row, videos in found.items() if videos}


def few_shot_tasks(data: Dataset) -> list[Dataset]:
    """A task of each label that the manifest ignores and of each behaviour with at most `FEW` bouts: it, or other.

    Those that fewer than two animals show are left out: nothing could be learned from one and tested on another.
    """
    manifest, found = read_manifest(paths.own_data()), []
    meaning = manifest.description.meaning
    names: dict[str, tuple[str, ...]] = {label: (label,) for label, name in meaning.items() if name is None}
    for name in data.behaviours:
        if sum(map(len, bout_seconds(data.recordings, name))) <= FEW:
            names[name] = tuple(label for label, of in meaning.items() if of == name)
    for name, labels in names.items():
        train, test = (tuple(_task_recordings(manifest, part, name, labels)) for part in (data.train, data.test))
        task = replace(data, task=f"{paths.OWN}/{name}", classes=(OTHER, name), train=train, test=test)
        if len({r.animal for r in task.recordings if (r.true == 1).any()}) > 1:
            found.append(task)
    return found


def _task_recordings(
    manifest: Manifest, recordings: Sequence[Recording], name: str, labels: Sequence[str]
) -> Iterator[Recording]:  # fmt: skip
    meaning = dict.fromkeys(manifest.description.meaning, OTHER) | dict.fromkeys(labels, name)
    told = replace(manifest, description=replace(manifest.description, meaning=meaning))
    entries = {entry.name: entry for entry in manifest.entries}
    for r in recordings:
        if (read := read_labels(told, entries[r.name], r)) is None:
            raise InputError(f"{r.name}: the manifest does not name its labels any more; start again")
        found = np.where(read == UNLABELLED, read, 1 - read)  # 0 is the behaviour, as one's own classes end with other
        yield replace(r, classes=(OTHER, name), labels=found)


@threadpool_limits.wrap(limits=1)
def few_shot(
    data: Dataset, tasks: Sequence[Dataset], protocol: Protocol, embedder: ClipEmbedder | None, folder: Path,
    counts: Sequence[int] = SHOTS, draws: int = DRAWS,
) -> tuple[list[Run], pd.DataFrame]:  # fmt: skip
    """Of each task, a run by a head that learns from every train clip's poses, and the table of `shots.shots`.

    Figures of the table are means over the folds in which both sides have clips of the behaviour; what has none is not
    in it. embedder: None for poses alone; with one, only filmed recordings are looked at, their embeddings too. Where
    there is no split, trees that have seen test animals propose the train clips; the test ones are theirs never.
    """
    alike = read_manifest(paths.own_data()).description.alike
    parts = () if not tasks else folds(data) if embedder is None else filmed_folds(data)
    known = None if data.train or not tasks else {p.name: p.scores for p in own.out_of_fold(data.test, alike)}
    scores = [stage1_scores(part, known) for part in parts]
    runs, lines = [], []
    for task in tasks:
        own_labels, videos = {r.name: r for r in task.recordings}, []
        for part, found in zip(parts, scores, strict=True):
            split = [
                [(own_labels[r.name], 1 - s[:, other_index(data.classes)]) for r, s in zip(of, found_of, strict=True)]
                for of, found_of in ((part.train, found.train), (part.test, found.test[0]))
            ]
            train, test = (_clips(pairs, protocol, embedder, folder, seed) for seed, pairs in enumerate(split))
            videos += _by_poses(train, test, protocol)
            if all((clips.labels == 1).any() for clips in (train, test)):
                held = replace(task, train=(), test=tuple(one.recording for one in test.proposed))
                lines += drawn_lines(held, train, test, protocol, counts, draws)
        runs.append(Run(own.SEED, task.task, task.classes, tuple(videos)))
    table = pd.DataFrame(lines, columns=COLUMNS)
    return runs, table.groupby(COLUMNS[:4], sort=False).mean().reset_index()


def _clips(
    pairs: Sequence[tuple[Recording, np.ndarray]], protocol: Protocol, embedder: ClipEmbedder | None, folder: Path,
    seed: int,
) -> Clips:  # fmt: skip
    """Clips of recordings, each with its P(action) (T,), of filmed ones alone if an embedder is to look at them."""
    looked_at = [(r, p) for r, p in pairs if embedder is None or r.video is not None]
    found = tuple(pipeline.propose(r, p_action, protocol) for r, p_action in looked_at)
    embedded = {POSES: np.concatenate([pose_summaries(one, protocol.clips) for one in found])}
    if embedder is not None:
        embed_together(found, protocol.clips, embedder, folder)
        video = np.concatenate([pipeline.embed(one, protocol, embedder, folder) for one in found])
        embedded = {VIDEO: video} | embedded | {BOTH: np.concatenate([video, embedded[POSES]], 1)}
    return Clips(found, with_noise(embedded, seed))


def pose_summaries(proposed: Proposed, clips: ClipSettings) -> np.ndarray:
    """(N, D) of each clip: mean, sd and quantiles over its frames of the pose features of any two animals."""
    values, _ = frame_features(proposed.recording)
    shown = [clip_frames(start, proposed.recording, clips) for start in proposed.starts]
    rows = [summarise(values[frames[0] : frames[-1] + 1]) for frames in shown]
    return np.array(rows, np.float32).reshape(len(rows), -1) if rows else np.zeros((0, summarise(values).size))


def _by_poses(train: Clips, test: Clips, protocol: Protocol) -> list:
    parts = np.cumsum([len(one.starts) for one in train.proposed])[:-1]
    head = pipeline.fit_clip_head(train.proposed, np.split(train.embedded[POSES], parts), protocol, own.SEED)
    shares = np.cumsum([len(one.starts) for one in test.proposed])[:-1]
    named = np.split(head.scores(test.embedded[POSES]), shares)
    return [write_frames(one, scores, protocol) for one, scores in zip(test.proposed, named, strict=True)]
