"""`mbrepro evaluate` from the terminal: files in, a page and its tables out."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from mbrepro import cli
from mbrepro.data.annotations.boris import write_boris
from mbrepro.data.annotations.bout import Bout
from mbrepro.data.annotations.caltech import write_bento
from tests.fixtures.rat_files import write_manifest, write_rats

CHANNELS = ("--predicted-channel", "S1")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two recordings by BORIS and by Bento, whose attack is called fight there; a third has no partner."""
    monkeypatch.chdir(tmp_path)
    for name in ("boris", "bento"):
        (tmp_path / name).mkdir()
    for k in range(2):
        bouts = [
            Bout("attack", 10, 30, "resident"),
            Bout("groom", 50, 60 + k, "resident"),
            Bout("groom", 1, 9, "intruder"),
        ]
        write_boris(tmp_path / "boris" / f"m{k}.csv", bouts, np.arange(101) / 25)
        write_bento(tmp_path / "bento" / f"m{k}.annot", [Bout("fight", 12, 30), Bout("rest", 70, 80)], 100, 25)
    write_bento(tmp_path / "bento" / "m2.annot", [], 100, 25)
    return tmp_path


def test_two_folders_become_a_page_figures_and_tables(folders, capsys):
    command = "evaluate boris bento --out found/here --predicted-channel resident --rename fight=attack --ignore rest"
    assert cli.main([*command.split(), "--fill", "0", "0.5", "--drop", "0"]) == 0
    out = folders / "found" / "here"
    written = ["evaluation.md", "evaluation.json", "bouts.csv", "tidied.csv"]
    assert capsys.readouterr().out.split() == [f"found/here/{name}" for name in written]
    figures = json.loads((out / "evaluation.json").read_text())
    assert figures["compared"] == ["m0", "m1"] and figures["not_compared"] == ["bento/m2.annot"]
    assert figures["classes"] == ["attack", "groom", "other"] and figures["frames"] == 180
    assert figures["metrics"]["f1_attack"]["value"] == pytest.approx(36 / 38)
    assert figures["metrics"]["bout_f1_50_groom"] == {"value": 0, "low": None, "high": None, "undefined": 0}
    assert figures["criteria"] == {"tiou": 0.5, "edges_s": 0.5}
    bouts = pd.read_csv(out / "bouts.csv").query("criterion == 'edges'")
    assert bouts[["recording", "match"]].to_numpy().tolist() == [
        ["m0", "matched"],
        ["m0", "false"],
        ["m1", "matched"],
        ["m1", "false"],
    ]
    assert bouts["onset_s"].tolist()[::2] == [pytest.approx(-0.08)] * 2
    assert bouts["predicted_start_frame"].tolist() == [10, 50, 10, 50]
    assert len(pd.read_csv(out / "tidied.csv")) == 2
    assert (out / "evaluation.md").read_text().startswith("# boris compared with bento\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--out found", "name the channel to read, one of intruder, resident"),
        ("--out bento/m2.annot/x --predicted-channel resident", "bento/m2.annot is a file; name a folder"),
        ("--out found --predicted-channel resident --fps 25", "so --fps is not used; leave it out"),
        ("--out found --predicted-channel resident --ignore bite", "no file has the behaviour 'bite'"),
        (
            "--out found --predicted-channel resident --channel nobody",
            "bento: no label file has the channel 'nobody'; they have ['Ch1']",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_is_written(folders, capsys, options, words):
    assert cli.main(["evaluate", "boris", "bento", *options.split()]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not (folders / "found").exists()


def test_point_events_are_compared_with_the_length_that_they_are_given(folders, capsys):
    for side, at in (("one", 1.0), ("other", 1.2)):
        (folders / f"{side}.csv").write_text(f"Time,Total length,FPS,Behavior,Status\n{at},4,25,bite,POINT\n")
    command = ["evaluate", "one.csv", "other.csv", "--out", "found"]
    for options, words in {
        "": "bite at 1.2 s is a point event",
        "--point-seconds groom=1": "'groom' has no point events",
        "--point-seconds bite=x": "--point-seconds must be a positive number, not nan",
        "--point-seconds 1": "--point-seconds takes NAME=SECONDS",
    }.items():
        assert cli.main([*command, *options.split()]) == 2
        assert words in capsys.readouterr().err.replace("at 1.0 s", "at 1.2 s") and not (folders / "found").exists()
    assert cli.main([*command, "--point-seconds", "bite=0.4"]) == 0
    figures = json.loads((folders / "found" / "evaluation.json").read_text())
    assert figures["confusion"] == [[5, 5], [5, 85]]  # ten frames each, five of them shared


@pytest.mark.parametrize(
    "command", ["evaluate boris bento --predicted-channel resident", "predict --poses no.csv --stage1-only"]
)
def test_a_folder_that_cannot_be_written_into_is_found_before_anything_else(folders, capsys, monkeypatch, command):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert cli.main([*command.split(), "--out", "found"]) == 2
    assert "found: nothing can be written into" in capsys.readouterr().err


def test_a_data_set_is_compared_as_its_manifest_says(tmp_path, capsys):
    """Labels of eight rats' frames written back as csv, a class wrong in one stretch."""
    meaning = "{aggression: aggression, social: social, nonsocial: other, of no file: other}"
    folder = write_manifest(write_rats(tmp_path, (1, 4, 7)) / "rat_dyads", behaviours=meaning)
    (tmp_path / "said").mkdir()
    for n in (1, 4, 7):
        labels = ["other"] * 40 + ["social"] * 100 + ["aggression"] * 40 + ["other"] * 120
        pd.DataFrame({"label": labels}).to_csv(tmp_path / "said" / f"rats{n:02}.frames.csv", index=False)
    command = ["evaluate", str(tmp_path / "said"), str(folder), "--out", str(tmp_path / "out")]
    assert cli.main([*command, "--fps", "30"]) == 0
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["classes"] == ["aggression", "social", "other"]
    assert figures["compared"] == ["rats01", "rats04", "rats07"] and figures["not_scorable"]["true"] == 3 * 90  # base
    assert figures["confusion"] == [[120, 60, 0], [0, 240, 0], [0, 0, 210]]


def test_labels_count_from_a_manifests_start_to_its_stop(tmp_path):
    """Of 304 frames those from 1.5 to 7 s, [45, 210), in which a person has 75 of social, 60 of aggression."""
    folder = write_manifest(write_rats(tmp_path, (1, 4)) / "rat_dyads")
    table = (folder / "recordings.csv").read_text().replace("fps;start", "fps;start;stop")
    (folder / "recordings.csv").write_text(table.replace(";30;", ";30;1.5;7"))
    out = tmp_path / "out"
    assert cli.main(["evaluate", str(folder), str(folder), "--out", str(out), "--fps", "30", *CHANNELS]) == 0
    figures = json.loads((out / "evaluation.json").read_text())
    assert figures["frames"] == 2 * 165 and figures["not_scorable"] == {"true": 2 * 139, "predicted": 2 * 139}
    assert figures["confusion"] == [[120, 0, 0], [0, 150, 0], [0, 0, 60]]
