"""Page 00: simulated annotators and tracker beside real ones, and which statistics of poses are near enough."""

from collections.abc import Sequence

import pandas as pd

from mbrepro.data import real
from mbrepro.data.recordings import TASK1_CLASSES, Recording
from mbrepro.demo import judges, likeness
from mbrepro.demo.simulated import DemoSettings
from mbrepro.demo.standin.evaluate import FUSED, READ, SHOWN
from mbrepro.demo.windows import pose_windows, tracked
from mbrepro.embedding.standin import STAND_IN_WEIGHTS
from mbrepro.study import ladder, recorded

_AGREEMENT = {
    "f1": "F1 of the behaviours", **{f"f1_{name}": f"F1 of {name}" for name in TASK1_CLASSES}, "kappa": "Cohen's kappa",
    **{f"bout_f1_{share}": f"bout F1 at {share} % overlap" for share in (10, 25, 50)}, "edit": "edit score, %",
    "onset_abs": "median shift of onsets, s", "offset_abs": "median shift of offsets, s",
    "near_boundary_500ms": "share of disagreement within .5 s of an edge",
    "near_boundary_1000ms": "share of disagreement within 1 s of an edge",
    "f1_within_500ms": "F1 with .5 s of tolerance", "f1_within_1000ms": "F1 with 1 s of tolerance",
}  # fmt: skip
_SHOWN = {
    "frame": f"whole frame, {SHOWN['frame'].sampled_fps:g} a second",
    "mice": f"square round both mice, {SHOWN['mice'].sampled_fps:g} a second",
    FUSED: "that square, and poses",
}
NEAR = 0.1
_SOURCES = {"annotators": real.HUMAN["source"], "tracker": likeness.POSES_SOURCE}


def annotator_table(settings: DemoSettings) -> pd.DataFrame:
    """How far the two annotators of every simulated Task 1 recording agree, and how far two people do, as recorded."""
    mine, theirs = judges.agreement(settings), recorded.read("human")["figures"]["first"]["metrics"]
    rows = {told: (mine[name], theirs[name]["value"]) for name, told in _AGREEMENT.items()}
    return pd.DataFrame(rows, index=["simulated", "real"]).T


def near_people(annotators: pd.DataFrame) -> int:
    """How many figures of `annotator_table` are within `NEAR` of the two people's."""
    return int(((annotators["simulated"] / annotators["real"] - 1).abs() <= NEAR).sum())


def tracker_table(recordings: Sequence[Recording]) -> pd.DataFrame:
    """`windows.tracked` of simulated recordings, and of the real windows as recorded."""
    mine, theirs = tracked(pose_windows(recordings, 2000)[0]), recorded.figures("windows")
    rows = {f"{what}, {told}": (mine[what][told], theirs[what][told]) for what in mine for told in mine[what]}
    return pd.DataFrame(rows, index=["simulated", "real"]).T


def every_comparison(likeness_rows: pd.DataFrame, measured: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
    """The rows of `likeness.likeness`, of the tables of annotators and tracker, each by its name, and of the ladder."""
    rows = [
        (f"{name}: {what}", row["simulated"], row["real"], "as named", _SOURCES[name])
        for name, table in tables.items()
        for what, row in table.iterrows()
    ]
    further = pd.DataFrame(rows, columns=likeness_rows.columns)
    return ladder.with_ladder(pd.concat([likeness_rows, further], ignore_index=True), measured)


def side_by_side(tracker: pd.DataFrame) -> pd.DataFrame:
    """`tracker_table` with a row a length: of each figure the simulated one and the real one."""
    names = tracker.index.str.rsplit(", ", n=1)
    wide = tracker.set_index([names.str[0], names.str[1]]).unstack(sort=False)
    wide.columns = [f"{figure}, {whose}" for whose, figure in wide.columns]
    return wide[[f"{figure}, {whose}" for figure in names.str[1].unique() for whose in tracker.columns]]


def near_and_off(medians: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    """How many pose statistics have a median near enough to the real one, and those that have not.

    medians: as of `likeness.pose_medians`. The second part is indexed by what each is and its unit.
    """
    near = (medians["ratio"] - 1).abs() <= likeness.POSE_TOLERANCE
    off = medians[~near]
    return int(near.sum()), off.set_index(off["what"] + ", " + off["unit"])[["simulated", "real", "ratio"]]


def stand_in_scores() -> pd.DataFrame:
    """What the view that stage 2 reads is worth on clips of animals that the stand-in was not trained on, as shipped.

    A line for each way to show a clip: accuracy, balanced accuracy, and the latter of the untrained twin.
    """
    table = pd.read_csv(STAND_IN_WEIGHTS / "evaluation.csv").set_index(["view", "model", "shown"]).loc[READ]
    own, twin = (table.loc[model].loc[list(_SHOWN)].rename(index=_SHOWN) for model in ("stand-in", "untrained twin"))
    return pd.DataFrame(
        {"accuracy": own["accuracy"], "balanced accuracy": own["balanced_accuracy"],
         "balanced, untrained twin": twin["balanced_accuracy"]}
    )  # fmt: skip
