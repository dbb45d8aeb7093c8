"""The table of crops, frame rates and views, made at a tiny scale, and what is recorded of the whole."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mbrepro import cli, paths
from mbrepro.demo.simulated import DemoSettings, demo_dataset
from mbrepro.embedding import POSES, load_embedder
from mbrepro.errors import InputError
from mbrepro.method import protocols
from mbrepro.report import page
from mbrepro.report.page import SIMULATED
from mbrepro.study import ablations as ablation
from mbrepro.study.ablations import COMPARED, WAYS
from mbrepro.study.profiles import embedder_settings, load_dataset, training_epochs
from mbrepro.study.results import score
from mbrepro.study.two_stages import two_stages

LINES = len(WAYS) * len(COMPARED) + 1  # `small` changes them


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The whole command on a few recordings, with one seed and one epoch."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("ablation")
        patch.setenv("MBREPRO_ROOT", str(root))
        patch.setattr(ablation, "training_epochs", lambda *_: 1)
        patch.setattr(ablation, "WAYS", (("frame", 2.0), ("mice", 8.0)))
        patch.setattr(ablation, "COMPARED", ("video_100", "last_100"))
        out = root / "ablation.json"
        assert cli.main(["ablation", "--seeds", "1", "--scale", "0.1", "--out", str(out)]) == 0
        yield out


def test_a_line_for_each_crop_rate_and_view_and_the_poses_last(small):
    told, table = ablation.recorded_table(small)
    assert table.index.tolist() == [
        ("frame", "2", "video_100"), ("frame", "2", "last_100"), ("mice", "8", "video_100"), ("mice", "8", "last_100"),
        ("poses alone", "every frame", "pose"),
    ]  # fmt: skip
    assert ((table["F1"] >= 0) & (table["F1"] <= 1) & (table["F1 sd"] == 0)).all()
    assert told["seeds"] == 1 and told["data"].startswith("simulated")
    assert told["weights"] == load_embedder(embedder_settings("demo", "corrected")).identity["weights"]


def test_a_line_is_the_clip_row_under_that_protocol(small):
    corrected = protocols.corrected(embedder_settings("demo", "corrected"), 1, sampled_fps=2.0, crop="frame")
    protocol = ablation.labelled_bouts(corrected)
    control = replace(protocol, embedder=replace(protocol.embedder, model=POSES), view="pose")
    data, folder = load_dataset("task1", "demo", 0.1), paths.artifacts("demo")
    _, table = ablation.recorded_table(small)
    for line, chosen in ((("frame", "2", "video_100"), protocol), (("poses alone", "every frame", "pose"), control)):
        clips, _ = two_stages(data, chosen, load_embedder(chosen.embedder), 1, folder)
        found = score("clip", "corrected", clips, resamples=1).set_index("metric")["mean"]
        np.testing.assert_allclose(table.loc[line, ["F1", "MAP"]].astype(float), found[["f1", "map"]], atol=1e-9)


def test_page_says_that_it_is_simulated_and_shows_what_is_recorded(small, tmp_path):
    shown, (_, table) = page.recorded_ablation(small).data, ablation.recorded_table(small)
    assert SIMULATED in shown and "1 seeds" in shown
    for line in table.itertuples():
        assert f">{line.F1:.3f} ± 0.000<" in shown
    absent = page.recorded_ablation(tmp_path / "ablation.json").data
    assert SIMULATED in absent and "No ablation is recorded yet" in absent and "<table" not in absent


def test_missing_or_damaged_record_is_named(tmp_path):
    with pytest.raises(InputError, match=r"ablation\.json: no ablation is recorded; make it with make ablation"):
        ablation.recorded_table(tmp_path / "ablation.json")
    (tmp_path / "ablation.json").write_text(json.dumps({"provenance": {}, "figures": {"table": [{"a": 1}]}}))
    with pytest.raises(InputError, match="not a recorded ablation"):
        ablation.recorded_table(tmp_path / "ablation.json")


def test_what_the_page_says_of_the_recorded_table_holds():
    _, table = ablation.recorded_table()
    lines = table.sort_index()
    by_rate = {(shown, fps): lines.loc[(shown, fps)] for shown, fps, _ in lines.index}
    for shown in ("frame", "mice"):
        assert (by_rate[shown, "8"][["F1", "MAP"]] > by_rate[shown, "2"][["F1", "MAP"]]).all(axis=None)
    mice = by_rate["mice", "8"][["F1", "MAP"]]
    for fps in ("2", "8"):
        square, whole = (by_rate[shown, fps][["F1", "MAP"]] for shown in ("mice", "frame"))
        assert (square > whole).all(axis=None)
    assert (mice.idxmin() == "video_100").all()
    ahead = table.iloc[-1][["F1", "MAP"]] - table.iloc[:-1][["F1", "MAP"]].max()
    assert (ahead > mice.max() - mice.min()).all()


def test_what_is_recorded_is_of_the_model_that_is_shipped_and_the_demo_that_is_simulated(tmp_path):
    told, table = ablation.recorded_table()
    corrected = protocols.corrected(embedder_settings("demo", "corrected"), training_epochs("demo", "localizer"))
    protocol = ablation.labelled_bouts(corrected)
    data = demo_dataset("task1", DemoSettings(), tmp_path, videos=False)
    now = json.loads(json.dumps(ablation.provenance(data, protocol, told["seeds"], told["scale"])))
    assert told == now | {"libraries": told["libraries"]}
    assert told["seeds"] >= 5 and told["scale"] == 1.0 and len(table) == LINES
