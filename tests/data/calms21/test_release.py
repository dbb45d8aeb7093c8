"""What CalMS21 consists of, which videos are chosen, and where the local copy lies."""

import hashlib
import json
import zipfile
from dataclasses import asdict

import numpy as np
import pytest

from mbrepro import cli
from mbrepro.data.calms21 import release
from mbrepro.data.calms21.fetch import fetch
from mbrepro.data.calms21.read import load_calms21
from mbrepro.data.calms21.release import FileInfo, choose_videos, data_folder, fetched, official, parse, released_json
from mbrepro.demo.simulated import DemoSettings
from mbrepro.demo.simulated.release import write_release
from mbrepro.errors import InputError
from tests.fixtures.zipped import write_zips


def test_the_official_manifest_is_whole():
    record = official()
    splits = [info.split for info in record.videos.values()]
    assert (splits.count("train"), splits.count("test")) == (70, 19)
    assert list(record.videos) == [f"mouse{n:03d}_task1_annotator1" for n in range(1, 90)]
    assert splits == ["train"] * 70 + ["test"] * 19
    assert len({info.sha256 for info in record.videos.values()}) == 89
    assert all(len(info.sha256) == 64 and len(info.crc32) == 8 for info in record.videos.values())
    # mp4 hardly deflates: the videos are a little larger than the zip they lie in
    packed = record.files["task1_videos_mp4.zip"].size / sum(info.size for info in record.videos.values())
    assert packed == pytest.approx(0.954, abs=0.001)
    assert not record.simulated and record.doi == "10.22002/D1.1991"
    for said in ("CC-BY-NC-SA", "CC-BY-4.0", "Sun et al. 2021", "data.caltech.edu/records/s0vdx-0k302"):
        assert said in record.notice


def test_a_number_of_videos_is_spread_over_both_splits():
    record = official()
    for count, train in ((2, 1), (3, 2), (10, 8), (40, 31), (88, 69), (89, 70), (200, 70)):
        names = choose_videos(record, [str(count)])
        assert len(names) == min(count, 89)
        assert names[:train] == [f"mouse{n:03d}_task1_annotator1" for n in range(1, train + 1)]
        assert names[train:] == [f"mouse{n:03d}_task1_annotator1" for n in range(71, 71 + len(names) - train)]


def test_videos_are_chosen_by_word_or_name():
    record = official()
    assert choose_videos(record, ["none"]) == []
    assert choose_videos(record, ["all"]) == list(record.videos)
    asked = ["mouse080_task1_annotator1.mp4", "mouse002_task1_annotator1"]
    assert choose_videos(record, asked) == ["mouse002_task1_annotator1", "mouse080_task1_annotator1"]


@pytest.mark.parametrize("wanted", [["1"], ["0"], ["-3"], ["mouse001"], ["all", "none"]])
def test_videos_that_are_not_there_cannot_be_chosen(wanted):
    with pytest.raises(InputError, match="--videos takes"):
        choose_videos(official(), wanted)


def test_every_source_has_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert data_folder() == tmp_path / "calms21"
    assert data_folder("http://a/b") == data_folder("http://a/b/") != data_folder("http://a/c")
    assert data_folder("copy") == data_folder(str(tmp_path / "copy")) == data_folder("./copy/")
    assert not list(tmp_path.iterdir())  # asking makes nothing


def _text(**changes) -> str:
    return json.dumps(asdict(official()) | changes)


def test_a_release_reads_back_as_written(tmp_path):
    release.write_release_file(tmp_path, official())
    assert parse((tmp_path / "release.json").read_text(), "x") == official()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"files": {}}',
        _text(videos={"a": {"split": "train"}}),
        _text(videos={"../a": {"split": "train", "size": 1, "crc32": "0", "sha256": "0"}}),
        _text(videos={"a": {"split": "/etc", "size": 1, "crc32": "0", "sha256": "0"}}),
    ],
)
def test_a_broken_description_is_refused(text):
    with pytest.raises(InputError, match=r"^mirror: "):
        parse(text, "mirror")


def test_a_broken_record_is_refused(tmp_path):
    assert release.fetched(tmp_path) is None
    (tmp_path / "fetched.json").write_text('{"source": 1}')
    with pytest.raises(InputError, match="not a record of mbrepro fetch"):
        release.fetched(tmp_path)


# --- a simulated release ----------------------------------------------------------------------------------------------


SMALL = DemoSettings(1, 1, 1, 10, 10, 1, 1, 10, 10, video_size=(64, 36))


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zipped")
    write_zips(folder, ["groom", "sniff_face"], SMALL)
    return folder


def test_a_simulated_release_has_the_names_and_folders_of_the_real_one(zipped):
    own = parse((zipped / "release.json").read_text(), zipped)
    assert own.simulated and own.files.keys() == official().files.keys()
    assert {path.name for path in zipped.iterdir()} == {*own.files, "release.json"}
    for name, info in own.files.items():
        content = (zipped / name).read_bytes()
        assert info == FileInfo(len(content), hashlib.md5(content).hexdigest())
        with zipfile.ZipFile(zipped / name) as archive:
            members = {i.filename: i for i in archive.infolist()}
        if name == release.VIDEO_ZIP:
            assert set(members) == {own.video_path(video).as_posix() for video in own.videos}
            facts = {v.split("/")[-1]: (i.file_size, f"{i.CRC:08x}") for v, i in members.items()}
            assert facts == {f"{video}.mp4": (i.size, i.crc32) for video, i in own.videos.items()}
        else:
            task = name[:5]
            assert set(members) == {path.as_posix() for path in released_json(task)}


def test_some_task3_sequences_are_part_of_task1_videos(zipped, tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path))
    folder = fetch(source=str(zipped))
    task1 = load_calms21(folder, "task1")
    assert task1.source == "simulated" and all(r.video.is_file() for r in task1.recordings)
    assert [len(part) for part in (task1.train, task1.test)] == [3, 3]
    for behaviour, word in (("groom", "other"), ("sniff_face", "investigation")):
        task3 = load_calms21(folder, f"task3/{behaviour}")
        for split in ("train", "test"):
            alone, part = getattr(task3, split)
            found = [r for r in getattr(task1, split) if np.array_equal(r.keypoints[7:], part.keypoints)]
            assert len(found) == 1 and len(found[0]) == len(part) + 7
            named = np.array(task1.classes)[found[0].labels[7:]]
            np.testing.assert_array_equal(named, np.where(part.labels == task3.classes.index(behaviour), word, "other"))
            assert not any(
                np.isin(r.keypoints[:, 0, 0, 0], alone.keypoints[:, 0, 0, 0]).any() for r in task1.recordings
            )


def test_the_same_release_is_written_again(zipped, tmp_path):
    before = {path.name: path.read_bytes() for path in zipped.iterdir() if path.is_file()}
    write_zips(zipped, ["groom", "sniff_face"], SMALL)
    assert before == {path.name: path.read_bytes() for path in zipped.iterdir() if path.is_file()}


def test_an_unpacked_release_can_be_fetched_from(tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    assert cli.main(["simulate", str(tmp_path / "made"), "--scale", "0.1", "--no-videos", "--behaviours", "groom"]) == 0
    folder = fetch(source=str(tmp_path / "made"))
    assert fetched(folder).simulated and fetched(folder).videos == {"held": [], "of": 0}
    assert len(load_calms21(folder, "task3/groom").recordings) == 2
    with pytest.raises(InputError, match="Task 3 has no dancing; it has approach"):
        write_release(tmp_path, ["task3"], behaviours=["dancing"])
