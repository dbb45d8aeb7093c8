"""What a pose tracker reports of true poses: jitter, points astray, a mouse lost or taken for the other one.

It errs most where the mice touch. How much lengths that a rigid body would keep change within 8 frames, in contact and
apart, is compared with CalMS21's 996 pose windows (`likeness`); what moves a mouse as a whole (together, held,
exchanged) leaves no trace in them and is an assumption.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from mbrepro.data.recordings import FPS
from mbrepro.demo.simulated.motion import ARENA
from mbrepro.demo.simulated.poses import activity_clock, slow_noise

_SIDES = np.array([0, 2, 1, 3, 5, 4, 6])  # each part's counterpart on the body's other side
_ASTRAY = np.array([2, 1, 1, 1, 2, 2, 2]) / 11  # which part goes astray: ends and hips of a mouse are hidden most
_BESIDE = (50.0, 120.0, 220.0)  # px between the centres: over each other, beside, apart
_TOUCHING = (40.0, 130.0)  # px between the mice's centres: full contact, none


@dataclass(frozen=True)
class Tracker:
    """Errors of a tracker of two mice; rates are events a second, in full contact but where said otherwise.

    drift: sd px by which every point of resident and intruder slides over its body as they move.
    together, slow, over: sd px by which a mouse slides as a whole beside the other, the units of its own clock over
    which that is forgotten, and the share that is left where the bodies lie over each other.
    jitter: sd px of every point apart and at rest; contact, speed: its growth in contact, and for each px a frame.
    astray: single points of a mouse apart, off by `off` px.
    astray_touching: those of resident and intruder, put on the body's other side or on the other mouse.
    held, held_speed: a mouse lost and its way straightened, and more for each px a frame.
    exchanged: the mice taken for each other.
    """

    drift: tuple[float, float] = (4.3, 3.8)
    together: float = 22.0
    slow: float = 300.0
    over: float = 0.2
    jitter: float = 0.5
    contact: float = 1.5
    speed: float = 0.1
    astray: float = 0.12
    astray_touching: tuple[float, float] = (0.8, 1.8)
    off: float = 28.0
    held: float = 0.55
    held_speed: float = 0.015
    exchanged: float = 0.02


def track(poses: np.ndarray, rng: np.random.Generator, tracker: Tracker = Tracker()) -> tuple[np.ndarray, np.ndarray]:
    """What a tracker reports of poses (T, 2, 7, 2): (T, 2, 7, 2) float32 px and confidences (T, 2, 7) float32."""
    centres = poses.mean(axis=2)
    gap = np.linalg.norm(centres[:, 0] - centres[:, 1], axis=-1)
    contact = np.clip((_TOUCHING[1] - gap) / (_TOUCHING[1] - _TOUCHING[0]), 0.0, 1.0)  # (T,)
    beside = np.interp(gap, _BESIDE, (tracker.over, 1.0, 0.0))
    speed = np.linalg.norm(np.gradient(centres, axis=0), axis=-1)  # (T, 2)
    tracked = poses.astype(np.float64)
    scores = 0.96 - 0.12 * contact[:, None, None] - 0.02 * np.abs(rng.standard_normal(poses.shape[:3]))
    for mouse in range(2):
        held = contact * (tracker.held + tracker.held_speed * speed[:, mouse])
        _hold(tracked[:, mouse], scores[:, mouse], held, rng)
    clock = activity_clock(centres)
    for axis in range(2):
        for part in range(7):
            tracked[:, :, part, axis] += slow_noise(clock, 1.0, 15.0, rng) * tracker.drift
        tracked[..., axis] += (slow_noise(clock, tracker.together, tracker.slow, rng) * beside[:, None])[..., None]
    _stray(tracked, scores, contact, tracker, rng)
    _exchange(tracked, scores, tracker.exchanged * contact, rng)
    sd = tracker.jitter * (1 + tracker.contact * contact[:, None] + tracker.speed * speed)[..., None, None]
    tracked += sd * lfilter([1.0], [1.0, -0.6], rng.standard_normal(poses.shape) * 0.8, axis=0)
    low, high = np.array(ARENA[:2]) - 6, np.array(ARENA[2:]) + 6
    return np.clip(tracked, low, high).astype(np.float32), np.clip(scores, 0.05, 1.0).astype(np.float32)


def _events(rate: np.ndarray, log_seconds: float, rng: np.random.Generator) -> list[slice]:
    """Stretches that begin at a rate (T,) a second and last a log-normal time."""
    starts = np.flatnonzero(rng.random(len(rate)) < rate / FPS)
    lengths = np.exp(rng.normal(log_seconds, 0.6, len(starts))) * FPS
    return [slice(start, min(len(rate), start + max(2, round(n)))) for start, n in zip(starts, lengths, strict=True)]


def _hold(mouse: np.ndarray, scores: np.ndarray, rate: np.ndarray, rng: np.random.Generator) -> None:
    """A mouse (T, 7, 2) is lost for about half a second; its points are drawn straight from where to where it was."""
    for window in _events(rate, math.log(0.5), rng):
        share = np.linspace(0, 1, window.stop - window.start)[:, None, None]
        mouse[window] = (1 - share) * mouse[window.start] + share * mouse[window.stop - 1]
        scores[window] *= rng.uniform(0.3, 0.7)


def _stray(
    tracked: np.ndarray, scores: np.ndarray, contact: np.ndarray, tracker: Tracker, rng: np.random.Generator
) -> None:
    """Single points put elsewhere for a moment."""
    for mouse, touching in enumerate(tracker.astray_touching):
        for window in _events(tracker.astray + (touching - tracker.astray) * contact, math.log(0.25), rng):
            part, elsewhere = rng.choice(7, p=_ASTRAY), rng.random()
            if contact[window.start] < rng.random():
                moved = tracked[window, mouse, part] + rng.normal(0, tracker.off, 2)
            elif elsewhere < 0.5:
                moved = tracked[window, mouse, _SIDES[part]].copy()
            else:
                moved = tracked[window, 1 - mouse, part].copy()
            share = rng.uniform(0.4, 1.0)
            tracked[window, mouse, part] += share * (moved - tracked[window, mouse, part])
            scores[window, mouse, part] *= rng.uniform(0.2, 0.6)


def _exchange(tracked: np.ndarray, scores: np.ndarray, rate: np.ndarray, rng: np.random.Generator) -> None:
    """The two mice taken for each other."""
    for window in _events(rate, math.log(0.4), rng):
        tracked[window] = tracked[window, ::-1].copy()
        scores[window] = scores[window, ::-1] * 0.5
