"""A model as one file: the same scores and bytes again, and nothing opened that was changed or is more than trees."""

import contextlib
import copy
import hashlib
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import MOUSE, TASK1_CLASSES
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method import bundle as bundle_module
from mbrepro.method import context
from mbrepro.method.bundle import CARD, DESCRIPTION, STAGE2, TREES, Bundle, Looks, load_bundle, save_bundle
from mbrepro.method.context import fit_layered
from mbrepro.method.gate import BESIDE, fit_gate
from mbrepro.method.heads import HeadSettings, fit_head, head_arrays, head_of
from tests.fixtures.near_and_far import FIRST, SECOND, made_recording


@pytest.fixture(scope="module")
def bundle():
    model = fit_layered([made_recording(f"mouse{k:03}_x", 300, k) for k in range(3)], False, 0, FIRST, SECOND)
    return Bundle(model, MOUSE, TASK1_CLASSES, {"recordings": ["a"]})


@pytest.fixture
def path(bundle, tmp_path):
    save_bundle(tmp_path / "model.zip", bundle, "# card\n")
    return tmp_path / "model.zip"


@pytest.fixture
def looks():
    """A head that was fitted on clips, the classes in no order of the labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 0, 1], 20)
    head = fit_head(rng.normal(labels[:, None], 1, (60, 5)), labels, len(TASK1_CLASSES), HeadSettings(), 0)
    identity, joint = {"model": "pixels", "code": "1"}, (0.7, np.array([0.1, -0.2, 0, 0.3]))
    gate = fit_gate(described := rng.random((90, len(TASK1_CLASSES) + BESIDE)), described[:, 2] - described[:, -1])
    return Looks(EmbedderSettings("pixels"), ClipSettings(2.0), "mean", identity, head, *joint, gate, 0.4)


def test_stage_2_read_back_names_clips_the_same(bundle, looks, tmp_path):
    save_bundle(tmp_path / "model.zip", replace(bundle, looks=looks), "# card\n")
    found = load_bundle(tmp_path / "model.zip").looks
    clips = np.random.default_rng(1).normal(size=(9, 5))
    np.testing.assert_array_equal(found.head.scores(clips), looks.head.scores(clips))
    assert (found.embedder, found.clips, found.view) == (looks.embedder, looks.clips, looks.view)
    assert (found.identity, found.trust) == (looks.identity, looks.trust) and (found.bias == looks.bias).all()
    described = np.random.default_rng(2).random((30, len(TASK1_CLASSES) + BESIDE))
    np.testing.assert_array_equal(found.gate.predict(described), looks.gate.predict(described))
    assert found.budget == 0.4 and np.ptp(found.gate.predict(described)) > 0.3
    both = fit_head(clips[:8], np.repeat([2, 3], 4), len(TASK1_CLASSES), HeadSettings(), 0)
    np.testing.assert_array_equal(head_of(head_arrays(both), 4).scores(clips), both.scores(clips))
    with pytest.raises(InputError, match="one class only"):
        head_arrays(fit_head(clips, np.zeros(9, int), 4, HeadSettings(), 0))


def test_a_changed_head_or_one_that_is_gone_is_refused(bundle, looks, tmp_path):
    path = tmp_path / "model.zip"
    save_bundle(path, replace(bundle, looks=looks), "# card\n")
    original = path.read_bytes()
    rewritten(path, lambda members: members.update({STAGE2: members[STAGE2][:-1] + b"!"}), signed=False)
    with pytest.raises(InputError, match="it was changed after it was written"):
        load_bundle(path)
    for change in (lambda members: members.pop(STAGE2), lambda members: members.update({STAGE2: b"none"})):
        path.write_bytes(original)
        rewritten(path, change)
        with pytest.raises(InputError, match="not a model of mbrepro train"):
            load_bundle(path)


def test_a_gate_that_is_not_one_and_a_model_that_has_none_are_refused(bundle, looks, tmp_path):
    path = tmp_path / "model.zip"
    beyond = replace(looks.gate, feature=np.where(looks.gate.feature >= 0, len(TASK1_CLASSES) + BESIDE, -2))
    save_bundle(path, replace(bundle, looks=replace(looks, gate=beyond)), "# card\n")
    with pytest.raises(InputError, match="its gate asks for more than descriptions of proposals hold"):
        load_bundle(path)

    def without(members):
        told = json.loads(members[DESCRIPTION])
        del told["stage2"]["budget"]
        members[DESCRIPTION] = json.dumps(told).encode()

    rewritten(path, without)
    with pytest.raises(InputError, match=r"model\.zip: it was made before models had a gate; train again"):
        load_bundle(path)


def rewritten(path, change, signed=True):
    """The file with its members changed; signed: with checksums to match, as by someone who knows how."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
        comment = file.comment
    change(members)
    if signed:
        told = json.loads(members[DESCRIPTION])
        told["sha256"] = {n: hashlib.sha256(c).hexdigest() for n, c in members.items() if n != DESCRIPTION}
        members[DESCRIPTION] = json.dumps(told).encode()
        comment = hashlib.sha256(members[DESCRIPTION]).hexdigest().encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
        file.comment = comment


def test_model_read_back_gives_the_same_scores(bundle, path):
    found, recording = load_bundle(path), made_recording("other_x", 200, 9)
    assert (found.skeleton, found.classes, found.about) == (bundle.skeleton, bundle.classes, bundle.about)
    assert found.model.fps == 30 and found.model.first.settings == bundle.model.first.settings
    np.testing.assert_array_equal(found.model.scores(recording), bundle.model.scores(recording))
    with zipfile.ZipFile(path) as file:
        assert file.read(CARD) == b"# card\n"
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in file.infolist())


def test_the_same_training_gives_the_same_bytes(bundle, path, tmp_path):
    """Though the objects lie elsewhere in memory, and some that were one may be two."""
    again = fit_layered([made_recording(f"mouse{k:03}_x", 300, k) for k in range(3)], False, 0, FIRST, SECOND)
    save_bundle(tmp_path / "again.zip", replace(bundle, model=again), "# card\n")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_a_changed_file_is_refused(path):
    original = path.read_bytes()
    for change in (
        lambda members: members.update({CARD: b"F1 .99"}),
        lambda members: members.update({TREES[0]: members[TREES[1]]}),
        lambda members: members.update({DESCRIPTION: members[DESCRIPTION].replace(b"investigation", b"mounting")}),
    ):
        path.write_bytes(original)
        rewritten(path, change, signed=False)
        with pytest.raises(InputError, match=r"model\.zip: it was changed after it was written"):
            load_bundle(path)
    rng = np.random.default_rng(0)
    for place, bit in zip(rng.integers(len(original), size=400), rng.integers(8, size=400), strict=True):
        flipped = bytearray(original)
        flipped[place] ^= 1 << bit
        path.write_bytes(flipped)
        with contextlib.suppress(InputError):  # nothing else, and what can be read is as it was
            assert load_bundle(path).about == {"recordings": ["a"]}
    for broken in (original[: len(original) // 2], b"", b"PK\3\4 no zip"):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"model\.zip: not a model of mbrepro train"):
            load_bundle(path)


def test_nothing_but_trees_is_opened(path):
    original = path.read_bytes()
    called = FunctionTransformer(hashlib.sha256)
    for content, sentence in (
        (skops.io.dumps(called), "it holds more than trees, which is not opened"),
        (skops.io.dumps(Pipeline([("one", None)])), "it holds Pipeline in the place of trees"),
        (b"neither", "not a model of mbrepro train"),
    ):
        path.write_bytes(original)
        rewritten(path, lambda members, content=content: members.update({TREES[0]: content}))
        with pytest.raises(InputError, match=sentence):
            load_bundle(path)
    path.write_bytes(original)
    rewritten(path, lambda members: members.update({"more.txt": b""}))
    with pytest.raises(InputError, match="not a model of mbrepro train, which holds"):
        load_bundle(path)


def test_a_bomb_is_not_unpacked(path, monkeypatch):
    """Neither in a member nor in the zip that holds the trees."""
    original, inner = path.read_bytes(), io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("schema.json", bytes(3_000_000))
    monkeypatch.setattr(bundle_module, "MOST_BYTES", 2_000_000)
    for content, sentence in (
        (bytes(3_000_000), r"model\.zip: a part of it is too large"),
        (inner.getvalue(), r"model\.zip: its trees are too large"),
    ):
        path.write_bytes(original)
        rewritten(path, lambda members, content=content: members.update({TREES[0]: content}))
        with pytest.raises(InputError, match=sentence):
            load_bundle(path)


@pytest.mark.parametrize(
    "change", [("left", 10**6), ("right", 0), ("feature_idx", 10**6), ("feature_idx", -1), ("is_categorical", 1)]
)
def test_trees_that_lead_out_of_themselves_are_not_followed(bundle, tmp_path, change):
    first = copy.deepcopy(bundle.model.first)
    nodes = first.trees._predictors[0][0].nodes
    assert not nodes["is_leaf"][0]
    field, value = change
    nodes[field][0] = value
    hostile = replace(bundle, model=replace(bundle.model, first=first))
    save_bundle(tmp_path / "model.zip", hostile, "# card\n")
    with pytest.raises(InputError, match="trees that lead nowhere"):
        load_bundle(tmp_path / "model.zip")


def test_versions_that_score_otherwise_are_refused(path, monkeypatch):
    monkeypatch.setattr(context, "VERSION", context.VERSION + 1)
    with pytest.raises(InputError, match=r"it was made with .*context 1, .* and here are .*context 2"):
        load_bundle(path)
