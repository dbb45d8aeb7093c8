"""What clips show and where embeddings are read, compared on the demo: recorded, for it takes longer than the study.

`make ablation` computes the table into `results/recorded/ablation.json`; page 10 shows what is recorded, and says of
which model and recordings. All of it is simulated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers

from mbrepro import method, paths
from mbrepro.artifacts import fingerprint, versions, write_json
from mbrepro.data import clips
from mbrepro.data.recordings import Dataset
from mbrepro.demo import simulated
from mbrepro.embedding import load_embedder, packing, qwen
from mbrepro.embedding.embedder import POSES
from mbrepro.errors import InputError
from mbrepro.method import localizer, protocols, training
from mbrepro.method.protocols import Protocol
from mbrepro.study import recorded
from mbrepro.study.corrections import FIGURES, mean_and_sd
from mbrepro.study.profiles import embedder_settings, load_dataset, training_epochs
from mbrepro.study.two_stages import two_stages

# What `compute` compares: how a clip is cut and sampled, and where its embedding is read.
WAYS = (("frame", 2.0), ("frame", 8.0), ("mice", 2.0), ("mice", 8.0))
COMPARED = ("vision", "video_50", "video_100", "last_100")
CORRECTED = ("mice", "8", "video_100")  # what the corrected protocol shows and reads

PAGE = "ablation"
INDEX = ["shown", "frames a second", "view"]
CONTROL = ("poses alone", "every frame", "pose")


def compute(data: Dataset, protocol: Protocol, seeds: int, folder: Path) -> pd.DataFrame:
    """CalMS21's F1 and MAP of the clip row under changes of one protocol, mean and sd over seeds; a line for each.

    Lines are what the clip shows (frame or mice; 2 or 8 frames a second) by the view its embedding is, and last the
    control, the poses of the same clips alone. All views of one way to cut clips come from one pass over them; what was
    embedded before is read from the store.
    """
    changes = {
        (crop, f"{fps:g}", view): replace(
            protocol, view=view, clips=replace(protocol.clips, crop=crop, sampled_fps=fps)
        )
        for crop, fps in WAYS
        for view in COMPARED
    }
    changes[CONTROL] = protocol.with_model(POSES, "pose")
    return compare(data, changes, INDEX, seeds, folder)


def compare(
    data: Dataset, changes: Mapping[tuple[str, ...], Protocol], index: Sequence[str], seeds: int, folder: Path
) -> pd.DataFrame:
    """CalMS21's F1 and MAP of the clip row under each protocol: columns `FIGURES`, a line each, named by `index`."""
    embedder_of = cache(load_embedder)
    rows = [
        mean_and_sd(two_stages(data, changed, embedder_of(changed.embedder), seeds, folder)[0])
        for changed in changes.values()
    ]
    return pd.DataFrame(rows, pd.MultiIndex.from_tuples(changes, names=index), FIGURES)


def labelled_bouts(protocol: Protocol) -> Protocol:
    """The protocol with a head that learns from labelled bouts alone, the same clips whatever stage 1 proposes.

    Fewer clips are then embedded; page 08 tells what the others add.
    """
    return replace(protocol, head_clips="labelled", counter_examples=False)


def record(seeds: int, scale: float, path: Path) -> Path:
    """Compute the demo's table and write it with what it was made from; returns the file."""
    corrected = protocols.corrected(embedder_settings("demo", "corrected"), training_epochs("demo", "localizer"))
    protocol = labelled_bouts(corrected)
    data, folder = load_dataset("task1", "demo", scale), paths.artifacts("demo")
    table = compute(data, protocol, seeds, folder)
    return write_table(path, provenance(data, protocol, seeds, scale), table)


def write_table(path: Path, provenance: Mapping[str, object], table: pd.DataFrame) -> Path:
    """Record a table with what it was made from; returns the file."""
    rows = table.round(recorded.DIGITS).reset_index().to_dict("records")
    write_json(path, {"provenance": provenance, "figures": {"table": rows}})
    return path


def provenance(data: Dataset, protocol: Protocol, seeds: int, scale: float) -> dict[str, Any]:
    """What a table was made from: recordings, weights, settings and libraries."""
    return {
        "data": f"{data.source}, {len(data.train)} train and {len(data.test)} test recordings of {data.task}",
        "recordings": fingerprint(*([r.name, r.keypoints, r.labels] for r in data.recordings)),
        "weights": load_embedder(protocol.embedder).identity["weights"],
        "protocol": asdict(protocol),
        "seeds": seeds,
        "scale": scale,
        "computed_by": "mbrepro.study.ablations.compute",
        "versions": versions(simulated, method, localizer, training, clips, packing, qwen),
        "libraries": {"torch": torch.__version__.partition("+")[0], "transformers": transformers.__version__},
    }


def recorded_table(path: Path | None = None) -> tuple[dict[str, Any], pd.DataFrame]:
    """The provenance and the table that are recorded. Raises InputError if there is none, or it is damaged."""
    path = path or recorded.path_of(PAGE)
    if not path.exists():
        raise InputError(f"{path}: no ablation is recorded; make it with make ablation")
    return read_table(PAGE, path, INDEX, FIGURES)


def read_table(
    page: str, path: Path, index: Sequence[str], columns: Sequence[str]
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The provenance and the table that `write_table` wrote. Raises InputError naming the file if it is damaged."""
    content = recorded.read(page, path)
    try:
        return content["provenance"], pd.DataFrame(content["figures"]["table"]).set_index(list(index))[list(columns)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a recorded {page} ({error}); make it again with mbrepro {page}") from None


def control(table: pd.DataFrame) -> tuple[float, float]:
    """F1 of poses alone, and of the corrected protocol's clips and view, in a recorded table."""
    return float(table.loc[CONTROL, "F1"]), float(table.loc[CORRECTED, "F1"])
