"""Which proposals stage 2 is shown: those on which it is likelier right than stage 1, where a budget allows.

Deferring where stage 1 is unsure is best only if stage 2 is as good everywhere; else the difference of the two
probabilities is (Jitkrittum et al. 2023, arXiv 2307.02764). It is fitted on held-out train animals from what stage 1
gives, so that whether a clip is worth its cost is known before it is cut.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, entropy
from sklearn.ensemble import RandomForestRegressor

from mbrepro.data.alignment import body_length
from mbrepro.data.recordings import UNLABELLED, Recording
from mbrepro.errors import InputError
from mbrepro.method.proposals import Proposal

GATES = ("difference", "confidence", "margin", "random", "oracle")
TREES, LEAST = 200, 10  # of the regression: trees, and proposals in a leaf
BESIDE = 10  # descriptions of a proposal besides the classes' own
CERTAIN, LOSS = 0.9, 0.01  # what a threshold is asked for: how sure, of how little lost


def describe(scores: np.ndarray, proposals: Sequence[Proposal], recording: Recording) -> np.ndarray:
    """(N, C + 10) of each proposal, from stage 1's scores (T, C) and the poses.

    The classes' mean scores; the highest of them, its lead over the next and the entropy; the mean and sd over frames
    of the highest score, the share of frames of the most frequent class; seconds; the animals' mean and least distance
    and how fast it changes, body lengths (a second).
    """
    centres = recording.keypoints.mean(2) / body_length([recording])
    between = np.linalg.norm(centres[:, 0] - centres[:, 1], axis=1)
    rows = np.empty((len(proposals), scores.shape[1] + BESIDE))
    for row, proposal in zip(rows, proposals, strict=True):
        frames, near = scores[proposal.start : proposal.stop], between[proposal.start : proposal.stop]
        mean, seconds = frames.mean(0), len(frames) / recording.fps
        second, first = np.sort(mean)[-2:]
        most = np.bincount(frames.argmax(1)).max() / len(frames)
        sure = [first, first - second, entropy(mean), frames.max(1).mean(), frames.max(1).std(), most]
        row[:] = [*mean, *sure, seconds, near.mean(), near.min(), (near[-1] - near[0]) / seconds]
    return rows


def right_share(labels: np.ndarray, true: np.ndarray, proposals: Sequence[Proposal]) -> np.ndarray:
    """(N,) share of each proposal's labelled frames on which labels (T,) are the true ones (T,); 0 of none."""
    known, right = (np.append(0, np.cumsum(part)) for part in (true != UNLABELLED, (labels == true)))
    spans = np.array([(p.start, p.stop) for p in proposals], np.int64).reshape(-1, 2)
    counts = [np.diff(part[spans], axis=1)[:, 0] for part in (right, known)]
    return counts[0] / np.maximum(counts[1], 1)


@dataclass(frozen=True, eq=False)
class Forest:
    """A random forest as arrays that a file can hold, its trees' nodes one behind another.

    roots: (trees,) the first node of each. children: (N, 2) the nodes that follow where the feature (N,), below 0 in a
    leaf, is at most the threshold (N,), and where it is above. value: (N,) of leaves. Raises InputError if a way
    through them leads out or back.
    """

    roots: np.ndarray
    children: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray

    def __post_init__(self) -> None:
        nodes, inner = len(self.value), np.flatnonzero(self.feature >= 0)
        same = self.children.shape == (nodes, 2) and len(self.feature) == len(self.threshold) == nodes
        ways = [(self.roots, 0), (self.children[inner], inner[:, None] + 1)]
        if not (same and all(((to >= least) & (to < nodes)).all() for to, least in ways)):
            raise InputError("a gate holds trees that lead nowhere, which are not followed")

    def predict(self, described: np.ndarray) -> np.ndarray:
        """(N,) means over trees for descriptions (N, F), to the bit as scikit-learn has them."""
        values, rows = described.astype(np.float32), np.arange(len(described))[:, None]
        place = np.tile(self.roots, (len(values), 1))
        while (inner := self.feature[place] >= 0).any():
            above = values[rows, self.feature[place]] > self.threshold[place]
            place = np.where(inner, self.children[place, above.astype(int)], place)
        return self.value[place].cumsum(1)[:, -1] / len(self.roots)


def fit_gate(described: np.ndarray, gain: np.ndarray) -> Forest:
    """What predicts from descriptions (N, F) how much more stage 2 is right than stage 1, gain (N,) from -1 to 1.

    Both are of proposals in train animals that neither stage learned from. Raises InputError without any.
    """
    if not len(gain):
        raise InputError("stage 1 proposes nothing in the train recordings, so no gate can be fitted")
    fitted = RandomForestRegressor(TREES, min_samples_leaf=LEAST, random_state=0, n_jobs=1).fit(described, gain)
    trees = [one.tree_ for one in fitted.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    ways = [np.stack([t.children_left, t.children_right], 1) + root for t, root in zip(trees, roots, strict=True)]
    rest = ([getattr(tree, name).ravel() for tree in trees] for name in ("feature", "threshold", "value"))
    return Forest(roots, *map(np.concatenate, (ways, *rest)))


def worth(
    gate: str, described: np.ndarray, classes: int, fitted: Forest, gain: np.ndarray, seed: int
) -> np.ndarray:  # fmt: skip
    """(N,) what showing each proposal is worth a second of it, by one of `GATES`.

    described: of `describe`, with so many classes. gain: true ones, which the oracle alone knows.
    """
    if gate == "difference":
        return fitted.predict(described)
    if gate == "random":
        return np.random.default_rng(seed).random(len(described))
    known = {"confidence": 1 - described[:, classes], "margin": 1 - described[:, classes + 1], "oracle": gain}
    if gate not in known:
        raise InputError(f"there is no gate {gate!r}; take {', '.join(GATES)}")
    return known[gate]


def spend(values: np.ndarray, costs: np.ndarray, budget: float) -> np.ndarray:
    """(N,) bool, what is bought: by falling value (N,) per cost (N,), until the next would exceed the budget.

    What a budget buys, a larger one buys too.
    """
    order = np.argsort(-values / costs, kind="stable")
    bought = np.zeros(len(values), bool)
    bought[order] = np.cumsum(costs[order]) <= budget * (1 + 1e-9)
    return bought


def average_over_time(spans: np.ndarray, scores: np.ndarray, frames: int) -> np.ndarray:
    """(frames, C) mean of the scores (N, C) of the clips over each frame; NaN where no clip is.

    spans: (N, 2) first frame and excluded last of each clip.
    """
    total = np.zeros((frames + 1, scores.shape[1] + 1))
    for sign, ends in zip((1, -1), spans.T, strict=True):
        np.add.at(total, ends, sign * np.column_stack([scores, np.ones(len(scores))]))
    total = np.round(total.cumsum(0)[:-1], 9)
    return np.divide(
        total[:, :-1], total[:, -1:], out=np.full((frames, scores.shape[1]), np.nan), where=total[:, -1:] > 0
    )


def area(shares: np.ndarray, values: np.ndarray) -> float:
    """Mean height of a curve over its shares, ascending, by trapezoids."""
    return float(np.trapezoid(values, shares) / (shares[-1] - shares[0]))


def risk_coverage(values: np.ndarray, wrong: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and risk, (N,) each, of stage 1 alone if it keeps the proposals of the least values.

    wrong: (N,) share of a proposal's frames that it labels wrongly; weights: (N,) its frames.
    """
    order = np.argsort(values, kind="stable")
    kept = np.cumsum(weights[order])
    return kept / kept[-1], np.cumsum((wrong * weights)[order]) / kept


@dataclass(frozen=True)
class Guarantee:
    """What Learn then Test says: the place of the last setting certified, None if none is, and why that may be.

    videos, needed: calibration videos, and how many without any loss it takes to certify anything.
    """

    place: int | None
    videos: int
    needed: int


def learn_then_test(losses: np.ndarray, loss: float = LOSS, certain: float = CERTAIN) -> Guarantee:
    """Which settings lose at most `loss` in the mean over videos, with probability `certain`, all at once.

    losses: (videos, settings) from 0 to 1, the settings in a fixed sequence from the safest on; each is tested by its
    p-value of Hoeffding and Bentkus until one fails (Angelopoulos et al. 2021, arXiv 2110.01052, sections 2 and 3).
    """
    videos, place = len(losses), None
    for k, risk in enumerate(losses.mean(0)):
        if hoeffding_bentkus(float(risk), videos, loss) > 1 - certain:
            break
        place = k
    return Guarantee(place, videos, math.ceil(math.log(1 - certain) / math.log(1 - loss)))


def hoeffding_bentkus(risk: float, videos: int, loss: float) -> float:
    """The p-value of "the expected loss exceeds `loss`" where the mean over so many videos is `risk`."""
    low = min(risk, loss)
    parts = [a * math.log(a / b) for a, b in ((low, loss), (1 - low, 1 - loss)) if a > 0]
    return min(1.0, math.exp(-videos * sum(parts)), math.e * binom.cdf(math.ceil(videos * risk - 1e-9), videos, loss))
