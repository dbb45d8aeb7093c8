"""How a recording looks, and its empty cage: bedding, walls that mirror it, the water spout."""

from dataclasses import dataclass

import cv2
import numpy as np

from mbrepro.data.recordings import FRAME_SIZE
from mbrepro.demo.simulated.motion import ARENA


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
    bare: int  # places where the bedding is pushed aside
    implant: bool
    black: tuple[float, float]  # at the edge and on top of the body
    white: tuple[float, float]
    noise: float
    seed: int


def draw_look(rng: np.random.Generator) -> Look:
    """A recording's look, drawn at random."""
    black, bedding = rng.uniform(20, 38), rng.triangular(125, 205, 215)
    return Look(
        bedding=bedding,
        contrast=bedding * rng.uniform(0.17, 0.34),
        grain=rng.uniform(0.8, 1.45),
        surround=bedding * rng.uniform(0.48, 0.64),
        gain=rng.uniform(0.95, 1.03),
        pellets=int(rng.integers(0, 90)),
        nest=bool(rng.random() < 0.6),
        bare=int(rng.integers(0, 3)),
        implant=bool(rng.random() < 0.35),
        black=(black, black + rng.uniform(12, 34)),
        white=(rng.uniform(150, 185), rng.uniform(255, 285)),
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
    x = (np.arange(width) / width - rng.uniform(0.35, 0.65))[None]
    y = (np.arange(height) / height - rng.uniform(0.35, 0.65))[:, None]
    cage *= (1.1 - rng.uniform(0.3, 0.8) * (x**2 + 0.6 * y**2)).astype(
        np.float32
    )  # the light, brightest about the middle
    _draw_spout(cage, right, (top + bottom) // 2 - round(10 * scale), scale)
    return np.clip(cage, 0, 255).astype(np.uint8)


def _bedding(look: Look, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    width, height = size
    broad = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 40)
    floor = _chips(look, size, rng) + 9 * broad / broad.std()
    for _ in range(look.bare):
        floor = _add_bare(floor, look, rng)
    if look.nest:
        floor = _add_nest(floor, look, rng)
    for _ in range(look.pellets):
        place, axes = (int(rng.integers(width)), int(rng.integers(height))), (int(rng.integers(1, 4)), 1)
        cv2.ellipse(floor, place, axes, rng.uniform(0, 180), 0, 360, rng.uniform(20, 75), -1)
    return cv2.GaussianBlur(floor, (0, 0), 0.5)


def _chips(look: Look, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Wood chips heaped at random, drawn at twice the size and shrunk."""
    width, height = size
    floor = np.full((2 * height, 2 * width), 0.88 * look.bedding, np.float32)
    count = round(0.22 * width * height / look.grain**2)
    places = rng.uniform(0, (2 * width, 2 * height), (count, 2)).astype(int).tolist()
    axes = np.maximum(1, rng.gamma(4.0, look.grain * np.array((0.85, 0.45)), (count, 2)).round()).astype(int).tolist()
    spread = rng.standard_normal(count) - 0.15 * rng.exponential(1, count)  # a few dark ones
    values = look.bedding + look.contrast * np.clip(spread, -2.4, 2)
    angles = rng.uniform(0, 180, count).tolist()
    for place, axis, angle, value in zip(places, axes, angles, values.tolist(), strict=True):
        cv2.ellipse(floor, place, axis, angle, 0, 360, value, -1)
    return cv2.resize(floor, size, interpolation=cv2.INTER_AREA)


def _add_nest(floor: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """A heap of shredded cotton: bright, smooth, with soft streaks."""
    shape = floor.shape
    patch, tufts = 0.85 * _patch(shape, 9, (26, 16), (34, 18), 5, rng), _streaks(shape, 8, 6, rng)
    for angle in rng.uniform(0, 180, 3):
        turn = cv2.getRotationMatrix2D((shape[1] / 2, shape[0] / 2), angle, 1.5)
        tufts += cv2.warpAffine(_streaks(shape, 6, 0.8, rng), turn, shape[::-1], borderMode=cv2.BORDER_REFLECT)
    return floor * (1 - patch) + (1.03 * look.bedding + 6 + 8 * tufts) * patch


def _add_bare(floor: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """A place where the dark bottom shows between what is left of the bedding."""
    patch = _patch(floor.shape, 4, (14, 7), (20, 9), 2, rng)
    patch *= np.clip(0.8 + 0.5 * _streaks(floor.shape, 3, 2, rng), 0, 1)
    chips = floor > look.bedding + 1.2 * look.contrast
    patch = cv2.GaussianBlur(np.where(chips, 0.2 * patch, patch), (0, 0), 0.5)
    return floor * (1 - patch) + 0.55 * look.bedding * patch


def _patch(
    shape: tuple[int, ...], blobs: int, spread: tuple, axes: tuple, blur: float, rng: np.random.Generator
) -> np.ndarray:
    """Overlapping ellipses somewhere on the floor with soft edges: (height, width) float32 from 0 to 1."""
    height, width = shape
    x, y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.25, 0.75) * height
    patch, unit = np.zeros(shape, np.float32), width / 512
    for _ in range(blobs):
        center = int(x + rng.normal(0, spread[0] * unit)), int(y + rng.normal(0, spread[1] * unit))
        size = [max(1, int(unit * rng.uniform(0.35, 1) * axis)) for axis in axes]
        cv2.ellipse(patch, center, size, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return cv2.GaussianBlur(patch, (0, 0), blur * unit)


def _streaks(shape: tuple[int, ...], across: float, down: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (height, width) float32 of unit deviation, `across` and `down` px wide."""
    noise = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), across, sigmaY=down)
    return noise / noise.std()


def _walls(look: Look, floor: np.ndarray, box: tuple[int, int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Dark surround; the long walls mirror the bedding dimly."""
    height, width = floor.shape
    left, top, right, bottom = box
    grit = _streaks(floor.shape, 0.8, 0.8, rng) + _streaks(floor.shape, 6, 4, rng)
    cage = (0.88 * look.surround + 0.035 * look.surround * grit).astype(np.float32)
    mirror = cv2.GaussianBlur(floor, (0, 0), 0.9)
    strip = look.surround + 0.3 * (mirror - look.bedding)
    above, below = rng.uniform(1.1, 1.3, 2)
    cage[:top, left:right] = above * strip[top : 2 * top, left:right][::-1]
    cage[bottom:, left:right] = below * strip[2 * bottom - height : bottom, left:right][::-1]
    for x, y, end_x, end_y in ((0, 0, left, top), (width, 0, right, top), (0, height, left, bottom),
                               (width, height, right, bottom)):  # fmt: skip
        wedge = np.array([(x, end_y), (end_x, end_y), (0.7 * x + 0.3 * end_x, y), (x, y)], np.int32)
        shade = np.zeros(floor.shape, np.uint8)
        cv2.fillPoly(shade, [wedge], 255, cv2.LINE_AA)
        cage *= 1 - np.float32(rng.uniform(0.1, 0.25) / 255) * shade
        start, stop = ((round(x + k * (end_x - x)), round(y + k * (end_y - y))) for k in (0.1, rng.uniform(0.3, 0.6)))
        cv2.line(cage, start, stop, rng.uniform(1.0, 1.5) * look.surround, 1, cv2.LINE_AA)  # glare
    return cv2.GaussianBlur(cage, (0, 0), 0.6)


def _wavy_outline(left: int, top: int, right: int, bottom: int, rng: np.random.Generator) -> np.ndarray:
    """The edge of the bedding, heaped unevenly against the walls, its corners rounded."""
    steps = 24
    across, down = np.linspace(left, right, steps), np.linspace(top, bottom, steps)
    drop = 3 * np.abs(np.linspace(-1, 1, steps)) ** 16

    def wave() -> np.ndarray:
        return cv2.GaussianBlur(rng.normal(0, 3.0, (1, steps)), (0, 0), 1.5)[0]

    sides = [
        np.stack([across, top + drop + wave()], 1), np.stack([right - drop + wave(), down], 1),
        np.stack([across[::-1], bottom - drop + wave()], 1), np.stack([left + drop + wave(), down[::-1]], 1),
    ]  # fmt: skip
    return np.concatenate([side[1:-1] for side in sides]).round().astype(np.int32)


def _draw_spout(cage: np.ndarray, x: int, y: int, scale: float) -> None:
    """The metal water spout on the right wall with its glass collar, drawn in place."""
    unit = 2 * scale
    collar, ring = np.zeros(cage.shape, np.uint8), ((round(x + 26 * unit), y), (round(9 * unit), round(32 * unit)))
    cv2.ellipse(collar, *ring, 0, 0, 360, 110, -1, cv2.LINE_AA)
    cv2.ellipse(collar, *ring, 0, 0, 360, 255, 1, cv2.LINE_AA)
    cage += (collar / 255).astype(np.float32) * (135 - cage)
    left, half = round(x - 8 * unit), round(20 * unit)
    width = cage.shape[1] - left
    places = np.array((0, 9, 10, 11.5, 13, 20, 24, 27, 29, 32, 36, 38, 41, 44, 50, 60))
    greys = (48, 60, 70, 235, 110, 128, 175, 250, 190, 225, 205, 120, 175, 96, 74, 60)
    across = np.interp(np.arange(width), places * unit, greys)
    down = np.linspace(-1, 1, 2 * half)
    along = np.sqrt(np.clip(1 - down**2, 0, 1)) ** 0.6 * (0.72 + 0.28 * np.exp(-(((down + 0.25) / 0.45) ** 2)))
    steel = np.clip(np.outer(along, across), 26, 250).astype(np.float32)
    shape = np.zeros(steel.shape, np.uint8)
    cv2.ellipse(shape, (round(11 * unit), half), (round(11 * unit), half - 1), 0, 0, 360, 255, -1, cv2.LINE_AA)
    shape[1:-1, round(11 * unit) :] = 255
    shape[:, : round(9 * unit)][np.abs(down) > 0.72] = 0
    area = cage[y - half : y + half, left:]
    area += cv2.GaussianBlur(shape, (0, 0), 0.7).astype(np.float32) / 255 * (steel - area)
