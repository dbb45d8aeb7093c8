"""The published ladder of CalMS21 Task 1: how much each kind of context helps the official networks; and other judges.

A demo on which methods rank and fail as on the real data has to give these figures with the official settings.
`mbrepro ladder` (`make ladder`) measures them on the demo's own split and records them with what they were
measured on; 00_dataset shows them.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from mbrepro.artifacts import fingerprint, versions, write_json
from mbrepro.data.calms21.network import find_network
from mbrepro.data.recordings import Dataset
from mbrepro.demo import judges, simulated
from mbrepro.demo.simulated import DemoSettings, demo_dataset, schedule
from mbrepro.method import boosting, features, localizer, single_frame, training
from mbrepro.method.localizer import BASELINE, CAUSAL, LOCALIZER, LocalizerSettings, PoseCNN
from mbrepro.method.networks import validation_curves
from mbrepro.method.official import load_official
from mbrepro.method.single_frame import SingleFrameSettings
from mbrepro.study import recorded
from mbrepro.study.baseline import baseline
from mbrepro.study.corrections import by_seed
from mbrepro.study.localization import localization
from mbrepro.study.results import Run

PAGE = "ladder"
SEEDS, CAUSAL_SEEDS = 5, 2  # the causal network trains for an hour, so of fewer seeds
# Passes over the train recordings: at most so many, of which held-out train animals choose, for networks of both sides;
# for a frame alone as many as officially.
MOST, MOST_OF_TWO, VALIDATION = 15, 8, 0.25
CAUSAL_EPOCHS = 45  # a window that ends at its frame is learnt slowest: 28,000 steps here, the official 15 are 59,000
SOURCE = (
    "official CalMS21 baseline, Task 1 test (Sun et al. 2021; github.com/dreamyang-liu/mab-e-opt-transport); "
    "of the judges what study/ladder.py names"
)

PUBLISHED: dict[str, dict[str, float]] = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
# How far a mean may be from its published figure for the demo to count as alike; a network of two classes is steadier.
BOUND, BOUND_OF_TWO = 0.05, 0.02


def ladder(data: Dataset, seeds: int, folder: Path, epochs: int | None = None) -> pd.DataFrame:
    """Test scores of the ladder's networks: columns network, metric, mean, sd (population, over seeds), published.

    Networks of both sides are those of the demo's rows "baseline" and "localization", with as many passes as are best
    for held-out train animals, more than the rows have time for. A frame alone makes `MOST` passes, the causal network
    `CAUSAL_EPOCHS`, which nothing chose. epochs: the most for all, in their place. Networks are kept in `folder`.
    """
    four, two = settings_of_both(epochs)
    causal = replace(CAUSAL, epochs=epochs or CAUSAL_EPOCHS)
    alone = single_frame.single_frame(data, SingleFrameSettings(epochs=four.epochs), seeds, folder)
    runs = {
        "single frame": [Run(seed, data.task, data.classes, videos) for seed, videos in enumerate(alone)],
        "causal": baseline(data, causal, 0.0, min(seeds, CAUSAL_SEEDS), folder),
        "±200 frames": baseline(data, four, VALIDATION, seeds, folder),
        "localization": localization(data, two, VALIDATION, seeds, folder),
    }
    return _beside({network: by_seed(made) for network, made in runs.items()})


def settings_of_both(epochs: int | None = None) -> tuple[LocalizerSettings, LocalizerSettings]:
    """The networks that see both sides, of four and of two classes, with the most passes that they may make."""
    return replace(BASELINE, epochs=epochs or MOST), replace(LOCALIZER, epochs=epochs or MOST_OF_TWO)


def _beside(scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The ladder of each network's scores, a row a seed."""
    rows = [
        (network, metric, table[metric].mean(), table[metric].std(ddof=0) if len(table) > 1 else np.nan, published)
        for network, table in scores.items()
        for metric, published in PUBLISHED[network].items()
    ]
    return pd.DataFrame(rows, columns=["network", "metric", "mean", "sd", "published"])


def judged(settings: DemoSettings, network: PoseCNN | None) -> pd.DataFrame:
    """Test scores of the judges that depend on no seed, as of `ladder`; network: the official one, or none."""
    table = judges.judged_on_test(settings, network)
    return _beside({judge: table.loc[[judge]] for judge in table.index})


def made_from() -> dict[str, object]:
    """What recorded figures depend on: the versions of simulator and networks, and the most passes of each."""
    return {
        **versions(simulated, localizer, training, single_frame, boosting, features),
        "recordings": fingerprint(DemoSettings(), schedule.STATISTICS),
        "networks": fingerprint(BASELINE, CAUSAL, LOCALIZER),
        "passes": {"four classes": MOST, "two": MOST_OF_TWO, "causal": CAUSAL_EPOCHS, "held out": VALIDATION},
    }


def record(folder: Path) -> Path:
    """Measure the ladder and the judges on the demo's own split and record them; returns the file.

    Raises InputError where this machine has no copy of the official network.
    """
    network = load_official(find_network())
    data = demo_dataset("task1", DemoSettings(), folder / "recordings", videos=False)
    table = pd.concat([ladder(data, SEEDS, folder), judged(DemoSettings(), network)], ignore_index=True)
    rows = json.loads(table.round({"mean": 4, "sd": 4}).to_json(orient="records"))
    networks = zip(("±200 frames", "localization"), settings_of_both(), strict=True)
    curves = {name: validation_curves(data, how, VALIDATION, folder).round(4).tolist() for name, how in networks}
    provenance = {"data": "simulated", "computed_by": "mbrepro ladder", "made_from": made_from()}
    provenance["seeds"] = f"{SEEDS} (the causal network {CAUSAL_SEEDS})"
    write_json(recorded.path_of(PAGE), {"provenance": provenance, "figures": {"table": rows, "curves": curves}})
    return recorded.path_of(PAGE)


def recorded_ladder() -> tuple[pd.DataFrame, dict[str, object]]:
    """The recorded ladder, as of `ladder`, and its provenance. Raises InputError if there is none."""
    content = recorded.read(PAGE)
    return pd.DataFrame(content["figures"]["table"]), content["provenance"]


def recorded_curves() -> dict[str, np.ndarray]:
    """(divisions, passes) F1 of held-out train animals by passes over the others, of each network of both sides."""
    return {name: np.array(curves) for name, curves in recorded.read(PAGE)["figures"]["curves"].items()}


def with_ladder(compared: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of `likeness.likeness` with the ladder as further rows."""
    what = "ladder: " + measured["network"] + ", " + measured["metric"]
    rows = measured.rename(columns={"mean": "simulated", "published": "real"}).assign(
        what=what, unit="score", source=SOURCE
    )
    return pd.concat([compared, rows[compared.columns]], ignore_index=True)


def out_of_bounds(measured: pd.DataFrame) -> pd.Series:
    """Whether each line of the ladder is further from its published figure than `BOUND`, or `BOUND_OF_TWO`."""
    bounds = np.where(measured["network"] == "localization", BOUND_OF_TWO, BOUND)
    return (measured["mean"] - measured["published"]).abs() > bounds


def beside_published(measured: pd.DataFrame) -> pd.DataFrame:
    """The ladder for a page, in words: simulated mean ± sd over seeds, published, difference, what is out of bounds."""
    return pd.DataFrame(
        {
            "network": measured["network"],
            "metric": measured["metric"].str.replace("_", " ").str.replace("f1", "F1").str.replace("map", "MAP"),
            "simulated": [
                f"{mean:.3f}" if np.isnan(sd) else f"{mean:.3f} ± {sd:.3f}"
                for mean, sd in zip(measured["mean"], measured["sd"], strict=True)
            ],
            "real mice, published": measured["published"].map("{:.3f}".format),
            "difference": (measured["mean"] - measured["published"]).map("{:+.3f}".format),
            "": out_of_bounds(measured).map({True: "out of bounds", False: ""}),
        }
    )
