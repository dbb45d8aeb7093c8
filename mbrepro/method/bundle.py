"""A trained model as one file that can be carried: a zip of JSON, a card to read, and trees as `skops` stores them.

One that looks at video too names its embedder, and holds its head and gate as safetensors.

Nothing of a file is run: trees are opened with `skops`, which makes objects of scikit-learn's own types alone. A file
that was changed or cut short, or whose scores this installation would give otherwise, is refused.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import skops.io
from sklearn import __version__ as sklearn_version
from sklearn.ensemble import HistGradientBoostingClassifier
from skops.io.exceptions import UntrustedTypesFoundException

from mbrepro.artifacts import replacing, versions
from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Skeleton
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method import boosting, context, features
from mbrepro.method.boosting import Boosted, BoostingSettings
from mbrepro.method.context import Layered
from mbrepro.method.gate import BESIDE, Forest
from mbrepro.method.heads import Head, head_arrays, head_of

FORMAT = 1
DESCRIPTION, CARD, TREES = "model.json", "card.md", ("first.skops", "second.skops")
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]  # beyond the types that skops trusts
STAGE2, GATE = "stage2.safetensors", "gate_"  # of a model that looks at video; its gate's arrays in it
SCHEMA = "schema.json"  # of a skops file
MOST_BYTES = 2**28  # of a member; a model of 20 recordings has under 2**22
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member, so that the same model is the same bytes


@dataclass(frozen=True, eq=False)
class Looks:
    """Stage 2 of a model: its embedder by name with what its embeddings depend on, clips and view, and a linear head.

    trust, bias: of the joint of the head's scores with the trees'. gate: what says which clips are shown, and budget
    the share of their seconds that is.
    """

    embedder: EmbedderSettings
    clips: ClipSettings
    view: str
    identity: Mapping[str, object]
    head: Head
    trust: float
    bias: np.ndarray
    gate: Forest
    budget: float


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model, the parts and the classes that it knows, and what is told of it.

    looks: what it makes of a video, if it takes one. about: plain values, such as what it was trained on and how good
    it was on animals that it had not seen.
    """

    model: Layered
    skeleton: Skeleton
    classes: tuple[str, ...]
    about: Mapping[str, Any]
    looks: Looks | None = None


def save_bundle(path: Path, bundle: Bundle, card: str) -> None:
    """Write a model and its card as one file, whole or not at all."""
    first, second = bundle.model.first, bundle.model.second
    members = dict(zip(TREES, map(_stored, (first.trees, second)), strict=True)) | {CARD: card.encode()}
    if looks := bundle.looks:
        arrays = {f"{GATE}{name}": values for name, values in vars(looks.gate).items()} | {"bias": looks.bias}
        members[STAGE2] = safetensors.numpy.save(head_arrays(looks.head) | arrays)
    told: dict[str, Any] = {
        "format": FORMAT, "parts": bundle.skeleton.parts, "front": bundle.skeleton.front, "rear": bundle.skeleton.rear,
        "classes": bundle.classes, "fps": bundle.model.fps, "alike": bundle.model.alike,
        "settings": asdict(first.settings), "about": bundle.about,
        "versions": _versions(), "sha256": {name: _digest(content) for name, content in members.items()},
    }  # fmt: skip
    if looks:
        told["stage2"] = {key: getattr(looks, key) for key in ("view", "identity", "trust", "budget")}
        told["stage2"] |= {"embedder": asdict(looks.embedder), "clips": asdict(looks.clips)}
    described = json.dumps(told, indent=1, sort_keys=True).encode()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in {DESCRIPTION: described, **members}.items():
            file.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)
        file.comment = _digest(described).encode()


def _stored(trees: HistGradientBoostingClassifier) -> bytes:
    """Trees as `skops` stores them, its objects numbered in order: it names them by their places in memory."""
    numbers: dict[str, int] = {}

    def number(name: str) -> int:
        return numbers.setdefault(name, len(numbers))

    def renamed(node: Any) -> Any:
        if isinstance(node, list):
            return [renamed(part) for part in node]
        if not isinstance(node, dict):
            return node
        own: dict[str, Any] = {"__id__": number(str(node["__id__"]))} if "__id__" in node else {}
        own |= {"file": f"{number(node['file'].removesuffix('.npy'))}.npy"} if "file" in node else {}
        return {key: renamed(part) for key, part in node.items()} | own

    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(trees))) as file, zipfile.ZipFile(written, "w") as stable:
        schema = json.dumps(renamed(json.loads(file.read(SCHEMA))))
        arrays = {f"{number(n.removesuffix('.npy'))}.npy": file.read(n) for n in file.namelist() if n != SCHEMA}
        for name, content in {SCHEMA: schema, **arrays}.items():
            stable.writestr(zipfile.ZipInfo(name, EPOCH), content)
    return written.getvalue()


def load_bundle(path: Path) -> Bundle:
    """Read what `save_bundle` wrote.

    Raises InputError naming the file if it is none, was changed, holds types that are not trusted, or was made with
    versions that give other scores than these.
    """
    try:
        members, told = _members(path)
        trees = [_trees(path, members[name]) for name in TREES]
        settings = BoostingSettings(**told["settings"] | {"windows_s": tuple(told["settings"]["windows_s"])})
        skeleton, classes = Skeleton(tuple(told["parts"]), told["front"], told["rear"]), tuple(told["classes"])
        model = Layered(Boosted(trees[0], len(classes), settings), trees[1], float(told["fps"]), bool(told["alike"]))
        looks = _looks(path, told["stage2"], members[STAGE2], len(classes)) if "stage2" in told else None
        return Bundle(model, skeleton, classes, told["about"], looks)
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib, json and skops each raise errors of their own at bytes not theirs
        why = " ".join(str(error).split())
        raise InputError(f"{path}: not a model of mbrepro train ({why}); name one, official or demo") from error


def _looks(path: Path, told: Mapping, content: bytes, classes: int) -> Looks:
    if "budget" not in told:
        raise InputError(f"{path}: it was made before models had a gate; train again")
    arrays = safetensors.numpy.load(content)
    embedder, clips = EmbedderSettings(**told["embedder"]), ClipSettings(**told["clips"])
    head, joint = head_of(arrays, classes), (float(told["trust"]), arrays["bias"])
    gate = Forest(**{field.name: arrays[f"{GATE}{field.name}"] for field in fields(Forest)})
    if gate.feature.max() >= classes + BESIDE:
        raise InputError(f"{path}: its gate asks for more than descriptions of proposals hold")
    return Looks(embedder, clips, told["view"], told["identity"], head, *joint, gate, float(told["budget"]))


def _members(path: Path) -> tuple[dict[str, bytes], dict]:
    """Every member's bytes and the description, once they are those that were written and these versions' own."""
    with zipfile.ZipFile(path) as file:
        if {info.filename for info in file.infolist()} - {STAGE2} != {DESCRIPTION, CARD, *TREES}:
            raise InputError(f"{path}: not a model of mbrepro train, which holds {DESCRIPTION}, {CARD} and trees")
        if any(info.file_size > MOST_BYTES for info in file.infolist()):
            raise InputError(f"{path}: a part of it is too large to be a model of mbrepro train")
        members = {info.filename: file.read(info) for info in file.infolist()}
        whole = file.comment == _digest(members[DESCRIPTION]).encode()
    told = json.loads(members.pop(DESCRIPTION))
    if not whole or told["sha256"] != {name: _digest(content) for name, content in members.items()}:
        raise InputError(f"{path}: it was changed after it was written; copy it again or train anew")
    if told["format"] != FORMAT or told["versions"] != _versions():
        made, here = (", ".join(f"{k} {v}" for k, v in sorted(of.items())) for of in (told["versions"], _versions()))
        raise InputError(f"{path}: it was made with {made}, and here are {here}; install those or train again")
    return members, told


def _trees(path: Path, content: bytes) -> HistGradientBoostingClassifier:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        if sum(info.file_size for info in file.infolist()) > MOST_BYTES:
            raise InputError(f"{path}: its trees are too large to be those of mbrepro train")
    try:
        trees = skops.io.loads(content, trusted=TRUSTED)
    except UntrustedTypesFoundException as error:
        raise InputError(f"{path}: it holds more than trees, which is not opened ({error})") from error
    if not isinstance(trees, HistGradientBoostingClassifier):
        raise InputError(f"{path}: it holds {type(trees).__name__} in the place of trees")
    if not all(_ends(predictor.nodes, trees.n_features_in_) for each in trees._predictors for predictor in each):
        raise InputError(f"{path}: it holds trees that lead nowhere, which are not followed")
    return trees


def _ends(nodes: np.ndarray, features: int) -> bool:
    """Whether every way through a tree's nodes stays in it and ends: scikit-learn follows them without a look."""
    inner = np.flatnonzero(~nodes["is_leaf"].astype(bool))
    ways = np.stack([nodes["left"][inner], nodes["right"][inner]]).astype(np.int64)
    asked = nodes["feature_idx"][inner]
    inside = (ways > inner) & (ways < len(nodes)) & (asked >= 0) & (asked < features)
    return bool(len(nodes) and inside.all() and not nodes["is_categorical"].any())


def _versions() -> dict[str, str]:
    return versions(features, boosting, context) | {"sklearn": sklearn_version, "numpy": np.__version__.split(".")[0]}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
