"""The commands of `book/own_recording.md`, run as they stand there on files as a laboratory has them."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mbrepro import cli
from mbrepro.data.annotations import read_bouts
from mbrepro.data.annotations.bout import NOT_SCORABLE
from mbrepro.data.video import decode_frames, probe
from mbrepro.method import context
from mbrepro.method.boosting import BoostingSettings
from mbrepro.method.bundle import load_bundle
from mbrepro.report.labelled_video import ROW
from mbrepro.study import learning_curve
from tests.fixtures.lab_files import ANIMALS, GONE, PARTS, RATE, write_lab

PAGE = Path(__file__).parents[2] / "book" / "own_recording.md"
COMMAND = ".venv/bin/mbrepro "


def commands() -> list[list[str]]:
    """The arguments of each command in the page's first block."""
    block = PAGE.read_text(encoding="utf-8").split("```")[1]
    return [shlex.split(line.removeprefix(COMMAND), comments=True) for line in block.strip().splitlines()]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder in which every command of the page has been run, with fewer trees."""
    folder = tmp_path_factory.mktemp("lab")
    quick = BoostingSettings(windows_s=(0.5,), every=6, iterations=6, leaves=7, smallest=5, learning_rate=0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context.fit_layered, "__defaults__", (quick, quick))
        patch.setattr(learning_curve, "TREES", quick)
        patch.setenv("MBREPRO_ROOT", str(folder / "root"))
        patch.setenv("MBREPRO_DATA", str(folder / "fetched"))
        write_lab(folder)
        patch.chdir(folder)
        for arguments in commands():
            assert cli.main(arguments) == 0, arguments
    return folder


def test_the_page_has_ten_commands_at_most():
    assert 5 <= len(commands()) <= 10 and {line[0] for line in commands()} >= {"init", "check", "train", "predict"}


def test_the_draft_is_of_the_folders_files(done):
    table = pd.read_csv(done / "data" / "recordings.csv", comment="#")
    assert len(table) == 6 and (table["fps"] == RATE).all() and table[["poses", "labels"]].notna().all(axis=None)
    described = yaml.safe_load((done / "data" / "dataset.yml").read_text())
    assert described["individuals"] == list(ANIMALS[:2]) and described["parts"] == list(PARTS)
    assert described["behaviours"] == {"sniffing": "sniffing", "rough contact": "rough_contact"}
    assert pd.read_csv(done / "new" / "recordings.csv", comment="#")["fps"].isna().all()


def test_the_model_is_of_their_points_and_better_than_chance_on_animals_held_out(done):
    bundle = load_bundle(done / "mine.zip")
    assert bundle.skeleton.parts == tuple(PARTS) and (bundle.skeleton.front, bundle.skeleton.rear) == (
        "snout",
        "tailbase",
    )
    assert bundle.classes == ("sniffing", "rough_contact", "other") and bundle.model.fps == RATE
    assert bundle.about["figures"]["kappa"]["value"] > 0.1  # 0 by chance


def test_new_recordings_are_labelled_at_their_own_rate_and_not_where_an_animal_is_absent(done):
    frames = {name: pd.read_csv(done / "predictions" / f"{name}.frames.csv") for name in ("n_1", "n_2")}
    gone = frames["n_1"]["label"] == NOT_SCORABLE
    assert (
        np.flatnonzero(gone).tolist() == list(range(GONE.stop)) and not (frames["n_2"]["label"] == NOT_SCORABLE).any()
    )
    assert frames["n_2"]["time_s"][25] == pytest.approx(1) and len(frames["n_2"]) == 12 * RATE
    bouts = read_bouts(done / "predictions" / "n_2.boris.csv", RATE)
    told = frames["n_2"]["label"].to_numpy()
    assert all((told[bout.start : bout.stop] == bout.behaviour).all() for bout in bouts)
    assert sum(bout.stop - bout.start for bout in bouts) == (told != "other").sum()


def test_new_videos_come_back_with_what_was_predicted_under_them(done):
    for name in ("n_1", "n_2"):
        video, labelled = (
            probe(done / "new" / f"{name.replace('_', '')}.mp4"),
            done / "predictions" / f"{name}.labelled.mp4",
        )
        assert (probe(labelled).frames, probe(labelled).fps) == (video.frames, RATE) and video.frames == 12 * RATE
        below = decode_frames(labelled, [10, 200])[:, video.height :]
        assert below.shape[1] == 4 * ROW and not (below[0] == below[1]).all()


def test_the_evaluation_is_of_both_new_recordings_without_frames_that_are_not_scorable(done):
    found = json.loads((done / "found" / "evaluation.json").read_text())
    assert found["compared"] == ["n_1", "n_2"] and found["not_scorable"] == {"true": 0, "predicted": GONE.stop}
    assert found["metrics"]["kappa"]["value"] > 0  # by chance 0; half a minute is too little for more


def test_the_curve_ends_with_all_animals_that_are_not_held_out(done):
    assert pd.read_csv(done / "curve" / "curve.csv")["animals"].max() == 4  # a quarter of six, rounded, is held out


def test_every_two_of_three_animals_are_a_track_in_both_orders(done):
    tracks = {
        re.fullmatch(r"n2\.(\w+)-(\w+)\.frames\.csv", path.name) for path in (done / "pairs").glob("*.frames.csv")
    }
    assert {match.groups() for match in tracks} == {(a, b) for a in ANIMALS for b in ANIMALS if a != b}
