"""What clips show and where embeddings are read, compared on the demo: recorded, for it takes longer than the study.

`make ablation` computes the table into `results/recorded/ablation.json`; page 10 shows what is recorded, and says of
which model and recordings. All of it is simulated.
"""

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import torch
import transformers

from mbrepro import paths
from mbrepro.artifacts import fingerprint, write_json
from mbrepro.data.recordings import Dataset
from mbrepro.embedding import POSES, load_embedder
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.errors import InputError
from mbrepro.method import protocols
from mbrepro.method.protocols import Protocol
from mbrepro.study import recorded
from mbrepro.study.profiles import embedder_settings, load_dataset, training_epochs
from mbrepro.study.results import score
from mbrepro.study.two_stages import two_stages

# What `views_compared` compares: how a clip is cut and sampled, and where its embedding is read.
WAYS = (("frame", 2.0), ("frame", 8.0), ("mice", 2.0), ("mice", 8.0))
COMPARED = ("vision", "video_50", "video_100", "last_100")
CORRECTED = ("mice", "8", "video_100")  # what the corrected protocol shows and reads

PAGE = "ablation"
INDEX = ["shown", "frames a second", "view"]
FIGURES = ["F1", "F1 sd", "MAP", "MAP sd"]


def compute(data: Dataset, protocol: Protocol, seeds: int, folder: Path) -> pd.DataFrame:
    """`views_compared` of a protocol's own embedder, and last the control: the poses of the same clips alone."""
    table = views_compared(data, protocol, load_embedder(protocol.embedder), seeds, folder)
    control = replace(protocol, embedder=replace(protocol.embedder, model=POSES), view="pose")
    clips, _ = two_stages(data, control, load_embedder(control.embedder), seeds, folder)
    found = score("clip", "corrected", clips, resamples=1).set_index("metric")
    figures = [found.loc[metric, part] for metric in ("f1", "map") for part in ("mean", "sd")]
    table.loc[("poses alone", "every frame", "pose"), :] = figures
    return table


def views_compared(data: Dataset, protocol: Protocol, embedder: ClipEmbedder, seeds: int, folder: Path) -> pd.DataFrame:
    """CalMS21's F1 and MAP of the clip row under changes of one protocol, mean and sd over seeds; a line for each.

    Lines are what the clip shows (frame or mice; 2 or 8 frames a second) by the view its embedding is. All
    views of one way to cut clips come from one pass over them; what was embedded before is read from the store.
    """
    rows = {}
    for crop, fps in WAYS:
        for view in COMPARED:
            changed = replace(protocol, view=view, clips=replace(protocol.clips, crop=crop, sampled_fps=fps))
            clips, _ = two_stages(data, changed, embedder, seeds, folder)
            found = score("clip", "corrected", clips, resamples=1).set_index("metric")
            figures = [found.loc[metric, part] for metric in ("f1", "map") for part in ("mean", "sd")]
            rows[crop, f"{fps:g}", view] = figures
    index = pd.MultiIndex.from_tuples(rows, names=["shown", "frames a second", "view"])
    return pd.DataFrame(rows.values(), index, ["F1", "F1 sd", "MAP", "MAP sd"])


def record(seeds: int, scale: float, path: Path) -> Path:
    """Compute the demo's table and write it with what it was made from; returns the file."""
    protocol = protocols.corrected(embedder_settings("demo", "corrected"), training_epochs("demo", "localizer"))
    data, folder = load_dataset("task1", "demo", scale), paths.artifacts("demo")
    table = compute(data, protocol, seeds, folder)
    lines = table.round(recorded.DIGITS).reset_index().to_dict("records")
    write_json(path, {"provenance": provenance(data, protocol, seeds, scale), "figures": {"table": lines}})
    return path


def provenance(data: Dataset, protocol: Protocol, seeds: int, scale: float) -> dict[str, object]:
    """What a table was made from: recordings, weights, settings and libraries."""
    made = [[r.name, r.keypoints, r.labels] for r in data.recordings]
    return {
        "data": f"{data.source}, {len(data.train)} train and {len(data.test)} test recordings of {data.task}",
        "recordings": fingerprint(*made),
        "weights": load_embedder(protocol.embedder).identity["weights"],
        "protocol": asdict(protocol),
        "seeds": seeds,
        "scale": scale,
        "computed_by": "mbrepro.study.ablations.compute",
        "libraries": {"torch": torch.__version__.partition("+")[0], "transformers": transformers.__version__},
    }


def recorded_table(path: Path | None = None) -> tuple[dict[str, object], pd.DataFrame]:
    """The provenance and the table that are recorded. Raises InputError if there is none, or it is damaged."""
    path = path or recorded.path_of(PAGE)
    if not path.exists():
        raise InputError(f"{path}: no ablation is recorded; make it with make ablation")
    content = recorded.read(PAGE, path)
    try:
        table = pd.DataFrame(content["figures"]["table"]).set_index(INDEX)[FIGURES]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a recorded ablation ({error}); make it again with make ablation") from None
    return content["provenance"], table


def control(table: pd.DataFrame) -> tuple[float, float]:
    """F1 of poses alone, and of the corrected protocol's clips and view, in a recorded table."""
    return float(table.loc[("poses alone", "every frame", "pose"), "F1"]), float(table.loc[CORRECTED, "F1"])
