"""New behaviours from 1, 3 or 10 labelled clips: every head over every embedding, in many draws, and the floors; and
the model asked directly."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from mbrepro.data.processes import side_by_side
from mbrepro.data.recordings import UNLABELLED, Dataset, Recording
from mbrepro.embedding import pose
from mbrepro.embedding.asked import can_be_asked
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.method import pipeline
from mbrepro.method.heads import fit_head, head_settings
from mbrepro.method.localizer import PoseCNN
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import Proposed, localize_action
from mbrepro.method.protocols import Protocol
from mbrepro.method.together import embed_together
from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.frames import Arrays, evaluate
from mbrepro.study import asking
from mbrepro.study.few_shot import boosted, everywhere

SHOTS, DRAWS = (1, 3, 10), 20
ASKED = (0, 1)  # clips of each class shown to a model that is asked, each of which it looks at again with every clip
HEADS = ("linear", "ridge", "lda", "prototypes", "knn")  # an mlp is left out, for time
VIDEO, POSES, BOTH = "video", "poses", "both"
RANDOM, SHUFFLED = "random embeddings", "shuffled labels"  # under the linear head
PROMPTED = "prompt"  # no head
MAJORITY, ALWAYS = "never", "always"  # "other" is the majority in each of these tasks
FIGURES = ["F1", "AP", "bout F1"]
COLUMNS = ["behaviour", "embedding", "head", "shots", *FIGURES, "AP sd"]
Drawn = tuple[int, str, str, np.ndarray]  # shots, embedding, head, and (draws, 3) figures


def means(drawn: pd.DataFrame) -> pd.DataFrame:
    """Means of `shots`' figures over the behaviours, a line for each embedding, head and number of shots."""
    return drawn.groupby(["shots", "embedding", "head"], sort=False)[[*FIGURES, "AP sd"]].mean().reset_index()


def best(drawn: pd.DataFrame) -> pd.DataFrame:
    """Of each behaviour, with the most shots and each embedding that knows something: the head of the highest AP."""
    most = drawn[(drawn["shots"] == drawn["shots"].max()) & drawn["embedding"].isin([VIDEO, POSES, BOTH])]
    chosen = most.loc[most.groupby(["behaviour", "embedding"], sort=False)["AP"].idxmax()]
    always = drawn[drawn["embedding"] == ALWAYS]
    return pd.concat([chosen, always]).sort_values("behaviour", kind="stable", ignore_index=True)


def by_source(
    data: Dataset, tasks: Sequence[Dataset], protocol: Protocol, embedder: ClipEmbedder, folder: Path,
    count: int = max(SHOTS), draws: int = DRAWS,
) -> pd.DataFrame:  # fmt: skip
    """`means` of so many shots under the linear head, by what the clips of train and test recordings are cut for."""
    sources = {"the network": localize_action, "boosted features": boosted(data, tasks, folder), "nothing": everywhere}
    how = {"counts": [count], "draws": draws, "asked": (), "heads": ["linear"]}
    found = {
        name: means(shots(data, tasks, protocol, embedder, folder, localize=localize, **how))
        for name, localize in sources.items()
    }
    together = pd.concat(found, names=["proposed by"]).reset_index(0)
    return together[~together["embedding"].isin([MAJORITY, ALWAYS])].drop(columns=["head", "shots"])


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips that stage 1 proposes in one split of a task, and their embeddings (N, D) by their names.

    `RANDOM` is among them, and the first is what labels are shuffled for.
    """

    proposed: tuple[Proposed, ...]
    embedded: dict[str, np.ndarray]

    @property
    def labels(self) -> np.ndarray:
        """(N,) class index of each clip."""
        return np.concatenate([one.labels for one in self.proposed])


def shots(
    data: Dataset, tasks: Sequence[Dataset], protocol: Protocol, embedder: ClipEmbedder, folder: Path,
    counts: Sequence[int] = SHOTS, draws: int = DRAWS, asked: Sequence[int] = ASKED, heads: Sequence[str] = HEADS,
    localize: Callable[[PoseCNN, Recording], np.ndarray] = localize_action,
) -> pd.DataFrame:  # fmt: skip
    """F1, AP and bout F1 (tIoU .5) of the test frames of each behaviour: a line for each embedding, head and number of
    shots, means over draws, and the standard deviation of AP over them ("AP sd").

    A draw is so many train clips that hold the behaviour and as many that do not, fewer where there are not so many.
    Clips are what the first seed's localizer, trained on Task 1 (`data`), proposes. tasks: those whose every recording
    has video. `RANDOM`, `SHUFFLED`, `MAJORITY` and `ALWAYS` are floors; the last two learn from no shot.
    asked: of how many shots the model itself is told, in one draw, and asked (`PROMPTED`), where it can be. localize:
    P(action) (T,) of a recording by that localizer, or in its place.
    """
    (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
    jobs = []
    for task in tasks:
        train, test = (
            _clips(part, partial(localize, model), protocol, embedder, folder, seed)
            for seed, part in enumerate((task.train, task.test))
        )
        more = list(_asked(train, test, protocol, embedder, folder, asked))
        jobs.append((drawn_lines, task, train, test, protocol, counts, draws, more, heads))
    told = side_by_side(jobs, "few-shot draws", "behaviour", stay=True)
    return pd.DataFrame(list(chain(*told)), columns=COLUMNS)


@threadpool_limits.wrap(limits=1)  # thousands of fits so small that threads only get into each other's way
def drawn_lines(
    task: Dataset, train: Clips, test: Clips, protocol: Protocol, counts: Sequence[int] = SHOTS, draws: int = DRAWS,
    more: Iterable[Drawn] = (), heads: Sequence[str] = HEADS,
) -> list[dict[str, object]]:  # fmt: skip
    """The lines of `shots` of one task, from the clips of both of its splits, and of what else was drawn."""
    told, lines = {"behaviour": task.behaviours[0]}, []
    drawn = (_drawn(train, test, protocol, task.classes, count, draws, heads) for count in counts)
    for count, embedding, head, found in chain(*drawn, more):
        mean = dict(zip(FIGURES, found.mean(0), strict=True))
        told_of = {"embedding": embedding, "head": head, "shots": count, "AP sd": found[:, 1].std()}
        lines.append(told | told_of | mean)
    for name, answer in ((MAJORITY, 0.0), (ALWAYS, 1.0)):
        figures = dict(zip(FIGURES, _constant(task, answer), strict=True))
        lines.append(told | {"embedding": name, "head": "", "shots": 0, "AP sd": 0.0} | figures)
    return lines


def _clips(
    recordings: Sequence[Recording], localize: Callable[[Recording], np.ndarray], protocol: Protocol,
    embedder: ClipEmbedder, folder: Path, seed: int,
) -> Clips:  # fmt: skip
    found = tuple(pipeline.propose(r, localize(r), protocol) for r in recordings)
    embed_together(found, protocol.clips, embedder, folder)
    fused = replace(protocol, head=replace(protocol.head, fusion="early"))
    both = np.concatenate([pipeline.embed(one, fused, embedder, folder) for one in found])
    video = both.shape[1] - pose.WIDTH
    return Clips(found, with_noise({VIDEO: both[:, :video], POSES: both[:, video:], BOTH: both}, seed))


def with_noise(embedded: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Embeddings by their names, and behind them `RANDOM`, as wide as the first."""
    shape = next(iter(embedded.values())).shape
    return embedded | {RANDOM: np.random.default_rng(seed).normal(size=shape)}


def _drawn(
    train: Clips, test: Clips, protocol: Protocol, classes: Sequence[str], count: int, draws: int, heads: Sequence[str]
) -> Iterator[Drawn]:
    """The count, each embedding and head with its (draws, 3) figures; draw k is of the same clips for all."""
    known, rows = train.labels, [_draw(train.labels, count, k) for k in range(draws)]
    telling = [name for name in train.embedded if name != RANDOM]
    ways = [(e, head, False) for e in telling for head in heads]
    for embedding, head, shuffled in [*ways, (RANDOM, "linear", False), (telling[0], "linear", True)]:
        if head == "lda" and len(rows[0]) <= len(classes):  # of one clip a class no spread is known
            continue
        figures = []
        for k, kept in enumerate(rows):
            labels = np.random.default_rng(k).permutation(known[kept]) if shuffled else known[kept]
            if not len(kept):  # stage 1 proposes nothing of it
                figures.append(_figures(test, np.eye(2)[np.zeros(len(test.labels), int)], protocol, classes))
                continue
            settings = head_settings(head)
            fitted = fit_head(train.embedded[embedding][kept], labels, len(classes), settings, k)
            figures.append(_figures(test, fitted.scores(test.embedded[embedding]), protocol, classes))
        yield count, (SHUFFLED if shuffled else embedding), head, np.array(figures)


def _asked(
    train: Clips, test: Clips, protocol: Protocol, model: ClipEmbedder, folder: Path, counts: Sequence[int]
) -> Iterator[Drawn]:
    """As `_drawn`, of the model's own answers: one draw of each number of shots, if it can be asked."""
    classes = test.proposed[0].recording.classes
    for count in counts if can_be_asked(model) else ():
        asked = asking.asked_about(classes, model, asking.examples(train.proposed, count, protocol.clips, 0))
        scores = asking.answers(test.proposed, protocol.clips, asked, folder, asking.READ)
        yield count, PROMPTED, "", np.array([_figures(test, scores, protocol, classes)])


def _draw(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sides = [np.flatnonzero(labels == side) for side in (0, 1)]
    return np.sort(np.concatenate([rng.choice(side, min(count, len(side)), replace=False) for side in sides]))


def _figures(test: Clips, scores: np.ndarray, protocol: Protocol, classes: Sequence[str]) -> list[float]:
    parts = np.split(scores, np.cumsum([len(one.starts) for one in test.proposed])[:-1])
    written = [pipeline.write_frames(*pair, protocol) for pair in zip(test.proposed, parts, strict=True)]
    return _measured([v.known for v in written], [v.labels for v in written], [v.scores for v in written], classes)


def _constant(task: Dataset, answer: float) -> list[float]:
    true = [r.labels for r in task.test]
    labels = [np.full(len(part), int(answer)) for part in true]
    return _measured(true, labels, [np.eye(2)[part] for part in labels], task.classes)


def _measured(true: Arrays, labels: Arrays, scores: Arrays, classes: Sequence[str]) -> list[float]:
    kept = [part != UNLABELLED for part in true]
    true, labels, scores = ([v[k] for v, k in zip(part, kept, strict=True)] for part in (true, labels, scores))
    told = evaluate(true, labels, scores, classes)
    return [told["f1"], told["map"], float(found_bouts(true, labels, classes)["bout_f1_50"][0])]
