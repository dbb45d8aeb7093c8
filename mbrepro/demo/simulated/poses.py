"""Poses of the two mice through a schedule, as they truly are."""

import math
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from mbrepro.demo.simulated.behaviours import act
from mbrepro.demo.simulated.motion import ARENA, Mouse, inside
from mbrepro.demo.simulated.schedule import Bout, Schedule
from mbrepro.demo.simulated.wandering import Acts, Scene

LEAD_IN = 120  # frames of wandering before the recording starts, so that it does not start from a drawn pose

# Medians over CalMS21 Task 1 poses (Sun et al. 2021), px, resident and intruder: nose to neck, straight neck to tail
# base, half the distance between the ears, half that between the hips, hips ahead of the tail base.
_SNOUT = (66.5, 70.0)
_SPINE = (129.0, 119.0)
_EAR = (29.0, 30.0)
_HIP = (39.5, 38.0)
_HIP_AHEAD = (55.0, 47.0)
_EAR_AHEAD = 15.0  # of the neck, towards the nose


_ACTS = Acts()


def true_poses(schedule: Schedule, rng: np.random.Generator, acts: Acts = _ACTS) -> np.ndarray:
    """Where the body parts are: (T, 2, 7, 2) float64 px, inside the arena."""
    scene = _start(rng, acts)
    rows = []
    bouts = [Bout(-LEAD_IN, 0, "wander"), *schedule.bouts]
    following = [bout.activity for bout in schedule.bouts] + ["wander"]
    if following[0] == "wander" and len(bouts) > 2 and bouts[1].stop < 30:
        following[0] = following[1]  # the first gap is too short to come together in
    for bout, after in zip(bouts, following, strict=True):
        scene.bout, scene.following, scene.memory = bout, after, {}
        for frame in range(bout.start, bout.stop):
            scene.frame = frame
            act(scene)
            rows.append([_state(mouse) for mouse in (scene.resident, scene.intruder)])
    poses = _skeletons(np.array(rows), (scene.resident.size, scene.intruder.size), rng)
    return poses[LEAD_IN:]


def _start(rng: np.random.Generator, acts: Acts) -> Scene:
    mice = []
    for index in range(2):
        size = float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.12))
        pace = float(np.exp(np.clip(rng.normal(0, 0.2), -0.4, 0.4)))
        neck: Any = rng.uniform((ARENA[0] + 150, ARENA[1] + 120), (ARENA[2] - 150, ARENA[3] - 120))  # numpy says float
        angle = rng.uniform(-math.pi, math.pi)
        mice.append(Mouse(complex(*neck), angle, angle, angle, size, size * _SPINE[index], size * _SNOUT[index], pace))
    return Scene(mice[0], mice[1], rng, acts.of_a_pair(rng))


def _state(mouse: Mouse) -> tuple[float, ...]:
    """What the skeleton is computed from; the neck is kept in the arena here, the last pixels for whole skeletons."""
    mouse.neck = inside(mouse.neck, 10.0)
    return mouse.neck.real, mouse.neck.imag, mouse.head, mouse.body, mouse.rear, mouse.half


def _skeletons(rows: np.ndarray, sizes: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Seven body parts (T, 2, 7, 2) from the states (T, 2, 6), lightly smoothed and moved inside the arena."""
    neck = gaussian_filter1d(rows[..., :2], 1.0, axis=0)
    clock = activity_clock(neck)
    angles = gaussian_filter1d(np.unwrap(rows[..., 2:5], axis=0), 1.0, axis=0)
    angles += np.stack([slow_noise(clock, 0.04, 15.0, rng) for _ in range(3)], axis=-1)
    half = rows[..., 5:] * (1 + slow_noise(clock, 0.13, 45.0, rng))[..., None]
    head, front, rear = (np.stack([np.cos(angles[..., i]), np.sin(angles[..., i])], -1) for i in range(3))
    scale = np.array(sizes)[:, None]
    nod = (1 + slow_noise(clock, 0.09, 12.0, rng))[..., None]

    def column(values: tuple[float, float]) -> np.ndarray:
        return np.array(values)[:, None] * scale

    nose = neck + head * column(_SNOUT) * nod
    ears = neck + head * _EAR_AHEAD * scale
    ear_side = _left(head) * column(_EAR)
    tail = neck - half * (front + rear)
    ahead = np.minimum(column(_HIP_AHEAD), 0.9 * half * 2)
    hips = tail + rear * ahead
    hip_side = _left(rear) * column(_HIP)
    parts = [nose, ears + ear_side, ears - ear_side, neck, hips + hip_side, hips - hip_side, tail]
    return _inside_arena(np.stack(parts, axis=2))


def _left(direction: np.ndarray) -> np.ndarray:
    """To the mouse's left, in an image whose y points down."""
    return np.stack([direction[..., 1], -direction[..., 0]], axis=-1)


def activity_clock(neck: np.ndarray) -> np.ndarray:
    """(T, 2) each mouse's own time, faster the faster its neck (T, 2, 2) moves: at rest little changes."""
    speed = np.linalg.norm(np.gradient(neck, axis=0), axis=-1)
    return np.cumsum(0.17 + gaussian_filter1d(speed, 4.0, axis=0) / 5.0, axis=0)


def slow_noise(clock: np.ndarray, sd: float, time_constant: float, rng: np.random.Generator) -> np.ndarray:
    """(T, 2) noise that forgets over `time_constant` units of the mice's clocks (AR(1), in its stationary state)."""
    keep = math.exp(-1 / time_constant)
    units = math.ceil(clock.max()) + 2
    white = rng.standard_normal((units, 2)) * math.sqrt(1 - keep**2)
    white[0] /= math.sqrt(1 - keep**2)
    noise = np.clip(lfilter([1.0], [1.0, -keep], white, axis=0), -2.5, 2.5)
    return sd * np.stack([np.interp(clock[:, m], np.arange(units), noise[:, m]) for m in range(2)], axis=1)


def _inside_arena(poses: np.ndarray) -> np.ndarray:
    """Move each mouse as a whole so that no part lies outside the arena."""
    low, high = np.array(ARENA[:2]), np.array(ARENA[2:])
    poses = poses + np.maximum(low - poses.min(axis=2), 0)[:, :, None]
    poses = poses - np.maximum(poses.max(axis=2) - high, 0)[:, :, None]
    return np.clip(poses, low, high)
