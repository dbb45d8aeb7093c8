"""Measures of an embedding space, in its own coordinates: what lies near what, and whether width itself does harm.

All distances are Euclidean. None of these is ever computed from a map such as UMAP's, which keeps no distances.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import skew
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import pairwise_distances, silhouette_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mbrepro.artifacts import cached_arrays
from mbrepro.data.recordings import OTHER
from mbrepro.errors import InputError
from mbrepro.method.training import one_thread
from mbrepro.metrics.frames import confusion
from mbrepro.metrics.resampling import draw, interval

HEADS = {
    "1-NN": lambda: KNeighborsClassifier(1),
    "10-NN": lambda: KNeighborsClassifier(10),
    "prototype": NearestCentroid,
    # The penalty is chosen within the train part.
    "ridge": lambda: RidgeClassifierCV(np.logspace(-1, 5, 7), class_weight="balanced"),
}
WIDENED = ("rotated", "noise")
FOLDS = 20
NEAR = 10  # neighbours that are counted


def standardised(points: np.ndarray) -> np.ndarray:
    """Points (N, D) with mean 0 and variance 1 in each dimension, as the heads see them."""
    return StandardScaler().fit_transform(_checked(points))


def neighbours(points: np.ndarray, k: int, groups: np.ndarray | None = None) -> np.ndarray:
    """(N, k) indices of each point's nearest others, with `groups` (N,) of other groups only; InputError for fewer."""
    points = _checked(points)
    if groups is None:
        if not 0 < k < len(points):
            raise InputError(f"{k} neighbours cannot be found among {len(points)} clips")
        return NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    distances = pairwise_distances(points)
    distances[np.asarray(groups)[:, None] == np.asarray(groups)[None]] = np.inf
    if k < 1 or np.isfinite(distances).sum(1).min() < k:
        raise InputError(f"some clip has fewer than {k} clips of other recordings to be compared with")
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def purity(points: np.ndarray, labels: np.ndarray, k: int, groups: np.ndarray | None = None) -> float:
    """Share of the k nearest neighbours with their point's label, mean over classes: a frequent one counts once."""
    labels = np.asarray(labels)
    return _mean_over_classes((labels[neighbours(points, k, groups)] == labels[:, None]).mean(1), labels)


def chance_purity(labels: np.ndarray, groups: np.ndarray | None = None) -> float:
    """`purity` expected if neighbours were drawn blindly from the points that may be neighbours."""
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    may = groups[:, None] != groups[None]
    return _mean_over_classes(((labels[:, None] == labels[None]) & may).sum(1) / may.sum(1), labels)


def _mean_over_classes(values: np.ndarray, labels: np.ndarray) -> float:
    return float(pd.Series(values).groupby(labels).mean().mean())


def silhouette(points: np.ndarray, labels: np.ndarray) -> float:
    """Mean silhouette of labelled points, -1 to 1 (Rousseeuw 1987, J Comput Appl Math 20:53); NaN for one label."""
    count = len(np.unique(labels))
    return float(silhouette_score(_checked(points), labels)) if 1 < count < len(points) else float("nan")


def variance_between(points: np.ndarray, groups: np.ndarray) -> float:
    """Share of the points' total variance that lies between groups, less what chance gives so many groups.

    Epsilon squared, 1 - (within / (N - G)) / (total / (N - 1)), of sums of squared distances from means over all
    dimensions (Kelley 1935, PNAS 21:554; as in PERMANOVA, Anderson 2001, Austral Ecol 26:32). 0 is expected of groups
    drawn blindly, 1 is groups without any spread; NaN for one group, or as many as points.
    """
    points, count = _checked(points), len(np.unique(groups))
    if not 1 < count < len(points):
        return float("nan")
    rest = points - pd.DataFrame(points).groupby(np.asarray(groups)).transform("mean").to_numpy()
    return float(1 - (rest**2).sum() / (len(points) - count) / points.var(0, ddof=1).sum())


def hubness(points: np.ndarray, k: int) -> float:
    """Skewness of how often a point is among the others' k nearest (Radovanovic et al. 2010, JMLR 11:2487).

    About 0 where no point is favoured; above 1 a few points are everybody's neighbours.
    """
    often = np.bincount(neighbours(points, k).ravel(), minlength=len(points))
    return float(skew(often)) if often.std() else 0.0


def relative_contrast(points: np.ndarray) -> float:
    """How much farther the farthest point is than the nearest, (max - min) / min, median over points.

    It goes to 0 where distances concentrate, so that "nearest" means nothing (Beyer et al. 1999, ICDT, LNCS 1540:217).
    """
    distances = pairwise_distances(_checked(points))
    np.fill_diagonal(distances, np.nan)
    nearest, farthest = np.nanmin(distances, 1), np.nanmax(distances, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.median(np.where(nearest > 0, (farthest - nearest) / nearest, np.inf)))


def intrinsic_dimension(points: np.ndarray) -> float:
    """Dimension of the surface the points lie on, from each point's two nearest neighbours (Facco et al. 2017, Sci Rep
    7:12140, its maximum-likelihood form). Points that coincide are left out."""
    distances, _ = NearestNeighbors(n_neighbors=2).fit(_checked(points)).kneighbors()
    kept = distances[:, 0] > 0
    ratios = np.log(distances[kept, 1] / distances[kept, 0])
    return float((len(ratios) - 1) / ratios.sum())


def concentration(points: np.ndarray, k: int = NEAR) -> dict[str, float]:
    """Everything about a space that needs no labels."""
    return {
        "width": float(points.shape[1]),
        "intrinsic dimension": intrinsic_dimension(points),
        "relative contrast": relative_contrast(points),
        f"hubness (k = {k})": hubness(points, k),
    }


def arrangement(points: np.ndarray, classes: np.ndarray, recordings: np.ndarray, k: int = NEAR) -> dict[str, float]:
    """What lies near what: by class and by recording."""
    return {
        "purity": purity(points, classes, k),
        "purity, chance": chance_purity(classes),
        "purity, other recordings": purity(points, classes, k, recordings),
        "the same, chance": chance_purity(classes, recordings),
        "silhouette of classes": silhouette(points, classes),
        "silhouette of recordings": silhouette(points, recordings),
        "variance between classes": variance_between(points, classes),
        "variance between recordings": variance_between(points, recordings),
    }


def at_width(points: np.ndarray, width: int, widened: str, seed: int) -> np.ndarray:
    """Points (N, D) at another width: some of their dimensions, drawn blindly, or more of them.

    widened: "rotated" turns them into a wider space, which keeps every distance: width and nothing else. "noise"
    adds normal dimensions as spread as the given ones on average, in which the points tell nothing.
    """
    points = _checked(points)
    rng, dimensions = np.random.default_rng(seed), points.shape[1]
    if widened not in WIDENED:
        raise InputError(f"points are widened by one of {', '.join(WIDENED)}, not {widened!r}")
    if width <= dimensions:
        return points[:, np.sort(rng.choice(dimensions, width, replace=False))]
    if widened == "rotated":
        axes, _ = np.linalg.qr(rng.standard_normal((width, dimensions)))
        return points @ axes.T
    more = rng.standard_normal((len(points), width - dimensions))
    return np.hstack([points, more * np.sqrt(points.var(0).mean())])


def sweep_components(
    points: np.ndarray, labels: np.ndarray, recordings: np.ndarray, dimensions: Sequence[int], scale: bool = True,
    heads: Collection[str] = HEADS, folds: int = FOLDS,
) -> pd.DataFrame:  # fmt: skip
    """Balanced accuracy of heads on recordings they have not seen, on the first principal components of the others.

    dimensions: numbers of components; those above what the points have are left out, and 0 stands for no PCA at all.
    scale: standardise first. folds: groups of recordings left out in turn, single ones if there are no more. Scaling,
    PCA and head are fitted without the recordings left out. Returns head, components, accuracy, low, high: a 95 %
    interval by resampling recordings.
    """
    points = _checked(points)
    labels, member = (np.unique(values, return_inverse=True)[1] for values in (labels, recordings))
    if not member.any():
        raise InputError("leaving out recordings needs clips of at least 2 of them")
    if unknown := [head for head in heads if head not in HEADS]:
        raise InputError(f"there is no head {unknown[0]!r}; take {', '.join(HEADS)}")
    most = min(points.shape[1], len(points) - np.bincount(member).max() - 1)
    dimensions = [d for d in dimensions if d <= most]
    predicted = {(head, d): np.zeros_like(labels) for head in heads for d in dimensions}
    for fit, left_out in GroupKFold(min(folds, member.max() + 1)).split(points, groups=member):
        train, test = points[fit], points[left_out]
        if scale:
            scaler = StandardScaler().fit(train)
            train, test = scaler.transform(train), scaler.transform(test)
        pca = PCA(min(max([*dimensions, 1]), len(train)), random_state=0).fit(train)
        parts = pca.transform(train), pca.transform(test)
        for head, d in predicted:
            seen, asked = (part[:, :d] for part in parts) if d else (train, test)
            predicted[head, d][left_out] = HEADS[head]().fit(seen, labels[fit]).predict(asked)
    rows = [(head, d, *_balanced(labels, said, member)) for (head, d), said in predicted.items()]
    return pd.DataFrame(rows, columns=["head", "components", "accuracy", "low", "high"])


def named_by_others(
    spaces: Mapping[str, np.ndarray], frame: pd.DataFrame, folds: int = FOLDS
) -> dict[str, np.ndarray]:  # fmt: skip
    """What a linear head (ridge of `HEADS`), standardised, calls each clip in each space: names (N,).

    It is fitted without the clip's recording, with `folds` groups of recordings left out in turn, or single ones if
    there are no more. frame: as of `clip_frame`. Raises InputError for clips of fewer than 2 recordings.
    """
    classes, recordings = (frame[column].to_numpy(str) for column in ("class", "recording"))
    if (groups := len(np.unique(recordings))) < 2:
        raise InputError("leaving out recordings needs clips of at least 2 of them")
    ways = {"groups": recordings, "cv": GroupKFold(min(folds, groups))}
    model = make_pipeline(StandardScaler(), HEADS["ridge"]())
    return {name: cross_val_predict(model, _checked(points), classes, **ways) for name, points in spaces.items()}


def chance(classes: np.ndarray) -> float:
    """Balanced accuracy of who names the classes blindly."""
    return 1 / len(np.unique(classes))


def sweep_width(
    points: np.ndarray, labels: np.ndarray, recordings: np.ndarray, widths: Sequence[int], seed: int,
    heads: Sequence[str] = ("1-NN", "ridge"), folds: int = FOLDS,
) -> pd.DataFrame:  # fmt: skip
    """As `sweep_components`, without PCA, on the points at other widths (`at_width`), named in columns."""
    parts = []
    for widened in WIDENED:
        for width in widths:
            wide = at_width(points, width, widened, seed)
            made = sweep_components(wide, labels, recordings, [0], scale=False, heads=heads, folds=folds)
            parts.append(made.assign(widened=widened, width=width, contrast=relative_contrast(wide)))
    return pd.concat(parts, ignore_index=True).drop(columns="components")


def best_components(sweep: pd.DataFrame) -> pd.DataFrame:
    """Each head's accuracy without PCA and at the number of components that turns out best, from `sweep_components`."""
    rows = {}
    for head, part in sweep.groupby("head", sort=False):
        reduced = part[part["components"] > 0].set_index("components")["accuracy"]
        whole = part.loc[part["components"] == 0, "accuracy"].iloc[0]
        rows[head] = [whole, reduced.max(), reduced.idxmax(), reduced.max() - whole]
    columns = ["without PCA", "at the best number", "best number of components", "gain"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns)


def of_behaviours(
    spaces: Mapping[str, np.ndarray], frame: pd.DataFrame
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(N, D) points of the clips that hold a behaviour, their classes and recordings (N,); frame as of `clip_frame`."""
    held = (frame["class"] != OTHER).to_numpy()
    classes, recordings = (frame.loc[held, column].to_numpy() for column in ("class", "recording"))
    return {name: points[held] for name, points in spaces.items()}, classes, recordings


def arrangements(spaces: Mapping[str, np.ndarray], classes: np.ndarray, recordings: np.ndarray) -> pd.DataFrame:
    """`arrangement` of each space, standardised: a line a measure, a column a space."""
    return pd.DataFrame({name: arrangement(standardised(p), classes, recordings) for name, p in spaces.items()})


def concentrations(spaces: Mapping[str, np.ndarray], seed: int) -> pd.DataFrame:
    """`concentration` of each space, standardised, of the first as it is, and of as many normal points of its width,
    which show what width does where nothing else is there; a line a space."""
    first = next(iter(spaces))
    points = {name: standardised(part) for name, part in spaces.items()}
    points[f"{first}, not standardised"] = spaces[first]
    points["noise of its width"] = np.random.default_rng(seed).standard_normal(spaces[first].shape)
    return pd.DataFrame({name: concentration(part) for name, part in points.items()}).T


def component_sweeps(
    spaces: Mapping[str, np.ndarray], classes: np.ndarray, recordings: np.ndarray, components: Sequence[int]
) -> dict[str, pd.DataFrame]:
    """`sweep_components` of each space, and of the first as it is; also without PCA."""
    first, steps = next(iter(spaces)), [0, *components]
    sweeps = {name: sweep_components(part, classes, recordings, steps) for name, part in spaces.items()}
    as_it_is = sweep_components(spaces[first], classes, recordings, steps, scale=False)
    return sweeps | {f"{first}, not standardised": as_it_is}


def maps(spaces: Mapping[str, np.ndarray], seed: int, folder: Path) -> dict[str, np.ndarray]:
    """`umap_map` of each space, standardised."""
    return {name: umap_map(standardised(points), seed, folder, name) for name, points in spaces.items()}


def umap_map(points: np.ndarray, seed: int, folder: Path, name: str, near: int = 15) -> np.ndarray:
    """(N, 2) UMAP coordinates (McInnes et al. 2018, arXiv 1802.03426), to look at only.

    Stored in `folder`, as one seed gives one map on one kind of processor only.
    """
    import umap  # takes seconds, and compiles

    near = min(near, len(points) - 1)

    def make() -> dict[str, np.ndarray]:
        reducer = umap.UMAP(n_neighbors=near, random_state=seed, n_jobs=1)
        with one_thread():  # numba leaves torch with as many as there are cores, which round otherwise
            return {"coordinates": reducer.fit_transform(points).astype(np.float32)}

    made_from = points, seed, near, umap.__version__
    return cached_arrays(folder, f"umap-{name.replace(' ', '_')}", made_from, make)["coordinates"]


def _balanced(true: np.ndarray, said: np.ndarray, member: np.ndarray) -> tuple[float, ...]:
    """Mean recall over classes, and its percentile interval over resampled recordings."""
    parts = [member == m for m in range(member.max() + 1)]
    counts = np.stack([confusion(true[part], said[part], true.max() + 1) for part in parts])
    drawn = np.vstack([np.ones((1, len(counts)), int), draw(len(counts))])
    sums = np.tensordot(drawn, counts, 1)  # (1 + resamples, C, C)
    with np.errstate(invalid="ignore"):
        values = np.nanmean(np.diagonal(sums, axis1=1, axis2=2) / sums.sum(2), axis=1)
    spread = interval(values[1:])
    return float(values[0]), spread.low, spread.high


def _checked(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or not len(points):
        raise InputError(f"a space is clips by values, (N, D), not {points.shape}")
    if not np.isfinite(points).all():
        raise InputError(f"clip {int(np.argwhere(~np.isfinite(points))[0][0])} has a value that is not finite")
    return points
