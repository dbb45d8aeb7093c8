"""The library movement, a reader of what nothing here reads and a second one of what is read here.

It is no part of the test environment, being half a gigabyte: `make movement` adds it.
"""

import importlib.util
import sys
from datetime import UTC

import h5py
import numpy as np
import pytest

from mbrepro import paths
from mbrepro.data.recordings import Skeleton
from mbrepro.data.tracking import read_tracking, reader_of
from mbrepro.data.tracking.movement import NC, NWB, SLP, kind_of
from mbrepro.errors import InputError
from tests.fixtures.pose_files import columns_of, values_of, write_csv, write_fixed, write_sleap

RIG = {"fps": 30, "frame_size": (1000, 800)}
NODES, ANIMALS, FRAMES = ("nose", "ear", "tail"), ("left", "right"), 5
POINTS = np.random.default_rng(0).uniform(10, 500, (FRAMES, 2, 3, 2)).round(2)  # (frame, animal, node, xy)
POINTS[1:3, 1, 2] = np.nan
SURE = np.where(np.isnan(POINTS[..., 0]), np.nan, np.linspace(0.1, 0.9, 30).reshape(5, 2, 3))


@pytest.fixture(scope="module")
def movement(tmp_path_factory):
    """The library, whose log goes into a folder of its own."""
    if importlib.util.find_spec("movement") is None:
        pytest.skip("movement is not installed: run make movement")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        import movement.io.load_poses
        import movement.io.save_poses
    return movement


def dataset(movement):
    """`POINTS` as movement holds them: time, space, keypoints, individuals."""
    arrays = POINTS.transpose(0, 3, 2, 1), SURE.transpose(0, 2, 1)
    return movement.io.load_poses.from_numpy(*arrays, list(ANIMALS), list(NODES), fps=30, source_software="made")


def write_netcdf(path, movement):
    dataset(movement).to_netcdf(path)
    return path


def write_nwb(folder, movement):
    """A folder with a file for each animal."""
    import pynwb

    folder.mkdir()
    for file in movement.io.save_poses.to_nwb_file(dataset(movement)):
        with pynwb.NWBHDF5IO(folder / f"m1_{file.identifier}.nwb", "w") as io:
            io.write(file)
    return folder


def write_nwb_of_both(path):
    """One file with a container for each animal, of a module with another name; no confidence."""
    from datetime import datetime

    import ndx_pose
    import pynwb

    file = pynwb.NWBFile("session", "cage 1", datetime(2026, 1, 1, tzinfo=UTC))
    module = file.create_processing_module("tracking", "poses")
    for animal, points in zip(ANIMALS, POINTS.transpose(1, 2, 0, 3), strict=True):
        series = [
            ndx_pose.PoseEstimationSeries(
                name=node, data=data, unit="pixels", reference_frame="top left", rate=30.0, starting_time=0.0,
                confidence=np.full(FRAMES, np.nan),
            )
            for node, data in zip(NODES, points, strict=True)
        ]  # fmt: skip
        module.add(ndx_pose.PoseEstimation(name=animal, pose_estimation_series=series, source_software="made"))
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def write_slp(path, tracks=ANIMALS, videos=1, placed=()):
    """SLEAP's own file; tracks: of each instance; placed: frames in which a person placed the first animal's points."""
    import sleap_io as sio

    skeleton, known = sio.Skeleton(list(NODES)), {name: sio.Track(name) for name in tracks if name}
    films = [sio.Video(f"{k}.mp4") for k in range(videos)]
    frames = []
    for frame, animals in enumerate(POINTS):
        how = {"skeleton": skeleton}
        instances = [
            sio.PredictedInstance.from_numpy(points, point_scores=scores, score=0.9, track=known.get(name), **how)
            for points, scores, name in zip(animals, np.nan_to_num(SURE[frame]), tracks, strict=True)
        ]
        if frame in placed:
            instances.append(sio.Instance.from_numpy(animals[0] + 1, track=known.get(tracks[0]), **how))
        frames.append(sio.LabeledFrame(video=films[-1], frame_idx=frame, instances=instances))
    sio.Labels(frames, videos=films, tracks=list(known.values()), skeletons=[skeleton]).save(str(path))
    return path


def read(path, **how):
    return read_tracking(path, skeleton=Skeleton(NODES, "nose", "tail"), **RIG, **how)


def check_points(recording, order=(0, 1), atol=0.0):
    seen = np.isfinite(POINTS[:, order]).all(-1)
    np.testing.assert_array_equal(recording.seen, seen)
    np.testing.assert_allclose(recording.keypoints[seen], POINTS[:, order][seen], rtol=1e-6, atol=atol)
    assert recording.scores is None or np.allclose(recording.scores[seen], SURE[:, order][seen])


def test_what_movement_alone_reads_is_read_through_it(movement, tmp_path):
    netcdf, folder = write_netcdf(tmp_path / "a.nc", movement), write_nwb(tmp_path / "m1", movement)
    slp, both = write_slp(tmp_path / "a.slp"), write_nwb_of_both(tmp_path / "a.nwb")
    assert [kind_of(path) for path in (netcdf, folder / "m1_left.nwb", slp, both)] == [NC, NWB, SLP, NWB]
    for path in (netcdf, folder, slp):
        check_points(read(path))
        check_points(read(path, individuals=("right", "left")), order=(1, 0))
        assert read(path).scores is not None
    check_points(read(both))
    assert read(both).scores is None and reader_of(both)(both, None).individuals == ANIMALS


def test_points_that_a_person_placed_are_sure(movement, tmp_path):
    recording = read(write_slp(tmp_path / "a.slp", placed=(2,)), min_score=0.05)
    np.testing.assert_allclose(recording.keypoints[2, 0], POINTS[2, 0] + 1, rtol=1e-6)
    assert recording.scores[2, 0].tolist() == [1, 1, 1]
    np.testing.assert_allclose(recording.scores[3], SURE[3], rtol=1e-6)


def test_instances_that_cannot_be_told_apart_and_other_videos_are_refused(movement, tmp_path):
    """movement itself takes the last instance, and the first video."""
    for name, how in {"a": {"tracks": (None, None)}, "b": {"tracks": ("left", None)}}.items():
        with pytest.raises(InputError, match=rf"{name}\.slp: it has instances without a track of their own; track"):
            read(write_slp(tmp_path / f"{name}.slp", **how))
    with pytest.raises(InputError, match=r"c\.slp: it is of 2 videos and 1 skeletons; export one's as analysis h5"):
        read(write_slp(tmp_path / "c.slp", videos=2))


def test_frames_that_are_not_the_videos_and_points_in_space_are_refused(movement, tmp_path):
    whole = dataset(movement)
    late, gap = whole.isel(time=slice(2, None)), whole.isel(time=[0, 1, 3, 4])
    for name, part in {"late": late, "gap": gap}.items():
        part.to_netcdf(tmp_path / f"{name}.nc")
        with pytest.raises(InputError, match=rf"{name}\.nc: its frames do not run evenly from the video's first"):
            read(tmp_path / f"{name}.nc")
    space = np.random.default_rng(0).random((5, 3, 3, 2))
    movement.io.load_poses.from_numpy(space, fps=30, source_software="made").to_netcdf(tmp_path / "space.nc")
    with pytest.raises(InputError, match=r"space\.nc: its points have x, y, z; export those of the one camera above"):
        read(tmp_path / "space.nc")


def test_damaged_files_are_refused_in_one_sentence(movement, tmp_path):
    """What each rests on taken out of it."""
    made = write_netcdf(tmp_path / "a.nc", movement), write_nwb(tmp_path / "m1", movement) / "m1_left.nwb"
    for path, group in [*zip(made, ("time", "processing/behavior/PoseEstimation"), strict=True),
                        (write_slp(tmp_path / "a.slp"), "pred_points")]:  # fmt: skip
        with h5py.File(path, "a") as file:
            del file[group]
        with pytest.raises(InputError) as caught:
            reader_of(path)(path, None)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "write"), [("a.csv", write_csv), ("a.h5", write_fixed)])
def test_deeplabcuts_files_are_read_as_movement_reads_them(movement, tmp_path, name, write):
    columns = columns_of()
    values = values_of(columns)
    values[2:4, 5:9] = np.nan
    path = write(tmp_path / name, columns, values)
    ours, theirs = (
        reader_of(path)(path, None),
        movement.io.load_dataset(write_csv(tmp_path / "b.csv", columns, values), "DeepLabCut"),
    )
    check_same(ours, theirs)


def test_sleaps_analysis_is_read_as_movement_reads_it(movement, tmp_path):
    path = write_sleap(tmp_path / "a.h5")
    check_same(reader_of(path)(path, None), movement.io.load_dataset(path, "SLEAP"))


def test_lightning_poses_csv_is_that_of_one_animal_of_deeplabcut(movement, tmp_path):
    path = write_csv(tmp_path / "a.csv", *of_one())
    check_same(reader_of(path)(path, None), movement.io.load_dataset(path, "LightningPose"), names=False)


def of_one():
    columns = [("heatmap_tracker", part, cell) for part in NODES for cell in ("x", "y", "likelihood")]
    return columns, np.random.default_rng(1).random((6, 9))


def test_what_movement_writes_is_read_as_it_was(movement, tmp_path):
    written = dataset(movement)
    movement.io.save_poses.to_dlc_file(written, tmp_path / "a.csv", split_individuals=False)
    movement.io.save_poses.to_dlc_file(written, tmp_path / "a.h5", split_individuals=False)
    movement.io.save_poses.to_sleap_analysis_file(written, tmp_path / "b.h5")
    for name in ("a.csv", "a.h5", "b.h5"):
        check_points(read(tmp_path / name), atol=1e-3)


def test_real_tracks_are_read_as_movement_reads_them(movement, real_data, cases):
    for path, program in {
        real_data / "ethome_dyad" / "poses_dlc.csv": "DeepLabCut", cases / "base" / "base600.csv": "DeepLabCut",
        cases / "16-sleap-analysis" / "labels.v001.analysis.h5": "SLEAP",
        min((real_data / "rat_dyads" / "poses").iterdir()): "DeepLabCut",
    }.items():  # fmt: skip
        check_same(reader_of(path)(path, None), movement.io.load_dataset(path, program))


def check_same(ours, theirs, names=True):
    """Tracks, and a data set of movement: NaN where not seen, at 32 or 64 bits."""
    assert not names or ours.individuals == tuple(theirs.individuals.values)
    assert ours.parts == tuple(theirs.keypoints.values)
    position = theirs.position.transpose("time", "individuals", "keypoints", "space").values
    np.testing.assert_allclose(ours.positions, position, rtol=1e-6)
    np.testing.assert_allclose(
        ours.likelihood, theirs.confidence.transpose("time", "individuals", "keypoints").values, rtol=1e-6
    )


# --- without it -----------------------------------------------------------------------------------------------------


def bare_file(path, kind):
    """What tells each kind, and nothing else."""
    held = {SLP: ("frames", "instances", "tracks_json", "videos_json"), NC: ("position", "keypoints", "individuals")}
    with h5py.File(path, "w") as file:
        for name in held.get(kind, ()):
            file[name] = np.zeros(2)
        if kind == NWB:
            file.attrs["nwb_version"] = "2.8.0"
    return path


@pytest.mark.parametrize("kind", [SLP, NWB, NC])
def test_without_movement_the_sentence_says_what_to_run(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "movement", None)
    monkeypatch.setitem(sys.modules, "movement.io", None)
    path = bare_file(tmp_path / "a", kind)
    with pytest.raises(
        InputError, match=rf"^{path}: {kind} is read by the library movement, .*: run make movement, or"
    ):
        read_tracking(path, **RIG)
    assert "\nmovement: .venv/installed" in (paths.SOURCE / "Makefile").read_text()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (
            "filename,file_size,file_attributes,region_count,region_id\n",
            "boxes of VIA, which are no points; track points",
        ),
        (
            "nose_x,nose_y,nose_z,nose_error,nose_ncams,nose_score\n",
            "points in space, of Anipose; take those of the cam",
        ),
    ],
)
def test_what_holds_no_points_in_a_picture_is_told_truly(tmp_path, head, words):
    (tmp_path / "a.csv").write_text(head + "1,2,3,4,5,6\n")
    with pytest.raises(InputError, match=rf"a\.csv: {words}.* DeepLabCut csv"):
        read_tracking(tmp_path / "a.csv", **RIG)
