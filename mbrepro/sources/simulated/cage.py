"""How a recording looks, and its empty cage: bedding, walls that mirror it, the water spout."""

from dataclasses import dataclass

import cv2
import numpy as np

from mbrepro.recordings import FRAME_SIZE
from mbrepro.sources.simulated.motion import ARENA


@dataclass(frozen=True)
class Look:
    """How one recording looks: light, bedding and animals. Grey values 0 to 255."""

    bedding: float
    contrast: float
    grain: float
    surround: float
    gain: float
    pellets: int
    nest: bool
    implant: bool
    black: tuple[float, float]  # at the edge and on top of the body
    white: tuple[float, float]
    noise: float
    seed: int


def draw_look(rng: np.random.Generator) -> Look:
    """Draw how a recording looks."""
    black = rng.uniform(22, 40)
    return Look(
        bedding=rng.uniform(130, 215),
        contrast=rng.uniform(38, 70),
        grain=rng.uniform(0.9, 1.6),
        surround=rng.uniform(48, 88),
        gain=rng.uniform(0.86, 1.06),
        pellets=int(rng.integers(0, 90)),
        nest=bool(rng.random() < 0.6),
        implant=bool(rng.random() < 0.35),
        black=(black, black + rng.uniform(12, 34)),
        white=(rng.uniform(178, 205), rng.uniform(245, 275)),
        noise=rng.uniform(1.2, 2.2),
        seed=int(rng.integers(2**31)),
    )


def draw_cage(look: Look, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """The empty cage (height, width) uint8: bedding, walls that mirror it, and the water spout on the right."""
    width, height = size
    scale = width / FRAME_SIZE[0]
    floor = _bedding(look, size, rng)
    left, top, right, bottom = (round(edge * scale) for edge in ARENA)
    cage = _walls(look, floor, (left, top, right, bottom), rng)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [_wavy_outline(left - 3, top - 3, right + 3, bottom + 3, rng)], 255, cv2.LINE_AA)
    rim = cv2.GaussianBlur(mask, (0, 0), 2.5).astype(np.float32) / 255
    alpha = (mask / 255).astype(np.float32)
    cage = cage * (1 - alpha) + floor * alpha * (0.45 + 0.55 * np.clip(1.6 * rim - 0.6, 0, 1))
    _draw_spout(cage, right, (top + bottom) // 2 - round(10 * scale), scale)
    return np.clip(cage * _light(size, rng), 0, 255).astype(np.uint8)


def _light(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Light (height, width) that falls off from somewhere about the middle of the cage."""
    width, height = size
    x = (np.arange(width) / width - rng.uniform(0.35, 0.65))[None]
    y = (np.arange(height) / height - rng.uniform(0.35, 0.65))[:, None]
    return (1.08 - rng.uniform(0.3, 0.9) * (x**2 + 0.6 * y**2)).astype(np.float32)


def _bedding(look: Look, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    width, height = size
    broad = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 40)
    floor = _chips(look, size, rng) + 9 * broad / broad.std()
    if look.nest:
        floor = _add_nest(floor, look, rng)
    for _ in range(look.pellets):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(1, 3)), 1
        cv2.ellipse(floor, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(40, 85)), -1)
    return floor


def _chips(look: Look, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Wood chips heaped at random, drawn at twice the size and shrunk."""
    width, height = size
    floor = np.full((2 * height, 2 * width), 0.82 * look.bedding, np.float32)
    count = round(0.22 * width * height / look.grain**2)
    places = rng.uniform(0, (2 * width, 2 * height), (count, 2)).astype(int).tolist()
    axes = np.maximum(1, rng.gamma(4.0, look.grain * np.array((0.85, 0.45)), (count, 2)).round()).astype(int).tolist()
    spread = rng.standard_normal(count) - 0.15 * rng.exponential(1, count)  # a few dark ones
    values = look.bedding + look.contrast * np.clip(spread, -3, 2)
    angles = rng.uniform(0, 180, count).tolist()
    for place, axis, angle, value in zip(places, axes, angles, values.tolist(), strict=True):
        cv2.ellipse(floor, place, axis, angle, 0, 360, value, -1)
    return cv2.GaussianBlur(cv2.resize(floor, size, interpolation=cv2.INTER_AREA), (0, 0), 0.55)


def _add_nest(floor: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """A patch of shredded cotton: bright, smooth, with soft streaks."""
    height, width = floor.shape
    x, y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.25, 0.75) * height
    patch = np.zeros((height, width), np.float32)
    for _ in range(7):
        center = int(x + rng.normal(0, 26)), int(y + rng.normal(0, 16))
        axes = int(rng.uniform(12, 34)), int(rng.uniform(7, 18))
        cv2.ellipse(patch, center, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    patch = 0.75 * cv2.GaussianBlur(patch, (0, 0), 6)
    streaks = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 5, sigmaY=1.2)
    cotton = look.bedding + 6 + 14 * streaks / streaks.std()
    return floor * (1 - patch) + cotton * patch


def _walls(look: Look, floor: np.ndarray, box: tuple[int, int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Dark surround; the long walls mirror the bedding dimly."""
    height, width = floor.shape
    left, top, right, bottom = box
    mirror = cv2.GaussianBlur(floor[::-1], (0, 0), 1.6)
    grit = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 1.2)
    cage = np.full((height, width), 0.8 * look.surround, np.float32) + 7 * grit / grit.std()
    strip = look.surround + 0.42 * (mirror - look.bedding)
    for rows in (slice(0, top), slice(bottom, height)):
        cage[rows, left:right] = 1.25 * strip[rows, left:right]
    for x, y, end_x, end_y in ((0, 0, left, top), (width, 0, right, top), (0, height, left, bottom),
                               (width, height, right, bottom)):  # fmt: skip
        cv2.line(cage, (x, y), (end_x, end_y), 1.35 * look.surround, 1, cv2.LINE_AA)
        glare = int(0.55 * x + 0.45 * end_x), int(0.55 * y + 0.45 * end_y)
        cv2.line(cage, glare, (end_x, end_y), 1.9 * look.surround, 1, cv2.LINE_AA)
    return cv2.GaussianBlur(cage, (0, 0), 0.8)


def _wavy_outline(left: int, top: int, right: int, bottom: int, rng: np.random.Generator) -> np.ndarray:
    """The edge of the bedding, heaped unevenly against the walls."""
    steps = 24
    across, down = np.linspace(left, right, steps), np.linspace(top, bottom, steps)
    wave = lambda: cv2.GaussianBlur(rng.normal(0, 3.0, (1, steps)), (0, 0), 1.5)[0]  # noqa: E731
    sides = [
        np.stack([across, top + wave()], 1), np.stack([right + wave(), down], 1),
        np.stack([across[::-1], bottom + wave()], 1), np.stack([left + wave(), down[::-1]], 1),
    ]  # fmt: skip
    return np.concatenate(sides).round().astype(np.int32)


def _draw_spout(cage: np.ndarray, x: int, y: int, scale: float) -> None:
    """The metal water spout on the right wall, drawn in place."""
    unit = 2 * scale
    at = lambda dx, dy: (round(x + dx * unit), round(y + dy * unit))  # noqa: E731
    size = lambda across, along: (round(across * unit), round(along * unit))  # noqa: E731
    cv2.ellipse(cage, at(27, 0), size(9, 31), 0, 0, 360, 88.0, -1, cv2.LINE_AA)
    cv2.ellipse(cage, at(27, 0), size(9, 31), 0, 0, 360, 125.0, 1, cv2.LINE_AA)
    cv2.rectangle(cage, at(-7, -13), at(4, 13), 62, -1)
    cv2.line(cage, at(-5, -11), at(-5, 8), 200, 1)
    right = cage.shape[1] - round(x + 10 * unit)
    across = np.interp(np.arange(right), np.array((0, 0.1, 0.25, 0.32, 0.5, 0.6, 1)) * 44 * unit,
                       (45, 120, 150, 245, 190, 110, 25))  # fmt: skip
    half = round(20 * unit)
    along = np.sqrt(np.clip(1 - (np.arange(-half, half) / half) ** 2, 0, 1)) ** 0.5
    steel = (along[:, None] * across[None]).astype(np.float32)
    area = cage[y - half : y + half, -right:]
    mask = np.zeros(area.shape, np.uint8)
    cv2.ellipse(mask, (round(16 * unit), half), (round(16 * unit), half - 1), 0, 0, 360, 255, -1, cv2.LINE_AA)
    mask[2 : 2 * half - 2, round(16 * unit) :] = 255
    area += (mask / 255).astype(np.float32) * (steel - area)
