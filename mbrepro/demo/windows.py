"""Windows of poses, real and simulated ones cut alike, and what is compared of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mbrepro.data.recordings import KEYPOINTS, MICE, OTHER, Recording
from mbrepro.errors import InputError

WINDOW_SAMPLES = 13
# Frames between the samples of a window: an assumption that the data support. Speed changes by 29 % from step to step,
# as it does in two mice filmed at 30 frames a second when they are seen every 7th or 8th frame (ethome's dyad), and 13
# samples every 8th frame span 100 frames.
WINDOW_STEP = 8
WINDOWS = "calms21_pose_windows/windows.npz"
CONTACT, APART = 110, 200  # px between the mice's centres
_PART = {name: index for index, name in enumerate(KEYPOINTS)}
_LENGTHS = {
    "body length": ("nose", "tail_base"), "ear width": ("left_ear", "right_ear"),
    "hip width": ("left_hip", "right_hip"), "nose to neck": ("nose", "neck"),
    "neck to tail base": ("neck", "tail_base"),
}  # fmt: skip


def pose_windows(recordings: Sequence[Recording], count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Windows cut as the real ones at random places: keypoints (N, 13, 2, 7, 2) and labels (N,).

    A window's label is investigation (1) or mount (2) where over half of its samples are, otherwise other (3).
    """
    rng = np.random.default_rng(seed)
    span = WINDOW_STEP * (WINDOW_SAMPLES - 1) + 1
    room = np.array([len(r) - span + 1 for r in recordings])
    if room.min() < 1:
        raise InputError(f"pose windows are {span} frames long, longer than the shortest recording")
    keypoints, classes = [], []
    for index in rng.choice(len(recordings), count, p=room / room.sum()):
        frames = rng.integers(room[index]) + WINDOW_STEP * np.arange(WINDOW_SAMPLES)
        keypoints.append(recordings[index].keypoints[frames])
        labels = recordings[index].labels[frames]
        classes.append(next((k for k in (1, 2) if (labels == k).mean() > 0.5), 3))
    return np.stack(keypoints), np.array(classes)


def read_real_windows(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The real windows in `folder`/calms21_pose_windows, as of `pose_windows`; zero-padded ones are left out."""
    stored = np.load(Path(folder) / WINDOWS)
    keypoints = stored["keypoints"].swapaxes(3, 4)
    whole = ~(keypoints == 0).all(axis=(3, 4)).any(axis=(1, 2))
    classes = np.where(stored["investigation"] == 1, 1, np.where(stored["mount"] == 1, 2, 3))
    return keypoints[whole], classes[whole]


def pose_statistics(windows: np.ndarray, classes: np.ndarray) -> dict[str, tuple[np.ndarray, str]]:
    """Values of every pose statistic, each with its unit.

    windows: (N, 13, 2, 7, 2) px. classes: (N,) 1 investigation, 2 mount, 3 neither. Speeds are of the mean keypoint,
    px a frame over the `WINDOW_STEP` frames between samples. "unsteadiness" is how much a length that a rigid body
    would keep changes between samples: tracking jitter and posture together. Headings run from tail base to neck.
    """
    found = {}
    heading = _angle(windows[..., _PART["neck"], :] - windows[..., _PART["tail_base"], :])  # (N, 13, 2)
    for mouse, who in enumerate(MICE):
        for name, (a, b) in _LENGTHS.items():
            length = np.linalg.norm(windows[:, :, mouse, _PART[a]] - windows[:, :, mouse, _PART[b]], axis=-1)
            found[f"{name}, {who}"] = length, "px"
            if name in ("ear width", "hip width", "nose to neck"):
                found[f"unsteadiness of {name}, {who}"] = np.abs(np.diff(length, axis=1)), "px"
        head = _angle(windows[:, :, mouse, _PART["nose"]] - windows[:, :, mouse, _PART["neck"]])
        found[f"bend of the neck, {who}"] = np.abs(_turn(head, heading[..., mouse])), "degrees"
        turned = np.abs(_turn(heading[:, 1:, mouse], heading[:, :-1, mouse]))
        found[f"turn, {who}"] = turned / WINDOW_STEP, "degrees/frame"
    for value, name in ((3, OTHER), (1, "investigation"), (2, "mount")):
        found |= _between(windows[classes == value], heading[classes == value], name)
    return found


def _between(windows: np.ndarray, heading: np.ndarray, name: str) -> dict[str, tuple[np.ndarray, str]]:
    """Where the mice are to each other, and how fast, in windows of one class."""
    center = windows.mean(axis=3)  # (n, 13, 2, 2)
    speed = np.linalg.norm(np.diff(center, axis=1), axis=-1) / WINDOW_STEP
    apart = center[:, :, 1] - center[:, :, 0]
    nearest = np.linalg.norm(windows[:, :, 0, :1] - windows[:, :, 1], axis=-1).min(axis=2)
    return {
        f"centroid distance, {name}": (np.linalg.norm(apart, axis=-1), "px"),
        f"resident's nose to the intruder, {name}": (nearest, "px"),
        f"relative heading, {name}": (np.abs(_turn(heading[..., 0], heading[..., 1])), "degrees"),
        f"resident's bearing of the intruder, {name}": (np.abs(_turn(heading[..., 0], _angle(apart))), "degrees"),
        f"speed, resident, {name}": (speed[..., 0], "px/frame"),
        f"speed, intruder, {name}": (speed[..., 1], "px/frame"),
    }


def contact_unsteadiness(windows: np.ndarray) -> dict[str, np.ndarray]:
    """How much (px) ear width, hip width and nose to neck of either mouse change from sample to sample.

    windows: as of `pose_windows`. Each in contact, the mice's centres under 110 px apart, and over 200 px apart.
    """
    gap = _gap(windows)[:, 1:]
    found = {}
    for what, length in _held_lengths(windows).items():
        change = np.abs(np.diff(length, axis=1))
        found |= {f"{what}, contact": change[gap < CONTACT], f"{what}, apart": change[gap > APART]}
    return found


def contact_persistence(windows: np.ndarray) -> dict[str, float]:
    """Autocorrelation of the same lengths at neighbouring samples, `WINDOW_STEP` frames apart: what drifts keeps it.

    Of deviations from a window's mean; of windows whose samples are all in contact, or all apart; NaN without any.
    """
    gap = _gap(windows)
    found = {}
    for what, length in _held_lengths(windows).items():
        for place, chosen in (("contact", (gap < CONTACT).all(axis=1)), ("apart", (gap > APART).all(axis=1))):
            off = length[chosen] - length[chosen].mean(axis=1, keepdims=True)
            kept = (off[:, 1:] * off[:, :-1]).sum()
            found[f"{what}, {place}"] = float(kept / (off**2).sum()) if chosen.any() else np.nan
    return found


def tracked(windows: np.ndarray) -> dict[str, dict[str, float]]:
    """What a tracker does to lengths in contact and apart: median and p90 of their change (px), autocorrelation."""
    kept = contact_persistence(windows)
    return {
        what: {
            "median change": float(np.median(change)),
            "p90": float(np.percentile(change, 90)),
            "autocorrelation": kept[what],
        }
        for what, change in contact_unsteadiness(windows).items()
    }


def _gap(windows: np.ndarray) -> np.ndarray:
    """(N, 13) px between the centres of the mice."""
    centre = windows.mean(axis=3)
    return np.linalg.norm(centre[:, :, 0] - centre[:, :, 1], axis=-1)


def _held_lengths(windows: np.ndarray) -> dict[str, np.ndarray]:
    """Lengths (N, 13), px, of either mouse that hardly change but by the tracker."""
    found = {}
    for mouse, who in enumerate(MICE):
        for name in ("ear width", "hip width", "nose to neck"):
            a, b = (windows[:, :, mouse, _PART[part]] for part in _LENGTHS[name])
            found[f"{name}, {who}"] = np.linalg.norm(a - b, axis=-1)
    return found


def exchanged_share(windows: np.ndarray) -> float:
    """Share of steps between samples that are shorter when the mice are taken for each other: identity swaps."""
    center = windows.mean(axis=3)

    def step(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(center[:, 1:, a] - center[:, :-1, b], axis=-1)

    kept, swapped = step(0, 0) + step(1, 1), step(0, 1) + step(1, 0)
    return float((swapped < 0.5 * kept).mean())


def _angle(vector: np.ndarray) -> np.ndarray:
    return np.arctan2(vector[..., 1], vector[..., 0])


def _turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Signed difference of two angles, degrees between -180 and 180."""
    return np.degrees((a - b + np.pi) % (2 * np.pi) - np.pi)


def window_features(windows: np.ndarray) -> np.ndarray:
    """(N, features) for telling windows apart: mean, sd and largest change of 22 lengths, angles and speeds."""
    heading = _angle(windows[..., _PART["neck"], :] - windows[..., _PART["tail_base"], :])
    center = windows.mean(axis=3)
    tracks = [np.linalg.norm(center[:, :, 1] - center[:, :, 0], axis=-1)]
    tracks += [np.linalg.norm(windows[:, :, m, :1] - windows[:, :, 1 - m], axis=-1).min(axis=2) for m in (0, 1)]
    tracks += [np.abs(_turn(heading[..., 0], heading[..., 1]))]
    for mouse in (0, 1):
        for a, b in _LENGTHS.values():
            tracks.append(np.linalg.norm(windows[:, :, mouse, _PART[a]] - windows[:, :, mouse, _PART[b]], axis=-1))
        tracks += [*center[:, :, mouse].transpose(2, 0, 1)]
        step = np.linalg.norm(np.diff(center[:, :, mouse], axis=1), axis=-1)
        turn = np.abs(_turn(heading[:, 1:, mouse], heading[:, :-1, mouse]))
        tracks += [np.pad(step, ((0, 0), (1, 0)), "edge"), np.pad(turn, ((0, 0), (1, 0)), "edge")]
    tracks = np.stack(tracks, axis=1)  # (N, 22, 13)
    change = np.abs(np.diff(tracks, axis=2)).max(axis=2)
    return np.concatenate([tracks.mean(axis=2), tracks.std(axis=2), change], axis=1)
