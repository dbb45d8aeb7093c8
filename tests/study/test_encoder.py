"""The table of a real encoder and its controls, made on a tiny demo, and what is recorded of the whole."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mbrepro import cli, paths
from mbrepro.artifacts import file_hash, package_versions
from mbrepro.demo.simulated import DemoSettings
from mbrepro.embedding import POSES, load_embedder
from mbrepro.embedding.pose import FEATURES, SUMMARIES
from mbrepro.errors import InputError
from mbrepro.method import protocols
from mbrepro.metrics.frames import evaluate
from mbrepro.study import ablations, beyond, encoder, gated, profiles
from mbrepro.study.corrections import FIGURES
from mbrepro.study.profiles import embedder_settings, load_dataset
from mbrepro.study.results import score
from mbrepro.study.two_stages import two_stages
from tests.fixtures.tiny_encoders import WIDTH, write_encoder

LINES = [
    ("dinov2", "mean"), ("dinov2", "cls"), ("dinov2, untrained", "mean"), ("dinov2, untrained", "cls"),
    ("stand-in", "video_100"), ("raw pixels", "mean"), ("raw pixels", "mean_sd"), ("poses", "pose"),
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A demo of three train animals and a test animal, one epoch, and the whole command on a tiny DINOv2."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("encoder")
        patch.setenv("MBREPRO_ROOT", str(root))
        patch.setattr(profiles, "DemoSettings", lambda: DemoSettings(3, 1, 3, 30, 30, video_size=(256, 144)))
        patch.setattr(encoder, "training_epochs", lambda *_: 1)
        model = write_encoder(root / "model", "dinov2")
        assert cli.main(["encoder", str(model), "--seeds", "1", "--out", str(root / "encoder.json")]) == 0
        yield root


def protocol_of(model: str, view: str):
    corrected = protocols.corrected(embedder_settings("demo", "corrected"), 1, sampled_fps=2.0)
    protocol = ablations.labelled_bouts(corrected)
    return replace(protocol, embedder=replace(protocol.embedder, model=model), view=view)


def test_a_line_for_each_view_of_encoder_twin_and_controls(root):
    told, table = encoder.recorded_table(root / "encoder.json")
    assert table.index.tolist() == LINES and table.columns.tolist() == [*FIGURES, "dims"]
    assert ((table["F1"] >= 0) & (table["F1"] <= 1) & (table["F1 sd"] == 0)).all()
    assert table["dims"].tolist() == [*[WIDTH] * 4, 128, 16 * 16, 2 * 16 * 16, len(FEATURES) * len(SUMMARIES)]
    assert told["data"].startswith("simulated") and told["seeds"] == 1 and told["frames_a_clip"] == 4
    assert told["encoder"]["weights"] == [file_hash(root / "model" / "model.safetensors")]
    assert told["encoder"]["twin_weights"] != told["encoder"]["weights"] and told["encoder"]["origin"] == "not known"
    assert str(root) not in (root / "encoder.json").read_text()


@pytest.mark.parametrize(("line", "model"), [(LINES[1], "model"), (LINES[6], "pixels"), (LINES[7], POSES)])
def test_a_line_is_the_clip_row_under_that_protocol(root, line, model):
    protocol = protocol_of(str(root / model) if model == "model" else model, line[1])
    embedder, folder = load_embedder(protocol.embedder), paths.artifacts("demo")
    clips, _ = two_stages(load_dataset("task1", "demo"), protocol, embedder, 1, folder)
    found = score("clip", "corrected", clips, resamples=1).set_index("metric")["mean"]
    _, table = encoder.recorded_table(root / "encoder.json")
    np.testing.assert_allclose(table.loc[line, ["F1", "MAP"]].astype(float), found[["f1", "map"]], atol=1e-9)


def test_only_an_encoder_can_be_compared(root, tmp_path, capsys):
    for model, sentence in (("stand-in", "an encoder without language"), (str(tmp_path), "no config.json in it")):
        assert cli.main(["encoder", model, "--out", str(tmp_path / "out.json")]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and sentence in told
    assert not (tmp_path / "out.json").exists()


def test_behind_poses_it_is_joined_and_gated_as_the_stand_in_is(root):
    """The dense line by the functions that page 13 calls, one by one."""
    out = root / "second_stage.json"
    assert cli.main(["encoder", str(root / "model"), "--second-stage", "--seeds", "1", "--out", str(out)]) == 0
    told, table = encoder.second_stage(out)
    assert table.index.tolist() == ["dinov2, gated", "dinov2, dense"] and table["view"].isin(["mean", "cls"]).all()
    assert told["frames_a_clip"] == 4 and told["made_from"] == encoder.made_from() and told["seeds"] == 1
    data, folder = load_dataset("task1", "demo"), paths.artifacts("demo")
    scores = beyond.stage1_scores(data, 1, folder)
    by, (localizer, way) = beyond.writers(data, scores, folder)
    protocol = replace(protocol_of(str(root / "model"), "auto"), head_clips="both", counter_examples=True)
    stages = gated.both_stages(
        data, scores[localizer], 1, by[localizer].labelled(way), protocol, load_embedder(protocol.embedder), folder
    )
    labels = [stages.label(gated.joined(one, stages.joint, np.ones(len(one.spans), bool))) for one in stages.test[0]]
    f1 = evaluate([r.labels for r in data.test], labels, None, data.classes)["f1"]
    assert table.loc["dinov2, dense", "F1"] == pytest.approx(f1)
    assert table["trust"].tolist() == pytest.approx([stages.joint.trust] * 2)
    shown = encoder.with_second_stage(table.iloc[:0][["F1", "MAP"]])
    assert shown.index.tolist() == [f"{line} (recorded)" for line in encoder.second_stage()[1].index]


def test_the_recorded_second_stage_is_of_this_demo_and_its_methods():
    """And of as many seeds and as large a share as page 13 has, among whose lines it stands."""
    told, table = encoder.second_stage()
    page = (paths.notebooks() / "13_gate.ipynb").read_text(encoding="utf-8")
    assert f"seeds = {told['seeds']} " in page and f"share = {told['share']} " in page
    assert told["made_from"] == encoder.made_from() and told["scale"] == 1.0 and told["share"] == encoder.SHARE
    assert told["encoder"] == {name: encoder.recorded_table()[0]["encoder"][name] for name in told["encoder"]}
    assert table.index.tolist() == ["dinov2, gated", "dinov2, dense"]


def test_missing_or_damaged_record_is_named(tmp_path):
    with pytest.raises(InputError, match=r"encoder\.json: no recorded figures"):
        encoder.recorded_table(tmp_path / "encoder.json")
    (tmp_path / "encoder.json").write_text(json.dumps({"provenance": {}, "figures": {"table": [{"a": 1}]}}))
    with pytest.raises(InputError, match=r"not a recorded encoder .* make it again with mbrepro encoder"):
        encoder.recorded_table(tmp_path / "encoder.json")


def test_what_is_recorded_is_of_the_demo_and_the_stand_in_that_the_ablation_compared():
    """Two lines of it are lines of the ablation, which has a test of its demo of its own."""
    (told, table), (other, ablation) = encoder.recorded_table(), ablations.recorded_table()
    assert table.index.tolist() == LINES and told["scale"] == 1.0
    clips = other["protocol"]["clips"] | {"sampled_fps": 2.0}
    assert told["frames_a_clip"] == max(clips["min_frames"], clips["seconds"] * clips["sampled_fps"])
    own = ("computed_by", "encoder", "frames_a_clip", "libraries", "versions")
    assert told == other | {"protocol": other["protocol"] | {"clips": clips}} | {name: told[name] for name in own}
    now = package_versions()
    assert told["versions"] == {name: now[name] for name in told["versions"]}
    assert told["versions"].keys() > other["versions"].keys()
    for mine, theirs in ((LINES[4], ("mice", "2", "video_100")), (LINES[7], ablations.CONTROL)):
        means = (lines.loc[line, ["F1", "MAP"]].astype(float) for lines, line in ((table, mine), (ablation, theirs)))
        np.testing.assert_allclose(*means, atol=0.005)


def test_recorded_encoder_is_a_small_vision_transformer_of_a_known_origin():
    told, table = encoder.recorded_table()
    made = told["encoder"]
    assert made["kind"] == "dinov2" and encoder.ORIGINS[made["weights"][0]] == made["origin"]
    assert (table.loc[["dinov2", "dinov2, untrained"], "dims"] == 384).all()


def test_numbers_are_in_the_order_that_page_11_says():
    """The page compares these six in words."""
    found = dict(encoder.numbers())
    looked = ("dinov2_untrained_mean", "dinov2_cls", "raw_pixels_mean_sd", "dinov2_mean", "stand_in_video_100")
    names = (*looked, "poses_pose")
    values = [found[f"encoder_{name}_f1"] for name in names]
    assert values == sorted(values)
    _, table = encoder.recorded_table()
    assert found["encoder_dinov2_mean_f1"] == table.loc[("dinov2", "mean"), "F1"]
    assert table.loc[("stand-in", "video_100"), "MAP"] > table.loc[("dinov2", "mean"), "MAP"]
