"""A model that looks at video: trained by the command, carried as a file, used where there is a video, and refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mbrepro import cli
from mbrepro.data.own import read_recording
from mbrepro.data.own.manifest import read_manifest
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.pixels import PixelEmbedder
from mbrepro.errors import InputError
from mbrepro.method import context
from mbrepro.method.boosting import BoostingSettings
from mbrepro.method.bundle import load_bundle
from mbrepro.study import estimate, looking
from tests.fixtures.rat_files import NAMES, write_filmed_rats


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder and the file that the command wrote, with fewer trees."""
    root = tmp_path_factory.mktemp("looking")
    folder, path = write_filmed_rats(root / "lab", (1, 4, 7, 10)), root / "rats.zip"
    quick = BoostingSettings(windows_s=(0.5,), every=4, iterations=6, leaves=7, smallest=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.fit_layered, "__defaults__", (quick, quick))
        patch.setenv("MBREPRO_DATA", str(root / "data"))
        assert cli.main(["train", str(folder), "--out", str(path), "--embedder", "pixels"]) == 0
    return folder, path


def test_the_file_holds_the_embedder_its_head_and_what_it_is_worth(trained):
    bundle = load_bundle(trained[1])
    looks, told = bundle.looks, bundle.about["video"]
    assert looks.embedder.model == told["embedder"] == "pixels" and told["filmed"] == 3
    assert looks.identity.items() > PixelEmbedder(EmbedderSettings("pixels")).identity.items()
    assert looks.head.width == 256 and len(looks.bias) == 3 and looks.trust >= 0
    assert 0.5 < told["f1_poses"] <= 1 and 0.5 < told["f1_with_video"] <= 1


def test_video_is_looked_at_where_there_is_one_and_missed_in_one_sentence(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    folder, path = trained
    arguments = ["predict", str(folder), "--model", str(path), "--out"]
    assert cli.main([*arguments, str(tmp_path / "both")]) == 2
    assert "rats10: the model looks at video; name one, or give --stage1-only" in capsys.readouterr().err.replace(
        "\n", " "
    )
    notes = {name: json.loads((tmp_path / "both" / f"{name}.pred.json").read_text()) for name in ("rats01", "rats07")}
    assert all((told["stages"], told["embedder"]) == (2, "pixels") for told in notes.values())
    frames = pd.read_csv(tmp_path / "both" / "rats01.frames.csv")
    assert (frames["label"][130:170] == "aggression").mean() > 0.9
    assert cli.main([*arguments, str(tmp_path / "both"), "--stage1-only"]) == 0  # what was made with video is replaced
    assert json.loads((tmp_path / "both" / "rats01.pred.json").read_text())["stages"] == 1
    assert (tmp_path / "both" / "rats10.frames.csv").exists()
    assert (pd.read_csv(tmp_path / "both" / "rats01.frames.csv")["p_action"] != frames["p_action"]).any()


def test_scores_of_both_stages_are_the_trees_where_nothing_is_proposed(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path))
    looks, embedder = load_bundle(trained[1]).looks, PixelEmbedder(EmbedderSettings("pixels"))
    manifest = read_manifest(trained[0])
    recording, _ = read_recording(manifest, manifest.entries[0])
    quiet = np.array([name in ("nonsocial", "base") for name in NAMES])
    scores = np.where(quiet[:, None], [0.01, 0.01, 0.98], [0.45, 0.45, 0.1])
    found = looking.joined(replace(looks, trust=1.0, bias=np.zeros(3)), recording, scores, embedder)
    np.testing.assert_allclose(found[190:], scores[190:])
    assert (found[60:80].argmax(1) == 1).all() and (found[150:170].argmax(1) == 0).all()  # what the pictures show


def test_another_embedder_under_the_name_is_refused_and_too_few_films_are_before_training(trained, tmp_path, capsys):
    looks = load_bundle(trained[1]).looks
    assert isinstance(looking.load(looks), PixelEmbedder)
    with pytest.raises(InputError, match=r"pixels: it embeds otherwise than the model's \(weights\)"):
        looking.load(replace(looks, identity=dict(looks.identity) | {"weights": "x", "device": "cuda"}))
    folder = write_filmed_rats(tmp_path, (1, 4))
    table = folder / "recordings.csv"
    third = (
        table.read_text()
        .splitlines()[2]
        .replace("rats04", "rats05")
        .replace("pair 4", "pair 5")
        .replace("4DLC", "5DLC")
    )
    source = next((folder / "poses").glob("4DLC*"))
    (folder / "poses" / source.name.replace("4DLC", "5DLC")).write_bytes(source.read_bytes())
    table.write_text(f"{table.read_text()}\n{third}\n")
    assert cli.main(["train", str(folder), "--out", str(tmp_path / "m.zip"), "--embedder", "pixels"]) == 2
    assert "--embedder looks at videos of at least 2 animals" in capsys.readouterr().err.replace("\n", " ")


def test_hours_on_a_cpu_are_refused_before_anything_is_learned(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(estimate.cost, "measured_tflops", lambda *_: 1e-9)
    monkeypatch.setattr(PixelEmbedder, "cost", classmethod(lambda *_: (1, 1.0)))
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    monkeypatch.setenv("MBREPRO_MODEL", "pixels")
    study = ["run", "own_stages", "--profile", "own", "--data", str(trained[0])]
    for command in (["train", str(trained[0]), "--out", str(tmp_path / "a.zip"), "--embedder", "pixels"], study):
        assert cli.main(command) == 2
        assert "no CUDA GPU here, and on this CPU stage 2 would take at least" in " ".join(
            capsys.readouterr().err.split()
        )
    assert not (tmp_path / "a.zip").exists() and not (tmp_path / "results").exists()
