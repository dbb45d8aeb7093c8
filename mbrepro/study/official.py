"""The official network on real mice that it has never seen, recorded.

Two public recordings of other laboratories: a dyad whose interaction was labelled, and three mice whose video shows
whether what it calls action is any. Neither is filmed as CalMS21 is, so its classes' names say little there.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from mbrepro import paths
from mbrepro.artifacts import file_hash
from mbrepro.data.alignment import to_training_scale
from mbrepro.data.annotations import read_behaviour
from mbrepro.data.calms21.network import FETCH, find_network, published_network
from mbrepro.data.own.fitted import outside_frame
from mbrepro.data.recordings import FPS, TASK1_CLASSES, Recording
from mbrepro.data.tracking import read_tracking
from mbrepro.errors import InputError
from mbrepro.method.localizer import PoseCNN, action_probability
from mbrepro.method.official import BODY_LENGTH, load_official
from mbrepro.method.pipeline import ACTION
from mbrepro.study.predict import agreement, localize_own

NEEDS = f"{FETCH}, and set MBREPRO_REAL_DATA to a folder with ethome_dyad and mabe22_video"
DYAD = ("ethome_dyad/poses_dlc.csv", "ethome_dyad/labels_boris.csv")
TRIO = "mabe22_video/EGS8X2MN4SSUGFWAV976.h5"
TRIO_MICE = ("mouse1", "mouse2", "mouse3")
HINDPAWS = {"left_hip": "left hindpaw", "right_hip": "right hindpaw"}  # MABe22 tracks no hips

# F1 of these weights (seed 42) on CalMS21's 19 Task 1 test videos, their macro mean over the behaviours:
# demo/tutorial_calms21_task1.ipynb of github.com/BelloneLab/BANOS, commit 83a1c33.
PUBLISHED = {"attack": 0.6318, "investigation": 0.8057, "mount": 0.9000, "other": 0.9456, "macro": 0.7792}


@dataclass(frozen=True, eq=False)
class RealMice:
    """What the figures are computed from.

    dyad: two mice, and interact: (T,) bool, where they were labelled to interact. pairs: two of three mice each, by
    their names, the resident's part first. files: SHA-256 of every file read, by its path in the folder of real data.
    """

    network: PoseCNN
    dyad: Recording
    interact: np.ndarray
    pairs: dict[str, Recording]
    files: dict[str, str]


def read() -> RealMice | None:
    """The network and both recordings, or None where this machine lacks one of them."""
    folder = paths.real_data()
    if folder is None or not all((folder / name).is_file() for name in (*DYAD, TRIO)):
        return None
    try:
        network = find_network()
    except InputError:
        return None
    poses, labels = (folder / name for name in DYAD)
    dyad = read_tracking(poses, parts={"tail_base": "tail"}, fps=FPS, frame_size=(1280, 1024))
    interact = read_behaviour(labels, "interact", FPS, len(dyad))
    rig = {"parts": HINDPAWS, "fps": FPS, "frame_size": (512, 512)}
    two = permutations(TRIO_MICE, 2)
    pairs = {f"{a} and {b}": read_tracking(folder / TRIO, individuals=(a, b), **rig) for a, b in two}
    files = {name: file_hash(folder / name) for name in (*DYAD, TRIO)}
    # In double precision no two frames change places from one processor to the next.
    return RealMice(load_official(network).double(), dyad, interact, pairs, files)


def figures(real: RealMice) -> dict:
    """How P(action) and closeness tell interaction in the dyad, and what each pair's frames are called."""
    dyad, scores = _scored(real.network, real.dyad)
    dyad["interact"] = {
        "official": agreement(real.interact, action_probability(scores)),
        "closeness": agreement(real.interact, closeness(real.dyad)),
    }
    pairs = {name: _scored(real.network, pair)[0] for name, pair in real.pairs.items()}
    return {"published_f1": PUBLISHED, "dyad": dyad, "pairs": pairs}


def _scored(network: PoseCNN, recording: Recording) -> tuple[dict, np.ndarray]:
    """Shares of what a recording's frames are called, and their scores (T, 4), poses scaled to CalMS21's mice."""
    scaled = to_training_scale(recording, BODY_LENGTH)
    scores = localize_own(network, scaled)
    told = {"frames": len(recording), "points_outside_the_training_frame": outside_frame(scaled)}
    return told | {"called": shares(scores)}, scores


def provenance(real: RealMice) -> dict[str, object]:
    """What is recorded beside `figures`."""
    info = published_network()
    return {
        "data": f"{info.title}, on a dyad and on three mice of MABe22, each two of them, filmed in other laboratories",
        "source": f"network {info.source}; dyad github.com/benlansdell/ethome, commit e3f7d42, tests/data (MIT); three "
        "mice github.com/AdaptiveMotorControlLab/AmadeusGPT, commit ddd5f7ae, examples/MABe (Apache-2.0)",
        "sha256": info.sha256,
        "files_sha256": real.files,
        "published_f1": "github.com/BelloneLab/BANOS, commit 83a1c33, demo/tutorial_calms21_task1.ipynb",
        "intervals": "none, as each is one recording",
        "computed_by": "mbrepro.study.official.figures",
    }


def closeness(recording: Recording) -> np.ndarray:
    """(T,) how close the mice are: the distance of their mean points, px, taken negative."""
    resident, intruder = recording.keypoints.mean(2).swapaxes(0, 1)
    return -np.linalg.norm(resident - intruder, axis=-1)


def shares(scores: np.ndarray) -> dict[str, float]:
    """Share of frames called action, and of those whose most probable class is each, from scores (T, 4)."""
    called = np.bincount(scores.argmax(1), minlength=len(TASK1_CLASSES)) / len(scores)
    action = float((action_probability(scores) >= ACTION).mean())
    return {"action": action} | dict(zip(TASK1_CLASSES, called.tolist(), strict=True))
