"""What clips show and where embeddings are read, compared on the demo: recorded, for it takes longer than the study.

`make ablation` computes the table into `results/recorded/ablation.json`; page 10 shows what is recorded, and says of
which model and recordings. All of it is simulated.
"""

import argparse
import html
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
import transformers
from IPython.display import HTML

from mbrepro import paths, protocols, recorded, report, study
from mbrepro.artifacts import fingerprint, write_json
from mbrepro.embedding import POSES, load_embedder
from mbrepro.errors import InputError
from mbrepro.profiles import embedder_settings, load_dataset, training_epochs
from mbrepro.protocols import Protocol
from mbrepro.recordings import Dataset
from mbrepro.results import score

PAGE = "ablation"
INDEX = ["shown", "frames a second", "view"]
FIGURES = ["F1", "F1 sd", "MAP", "MAP sd"]


def compute(data: Dataset, protocol: Protocol, seeds: int, folder: Path) -> pd.DataFrame:
    """`study.views_compared` of a protocol's own embedder, and last the control: the poses of the same clips alone."""
    table = study.views_compared(data, protocol, load_embedder(protocol.embedder), seeds, folder)
    control = replace(protocol, embedder=replace(protocol.embedder, model=POSES), view="pose")
    clips, _ = study.two_stages(data, control, load_embedder(control.embedder), seeds, folder)
    found = score("clip", "corrected", clips, resamples=1).set_index("metric")
    figures = [found.loc[metric, part] for metric in ("f1", "map") for part in ("mean", "sd")]
    table.loc[("poses alone", "every frame", "pose"), :] = figures
    return table


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
        "protocol": fingerprint(protocol),
        "seeds": seeds,
        "scale": scale,
        "computed_by": "mbrepro.ablation.compute",
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


def shown(path: Path | None = None) -> HTML:
    """The recorded table under the notice that it is simulated, or where none is recorded a sentence that says so."""
    path = path or recorded.path_of(PAGE)
    if not path.exists():
        told = "No ablation is recorded yet; <code>make ablation</code> computes it on the demo."
        return HTML(f'{report.source_notice(["simulated"])}<p class="mb-source">{told}</p>')
    made, table = recorded_table(path)
    cells = {
        name: table[name].map("{:.3f}".format) + " ± " + table[f"{name} sd"].map("{:.3f}".format)
        for name in ("F1", "MAP")
    }
    lines = pd.DataFrame(cells).reset_index()
    told = f"{made['data']}, {made['seeds']} seeds: mean ± sd over them. Weights sha256 {made['weights'][0][:12]}…."
    body = report.text_table(lines).data
    return HTML(f'{report.source_notice(["simulated"])}<p class="mb-source">{html.escape(told)}</p>{body}')


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: python -m mbrepro.ablation [--seeds N] [--scale S] [--out FILE]."""
    parser = argparse.ArgumentParser(prog="python -m mbrepro.ablation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="times the number of simulated recordings")
    parser.add_argument("--out", type=Path, default=recorded.path_of(PAGE))
    chosen = parser.parse_args(arguments)
    try:
        print(record(chosen.seeds, chosen.scale, chosen.out))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
