"""From files to a model and back: trained on a folder, measured on animals held out, and used on new recordings."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mbrepro import cli, paths
from mbrepro.data.annotations import read_bouts
from mbrepro.data.own import read_recording
from mbrepro.data.own.manifest import read_manifest
from mbrepro.method import context
from mbrepro.method.boosting import BoostingSettings
from mbrepro.method.bundle import load_bundle, save_bundle
from mbrepro.method.decoding import smooth
from mbrepro.metrics.frames import evaluate
from mbrepro.study import carried, own
from tests.fixtures.rat_files import FRAMES, write_manifest, write_rats

RIG = ("--fps", "30", "--frame-size", "1920", "1080")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_manifest(write_rats(tmp_path_factory.mktemp("rats"), (1, 4, 7, 10)) / "rat_dyads")


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    """Trained by the command, with fewer trees."""
    quick = BoostingSettings(windows_s=(0.5,), every=4, iterations=6, leaves=7, smallest=5)
    path = tmp_path_factory.mktemp("model") / "rats.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.fit_layered, "__defaults__", (quick, quick))
        patch.setenv("MBREPRO_DATA", str(path.parent / "data"))
        assert cli.main(["train", str(folder), "--out", str(path)]) == 0
    return path


def poses(folder, number):
    return next(path for path in (folder / "poses").iterdir() if path.name.startswith(f"{number}DLC"))


def test_card_tells_what_was_seen_and_scores_of_animals_held_out(model, folder):
    bundle = load_bundle(model)
    assert bundle.classes == ("aggression", "social", "other") and bundle.model.fps == 30
    about = bundle.about
    assert about["recordings"] == ["rats01", "rats04", "rats07", "rats10"] and about["animals"] == 4
    assert about["labelled_minutes"] == pytest.approx(4 * 210 / 30 / 60)
    assert about["bouts"] == {"aggression": 4, "social": 4}
    assert about["figures"]["f1"]["value"] > 0.9 and "low" not in about["figures"]["f1"]  # 4 recordings: no interval
    with zipfile.ZipFile(model) as file:
        card = file.read("card.md").decode()
    assert "| f1_aggression |" in card and "4 recordings of 4 animals" in card and "in 4 folds" in card
    assert "in 3 folds" in own.card(replace(bundle, about=about | {"animals": 3}))


def test_figures_are_those_of_the_held_out_labels(folder, monkeypatch):
    """Of known scores, given where the animal is held out, they are what the frame metrics give of all recordings."""

    def fold_scores(others, held, alike, layers=()):
        assert alike and len(others) + len(held) == len(recordings)
        assert not {r.animal for r in others} & {r.animal for r in held}
        return {r.name: scores[r.name] for r in held}

    monkeypatch.setattr(own, "fold_scores", fold_scores)
    manifest = read_manifest(folder)
    recordings = [read_recording(manifest, entry)[0] for entry in manifest.entries]
    rng = np.random.default_rng(0)
    scores = {r.name: np.repeat(rng.dirichlet(np.ones(3), 15), 20, axis=0) for r in recordings}
    found = own.figures(own.out_of_fold(recordings, True), recordings[0].classes)
    kept = [own.named(r, scores[r.name]).labelled() for r in recordings]
    true, labels, told = ([getattr(p, field) for p in kept] for field in ("true", "labels", "scores"))
    expected = evaluate(true, labels, told, recordings[0].classes)
    for name in ("f1", "precision", "f1_social", "map", "ap_aggression"):
        assert found[name]["value"] == pytest.approx(expected[name], abs=1e-12), name


def test_a_file_tells_over_how_long_its_scores_are_means(model, folder, tmp_path):
    bundle = load_bundle(model)
    assert bundle.about["smoothed_s"] == own.SMOOTHED_S
    other = tmp_path / "other.zip"
    save_bundle(other, replace(bundle, about=bundle.about | {"smoothed_s": 3.0}), "")
    manifest = read_manifest(folder)
    recording, _ = read_recording(manifest, manifest.entries[0])
    found, _ = carried.own_model(other).score(recording)
    np.testing.assert_array_equal(found, smooth(bundle.model.scores(recording), 90))


def test_predictions_of_a_folder_and_of_files_are_the_same_and_those_made_are_kept(model, folder, tmp_path, capsys):
    assert cli.main(["predict", str(folder), "--model", str(model), "--out", str(tmp_path / "a")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4 * 5
    files = [str(poses(folder, number)) for number in (1, 4)]
    arguments = ["predict", *files, *RIG, "--model", str(model), "--out", str(tmp_path / "b")]
    assert cli.main(arguments) == 0
    capsys.readouterr()
    for number, file in zip((1, 4), files, strict=True):
        one = (tmp_path / "a" / f"rats{number:02}.frames.csv").read_bytes()
        stem = file.rsplit("/", 1)[1].removesuffix(".csv")
        assert one == (tmp_path / "b" / f"{stem}.frames.csv").read_bytes()
    frames = pd.read_csv(tmp_path / "a" / "rats07.frames.csv")
    segments = pd.read_csv(tmp_path / "a" / "rats07.pred.csv")
    assert len(frames) == FRAMES and (frames["label"][130:170] == "aggression").mean() > 0.9
    assert max(bout.stop for bout in read_bouts(tmp_path / "a" / "rats07.annot", 30.0)) == FRAMES
    spans = [(b.behaviour, b.start, b.stop) for b in read_bouts(tmp_path / "a" / "rats07.boris.csv", 30.0)]
    told = [tuple(row) for row in segments[["label", "start_frame", "stop_frame"]].itertuples(index=False)]
    assert sorted(spans) == sorted((n.replace(" ", "_"), a, b) for n, a, b in told if n != "other")
    assert cli.main(arguments) == 0 and capsys.readouterr().out == ""
    made = {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    for name in made:  # one that is gone, and notes that are none, are made again with all of its recording's
        (tmp_path / "b" / name).unlink()
        assert cli.main(arguments) == 0 and len(capsys.readouterr().out.splitlines()) == 5
    next((tmp_path / "b").glob("*.pred.json")).write_text("[")
    assert cli.main(arguments) == 0 and len(capsys.readouterr().out.splitlines()) == 5
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()} == made
    notes = json.loads((tmp_path / "a" / "rats07.pred.json").read_text())
    assert notes["not_scorable_s"] == 0 and len(notes["model"]) == 64


def test_a_carried_model_gives_the_same_bytes_in_other_processes_and_is_refused_there_once_changed(
    model, folder, tmp_path
):
    """With other threads and hashes, and by each interpreter that MBREPRO_PYTHONS names, of other environments."""
    (tmp_path / "changed.zip").write_bytes(model.read_bytes()[:-1] + b"!")
    pythons = [sys.executable, *filter(None, os.environ.get("MBREPRO_PYTHONS", "").split(os.pathsep))]
    told = []
    for number, python in enumerate(pythons):
        out, threads = tmp_path / str(number), {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": str(number + 1)}
        environment = os.environ | threads | {"PYTHONPATH": str(paths.SOURCE), "MBREPRO_DATA": str(tmp_path / "data")}
        command = [python, "-m", "mbrepro", "predict", str(poses(folder, 1)), *RIG, "--out", str(out), "--model"]
        subprocess.run([*command, str(model)], env=environment, cwd=tmp_path, check=True)
        told.append(next(out.glob("*.frames.csv")).read_bytes())
        refused = subprocess.run([*command, str(tmp_path / "changed.zip")], env=environment, capture_output=True)
        assert refused.returncode == 2 and b"changed.zip: it was changed after it was written" in refused.stderr
    assert (
        cli.main(["predict", str(poses(folder, 1)), *RIG, "--model", str(model), "--out", str(tmp_path / "here")]) == 0
    )
    assert {next((tmp_path / "here").glob("*.frames.csv")).read_bytes()} == set(told)


def test_a_pair_of_three_animals_is_a_track_in_both_orders(model, folder, tmp_path):
    rows = [line.split(",") for line in poses(folder, 1).read_text().splitlines()]
    names = {0: "net", 1: "individual3"}
    third = [[names.get(k, cell) for cell in row[1:16]] for k, row in enumerate(rows)]
    file = tmp_path / "three.csv"
    file.write_text("\n".join(",".join([*row, *more]) for row, more in zip(rows, third, strict=True)) + "\n")
    out = tmp_path / "out"
    assert cli.main(["predict", str(file), *RIG, "--model", str(model), "--pairs", "all", "--out", str(out)]) == 0
    names = {path.name.removesuffix(".frames.csv") for path in out.glob("*.frames.csv")}
    animals = [f"individual{k}" for k in (1, 2, 3)]
    assert names == {f"three.{a}-{b}" for a in animals for b in animals if a != b}


def test_points_that_are_left_out_need_no_other_name(folder):
    manifest = read_manifest(folder)
    reading = manifest.description.reading | {"parts": {"tail-e": "end", "top": "top"}}
    few = own.with_parts(replace(manifest, description=replace(manifest.description, reading=reading)), ["top", "tail"])
    assert read_recording(few, few.entries[0])[0].parts == ("top", "tail")


def test_a_recording_without_a_models_front_is_refused_with_what_to_do(model, folder, tmp_path, capsys):
    file = tmp_path / "few.csv"
    file.write_text(poses(folder, 1).read_text().replace("top", "ear"))
    out = tmp_path / "out"
    assert cli.main(["predict", str(file), *RIG, "--model", str(model), "--out", str(out)]) == 2
    words = "or train a model without them, after naming others than top as front or rear in dataset.yml: mbrepro train"
    assert f"{words} FOLDER --out MODEL --parts body tail tail-m tail-e\n" in capsys.readouterr().err
    assert cli.main(["predict", str(file), *RIG, "--model", str(model), "--out", str(out), "--stage1-only"]) == 2
    assert f"--model {model} has no use for --stage1-only; leave it out" in capsys.readouterr().err and not out.exists()
    shutil.copytree(folder, tmp_path / "lab")
    lacking = next((tmp_path / "lab" / "poses").glob("7DLC*"))
    lacking.write_text(lacking.read_text().replace("tail-e", "ear"))
    assert cli.main(["predict", str(tmp_path / "lab"), "--model", str(model), "--out", str(out), "--video-out"]) == 2
    said = capsys.readouterr().err
    assert "4 of 4 recordings could not be labelled" in said and not list(out.glob("*"))
    assert (
        said.count("--video-out draws on the video, and none is named") == 3 and "--parts top body tail tail-m" in said
    )


def test_what_cannot_be_labelled_is_said_and_the_others_are_done(model, folder, tmp_path, capsys):
    few = tmp_path / "few.csv"
    few.write_text(poses(folder, 1).read_text().replace("tail-e", "ear"))
    rows = [line.split(",") for line in poses(folder, 4).read_text().splitlines()]
    rows[4:] = [row[:16] + [""] * 15 if 30 <= k < 220 else row for k, row in enumerate(rows[4:])]
    gone = tmp_path / "gone.csv"
    gone.write_text("\n".join(map(",".join, rows)) + "\n")
    out = tmp_path / "out"
    assert cli.main(["predict", str(few), str(gone), *RIG, "--model", str(model), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "1 of 2 recordings could not be labelled" in said and "missing parts: tail-e" in said
    assert "mbrepro train FOLDER --out MODEL --parts top body tail tail-m" in said
    frames = pd.read_csv(out / "gone.frames.csv")
    assert (frames["label"] == "not scorable").tolist() == [30 <= k < 220 for k in range(FRAMES)]
    assert frames["score_social"].isna().tolist() == [30 <= k < 220 for k in range(FRAMES)]
    assert not list(out.glob("few*"))
    same = tmp_path / "same"
    same.mkdir()
    shutil.copy(gone, same / "gone.csv")
    arguments = ["predict", str(gone), str(same / "gone.csv"), *RIG, "--model", str(model), "--out", str(out)]
    assert cli.main(arguments) == 2 and "two recordings are called gone" in capsys.readouterr().err


def test_what_cannot_be_trained_is_said_before_it_begins(folder, tmp_path, capsys):
    table = folder / "recordings.csv"
    text = table.read_text()
    try:
        for wrong, sentence in (
            ("\n".join(text.splitlines()[:4]), "labelled recordings are of 2 animals, and at least 3"),
            (text.replace("pair 4", "pair 1").replace("pair 7", "pair 1"), "labelled recordings are of 2 animals"),
        ):
            table.write_text(wrong)
            assert cli.main(["train", str(folder), "--out", str(tmp_path / "m.zip")]) == 2
            assert sentence in capsys.readouterr().err
    finally:
        table.write_text(text)
    assert cli.main(["train", str(folder), "--out", str(tmp_path / "m.zip"), "--parts", "top", "beak"]) == 2
    assert "--parts: 'beak' is none of the parts" in capsys.readouterr().err
    assert cli.main(["train", str(folder), "--out", str(tmp_path)]) == 2
    assert "this is a folder; name the file to write" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert cli.main(["train", str(folder), "--out", str(tmp_path / "file" / "m.zip")]) == 2
    assert "file is a file; name a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
