"""What the library movement reads and nothing here does: SLEAP's slp, NWB files of poses, movement's own netCDF files.

It (neuroinformatics-unit/movement) is an extra of half a gigabyte, and loaded when such a file is read. DeepLabCut's
files are not handed to it, as pandas would unpickle what they hold.
"""

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mbrepro.data.tracking.tracks import BROKEN, Tracks
from mbrepro.errors import InputError

SLP, NWB, NC = "SLEAP slp", "NWB", "movement nc"
_HELD = {SLP: {"frames", "instances", "tracks_json", "videos_json"}, NC: {"position", "keypoints", "individuals"}}
ORDER = ("time", "individuals", "keypoints", "space")


def kind_of(path: Path) -> str | None:
    """Which of the three an HDF5 file is, by what it holds; None for any other."""
    try:
        with h5py.File(path) as file:
            return NWB if "nwb_version" in file.attrs else next((k for k in _HELD if _HELD[k] <= set(file)), None)
    except (OSError, RuntimeError, *BROKEN):
        return None


def read_by_movement(path: Path, sequence: str | None = None) -> Tracks:
    """Read one of the three; a point that a person placed has no confidence of its own, and 1 here.

    Raises InputError without movement, for a file that it cannot read, poses in space, instances that cannot be told
    apart, or frames that do not run evenly from the first.
    """
    library, kind = _library(path), kind_of(path)
    try:
        data = _DATASETS[str(kind)](path, library)
        times, axes = data["time"].to_numpy(), data["space"].to_numpy().tolist()
        individuals, parts = (tuple(map(str, data[of].to_numpy().tolist())) for of in ORDER[1:3])
        positions = data["position"].transpose(*ORDER).to_numpy().astype(np.float64)
        confidence = data["confidence"].transpose(*ORDER[:3]).to_numpy().astype(np.float64)
    except InputError:
        raise
    except Exception as error:  # those of four libraries
        told = " ".join(str(error).split())
        raise InputError(f"{path}: movement cannot read it as {kind} ({told}); export the poses as csv") from error
    if axes != ["x", "y"]:
        raise InputError(f"{path}: its points have {', '.join(axes)}; export those of the one camera above, x and y")
    if not np.allclose(times, np.linspace(0, times[-1], len(times)), atol=1e-3 * times[-1] / len(times)):
        raise InputError(f"{path}: its frames do not run evenly from the video's first; save every frame")
    seen = np.isfinite(positions).all(-1)
    likelihood = None if np.isnan(confidence).all() else np.where(np.isnan(confidence) & seen, 1, confidence)
    return Tracks(individuals, parts, positions, likelihood)


def _library(path: Path) -> Any:
    shown = warnings.showwarning
    try:
        import movement.io
        from movement.utils.logging import logger
    except (ImportError, OSError) as error:  # it writes a log into the home folder
        raise InputError(
            f"{path}: {kind_of(path)} is read by the library movement, which cannot be loaded ({error}): run make "
            "movement, or export the poses as csv"
        ) from error
    logger.remove()  # what it logs is raised too
    warnings.showwarning = shown
    return movement.io


def _of_slp(path: Path, library: Any) -> Any:
    try:
        with h5py.File(path) as file:
            rows, named, videos = file["instances"][()], len(file["tracks_json"]), len(file["videos_json"])
        alone = len(np.unique(rows[["frame_id", "instance_type", "track"]])) == len(rows)
        skeletons, tracked = len(np.unique(rows["skeleton"])), not named or (rows["track"] >= 0).all()
    except (OSError, RuntimeError, *BROKEN) as error:
        raise InputError(f"{path}: not a whole SLEAP file ({error}); save it again") from error
    if videos != 1 or skeletons != 1:
        raise InputError(f"{path}: it is of {videos} videos and {skeletons} skeletons; export one's as analysis h5")
    if not (alone and tracked):
        raise InputError(f"{path}: it has instances without a track of their own; track them in SLEAP and save it")
    return library.load_dataset(path, "SLEAP")


def _of_nwb(path: Path, library: Any) -> Any:
    """All containers of poses in all modules; several are called by their names, one by the file's identifier."""
    import xarray

    with h5py.File(path) as file:
        modules = file.get("processing", {})
        kinds = {(m, name): held.attrs.get("neurodata_type") for m in modules for name, held in modules[m].items()}
    found = [where for where, kind in kinds.items() if kind == "PoseEstimation"]
    if not found:
        raise InputError(f"{path}: it has no poses, which NWB files hold as PoseEstimation of ndx-pose")
    data = [library.load_dataset(path, "NWB", processing_module_key=m, pose_estimation_key=name) for m, name in found]
    if len(found) > 1:
        data = [each.assign_coords(individuals=[name]) for each, (_, name) in zip(data, found, strict=True)]
    return xarray.merge(data, join="outer", compat="no_conflicts", combine_attrs="drop_conflicts")


def _of_netcdf(path: Path, library: Any) -> Any:
    import xarray

    return xarray.load_dataset(path)


_DATASETS = {SLP: _of_slp, NWB: _of_nwb, NC: _of_netcdf}
