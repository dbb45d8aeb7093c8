"""A model that looks at video: trained by the command, carried as a file, used where there is a video, and refused."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mbrepro import cli
from mbrepro.data.own import read_recording
from mbrepro.data.own.manifest import read_manifest
from mbrepro.data.recordings import Recording
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.pixels import PixelEmbedder
from mbrepro.errors import InputError
from mbrepro.method import context, gate
from mbrepro.method.boosting import BoostingSettings
from mbrepro.method.bundle import CARD, load_bundle
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
    assert all(0.5 < told[name] <= 1 for name in ("f1_poses", "f1_with_video", "f1_all_clips"))
    assert looks.budget == told["budget"] and looks.gate.predict(np.zeros((1, 3 + gate.BESIDE))).shape == (1,)
    with zipfile.ZipFile(trained[1]) as file:
        assert f"at {told['budget']:.0%} of the seconds of what poses propose" in file.read(CARD).decode()


def predicted(trained, out, *options) -> tuple[pd.DataFrame, dict]:
    """Frames and notes of a recording with video."""
    arguments = ["predict", str(trained[0]), "--model", str(trained[1]), "--out", str(out), *options]
    assert cli.main(arguments) == (0 if "--stage1-only" in options else 2)  # rats10 has no video
    return pd.read_csv(out / "rats01.frames.csv"), json.loads((out / "rats01.pred.json").read_text())


def test_the_embedder_is_shown_the_share_of_the_clips_that_is_asked_for(trained, tmp_path, monkeypatch):
    """None of them: poses alone. All of them: every clip. Some: no other clip is embedded."""
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    embedded, embed, looked_at, found = [], PixelEmbedder.embed, {}, {}
    monkeypatch.setattr(PixelEmbedder, "embed", lambda *given: embedded.append(len(given[1])) or embed(*given))
    for share in ("0", "0.4", "1"):
        found[share], told = predicted(trained, tmp_path / "out", "--share", share)  # what another share gave goes
        notes = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.pred.json")]
        looked_at[share] = sum(one["clips_looked_at"] for one in notes), sum(one["clips_proposed"] for one in notes)
        assert told["share"] == float(share) and sum(embedded) == looked_at[share][0]  # those of before are kept
    assert looked_at["0"][0] == 0 < looked_at["0.4"][0] < looked_at["1"][0] == looked_at["1"][1]
    alone, _ = predicted(trained, tmp_path / "poses", "--stage1-only")
    pd.testing.assert_frame_equal(found["0"], alone)
    assert predicted(trained, tmp_path / "own")[1]["share"] == load_bundle(trained[1]).looks.budget


def test_what_is_not_shown_stays_as_poses_have_it(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path))
    looks, embedder = load_bundle(trained[1]).looks, PixelEmbedder(EmbedderSettings("pixels"))
    recording, scores = unsure(trained[0])
    looks = replace(looks, trust=1.0, bias=np.zeros(3))
    everything, all_of_it = looking.joined(looks, recording, scores, embedder, 1.0)
    some, told = looking.joined(looks, recording, scores, embedder, 0.5)
    assert 0 < told["clips_looked_at"] < all_of_it["clips_looked_at"] == told["clips_proposed"]
    differs, changed = (some != scores).any(1), (everything != scores).any(1)
    assert 0 < differs.sum() < changed.sum() and not (differs & ~changed).any()
    nothing, _ = looking.joined(looks, recording, scores, embedder, 0.0)
    np.testing.assert_array_equal(nothing, scores)


def test_a_share_that_is_none_or_that_nothing_uses_is_refused(trained, tmp_path, capsys):
    arguments = ["predict", str(trained[0]), "--out", str(tmp_path), "--share"]
    own = ["--model", str(trained[1])]
    for options, sentence in (
        (["1.5", *own], "--share must lie between 0 and 1, not 1.5"),
        (["nan", *own], "--share must lie between 0 and 1, not nan"),
        (["0.5", *own, "--stage1-only"], "looks at no video here, so --share is not used"),
        (["0.5", "--model", "official", "--stage1-only"], "--share is for --model FILE"),
    ):
        assert cli.main([*arguments, *options]) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())


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


def unsure(folder) -> tuple[Recording, np.ndarray]:
    """The first recording, and scores of trees that cannot tell its two behaviours apart."""
    manifest = read_manifest(folder)
    quiet = np.array([name in ("nonsocial", "base") for name in NAMES])
    scores = np.where(quiet[:, None], [0.01, 0.01, 0.98], [0.45, 0.45, 0.1])
    return read_recording(manifest, manifest.entries[0])[0], scores


def test_scores_of_both_stages_are_the_trees_where_nothing_is_proposed(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path))
    looks, embedder = load_bundle(trained[1]).looks, PixelEmbedder(EmbedderSettings("pixels"))
    recording, scores = unsure(trained[0])
    found, _ = looking.joined(replace(looks, trust=1.0, bias=np.zeros(3)), recording, scores, embedder, 1.0)
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
