"""Clips of stage 2 that last as long as poses say that their bouts do (`method.extent`), beside clips of one length.

Stage 1's proposals are left whole, and each has one clip, round what its middle is expected to reach. The head stays
the one that learned from clips of one length; what joins the stages and the gate are fitted anew, on the same held-out
train animals. Of both kinds as many frames are shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro.data.recordings import Dataset, other_index
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.method import extent, pipeline, stage1
from mbrepro.method.pipeline import Proposed
from mbrepro.method.proposals import Proposal
from mbrepro.method.protocols import Protocol
from mbrepro.method.together import embed_lengths
from mbrepro.study import beyond, gated, results
from mbrepro.study.beyond import Scores
from mbrepro.study.gate_curves import BUDGETS, CHOSEN, COLUMNS, line, more_f1
from mbrepro.study.gated import Staged, Stages, shown_at
from mbrepro.study.results import Run

LEARNED, FIXED = "learned", "fixed"  # as variants of the curves
TITLES = {LEARNED: "clips of learned extent", FIXED: "clips of one length"}
STEP_S = 0.5  # clips last a multiple of it, at least once: those of one length are embedded together
Pairs = Mapping[float, tuple[list[Run], list[Run]]]  # by budget, runs of learned and of fixed clips, a run a seed


def learned_stages(
    data: Dataset, filmed: Dataset, scores: Scores, fixed: Stages, protocol: Protocol, embedder: ClipEmbedder,
    folder: Path,
) -> Stages:  # fmt: skip
    """`fixed` with clips of learned extent. data: what stage 1 learned from; filmed, scores: as of `both_stages`."""
    other, protocol = other_index(data.classes), gated.with_head(protocol, fixed.head, fixed.view)
    whole, parts = replace(protocol, rule=beyond.WHOLE), [(filmed.train, scores.train)]
    parts += [(filmed.test, scores.test[seed % len(scores.test)]) for seed in range(len(fixed.test))]
    clips = []
    for (recordings, found), reach in zip(parts, _reaches(data, len(fixed.test), folder), strict=True):
        proposed = [pipeline.propose(r, 1 - s[:, other], whole) for r, s in zip(recordings, found, strict=True)]
        clips.append([_lasting(one, reach[one.recording.name], protocol) for one in proposed])
    jobs = [(part, how.clips) for split in clips for pair in split for _, part, how in _by_length(*pair, protocol)]
    embed_lengths(jobs, embedder, folder)
    train, *test = [[_embeddings(*pair, protocol, embedder, folder) for pair in split] for split in clips]
    named = [gated.out_of_fold(gated.for_head(filmed, scores, protocol), train, protocol, embedder, folder)]
    named += [[fixed.fitted.scores(rows) for rows in split] for split in test]
    staged = [
        tuple(
            Staged(one, s, gated.spans_of(one, seconds), n, seconds)
            for (one, seconds), s, n in zip(split, found, said, strict=True)
        )
        for split, (_, found), said in zip(clips, parts, named, strict=True)
    ]
    return replace(fixed, train=staged[0], test=tuple(staged[1:]), joint=gated.fit_joint(staged[0]))


def _reaches(data: Dataset, seeds: int, folder: Path) -> list[dict[str, np.ndarray]]:
    """What each frame's bout is expected to reach (T, 2), s, by recording: of train ones out of fold, then by seed."""
    folds = stage1.fold_jobs("dilated", data.train)
    train = stage1.joined(folds, [stage1.reaches(job, folder) for job in folds], data.train)
    test = [stage1.reaches(beyond.test_job(data, "dilated", seed), folder) for seed in range(seeds)]
    parts = [(data.train, train), *((data.test, found) for found in test)]
    return [{r.name: reach for r, reach in zip(*part, strict=True)} for part in parts]


def _lasting(proposed: Proposed, reach: np.ndarray, protocol: Protocol) -> tuple[Proposed, np.ndarray]:
    """The proposals with a clip each round what it is expected to reach, and the clips' seconds (N,)."""
    recording = proposed.recording
    bounds = extent.clip_bounds(proposed.proposals, reach, recording.fps)
    seconds = STEP_S * np.maximum(np.round(np.diff(bounds, axis=1)[:, 0] / recording.fps / STEP_S), 1)
    starts = [
        pipeline.clip_starts([Proposal(start, stop, 1.0)], recording, _cut(protocol, length))[0]
        for (start, stop), length in zip(bounds.tolist(), seconds.tolist(), strict=True)
    ]
    return replace(proposed, starts=np.array(starts, np.int64)), seconds


def _cut(protocol: Protocol, seconds: float) -> Protocol:
    return replace(protocol, clips=replace(protocol.clips, seconds=seconds))


def _by_length(
    proposed: Proposed, seconds: np.ndarray, protocol: Protocol
) -> Iterator[tuple[np.ndarray, Proposed, Protocol]]:  # fmt: skip
    """The clips of each length: their places, themselves, and the protocol that cuts them."""
    for length in np.unique(seconds):
        places = np.flatnonzero(seconds == length)
        yield places, replace(proposed, starts=proposed.starts[places]), _cut(protocol, float(length))


def _embeddings(
    proposed: Proposed, seconds: np.ndarray, protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> np.ndarray:  # fmt: skip
    """(N, D) of the clips, in their order."""
    found = pipeline.embed(replace(proposed, starts=proposed.starts[:0]), protocol, embedder, folder)
    rows = np.empty((len(seconds), found.shape[1]), found.dtype)
    for places, part, how in _by_length(proposed, seconds, protocol):
        rows[places] = pipeline.embed(part, how, embedder, folder)
    return rows


def beside(
    fixed: Stages, learned: Stages, values: Sequence[Mapping[str, np.ndarray]], data: Dataset, protocol: Protocol
) -> tuple[pd.DataFrame, Pairs]:
    """The rows (`COLUMNS`) of both kinds of clips at as many frames shown by the difference gate, and the predictions.

    values: of `gated.gate_values`, of the clips of one length. A budget is a share of their time; the last is as much
    as all clips of learned extent last, or all of them if that is less.
    """
    own = gated.gate_values(learned)[1]
    ratio = np.array([_frames(f) / max(1, _frames(l)) for f, l in zip(fixed.test, learned.test, strict=True)])
    most, lines, pairs = float(min(1.0, (1 / np.maximum(ratio, 1e-9)).min())), [], {}
    for budget in [*(b for b in BUDGETS if 0 < b < most), most]:
        runs = []
        for kind, stages, by, spent in ((LEARNED, learned, own, budget * ratio), (FIXED, fixed, values, None)):
            spent = np.full(len(by), budget) if spent is None else spent
            shown = [shown_at(part, v[CHOSEN], s) for part, v, s in zip(stages.test, by, spent, strict=True)]
            runs.append(gated.runs_at(stages, shown, data))
            lines.append(line(kind, CHOSEN, stages, shown, runs[-1], protocol))
        pairs[budget] = (runs[0], runs[1])
    return pd.DataFrame(lines, columns=COLUMNS), pairs


def _frames(parts: Sequence[Staged]) -> int:
    return int(sum(np.diff(one.spans, axis=1).sum() for one in parts))


def more(pairs: Pairs) -> list[str]:
    """How much more F1 clips of learned extent have, for each line of `beside`; nothing for the other kind."""
    return [text for runs in pairs.values() for text in (more_f1(*runs), "")]


def write_csv(table: pd.DataFrame, kinds: pd.DataFrame, profile: str, run: str = "") -> None:
    """Keep the lines of all gates and of both kinds of clips as the page's `sparsity.csv`."""
    results.write_csv(pd.concat([table, kinds], ignore_index=True), "sparsity", profile, run)
