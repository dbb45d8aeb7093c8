"""Pictures of the cage: grey near-infrared frames of a black and a white mouse on bedding, seen from above.

They are drawn from the true poses, to look like frames of CalMS21's arena (Segalin et al. 2021, MARS).
"""

from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np

from mbrepro.data.recordings import FRAME_SIZE
from mbrepro.demo.simulated.cage import Look, draw_cage

_SPINE_POINTS = 18
_TAIL_JOINTS = 12
_TAIL_LENGTH = 185.0  # px of the pose frame
_SHIFT = 4  # OpenCV draws at 1/16 px
# Half width of the body (px of the pose frame) at parts of the way from nose to tail base.
_OUTLINE = ((0.0, 6.0), (0.08, 13.0), (0.2, 24.0), (0.3, 28.0), (0.45, 35.0), (0.62, 45.0), (0.78, 48.0), (0.92, 30.0),
            (1.0, 12.0))  # fmt: skip


@cache
def _fur(size: tuple[int, int]) -> np.ndarray:
    """Fur (height, width) float32 of unit deviation for frames of a size, finer and broader tufts together."""
    rng, fur = np.random.default_rng(0), np.zeros(size[::-1], np.float32)
    for width, weight in ((0.8, 0.45), (2.2, 0.6), (6.0, 0.66)):
        tufts = cv2.GaussianBlur(rng.standard_normal(size[::-1]).astype(np.float32), (0, 0), width)
        fur = fur + weight * tufts / tufts.std()
    return fur


def render(poses: np.ndarray, look: Look, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Draw a (height, width, 3) uint8 frame for each of the true poses (T, 2, 7, 2) px of the pose frame.

    size: (width, height) of the frames.
    """
    rng = np.random.default_rng(look.seed)
    background = draw_cage(look, size, rng)
    noise = np.clip(rng.normal(128, look.noise, (8, *size[::-1])), 0, 255).round().astype(np.uint8)
    scale = np.divide(size, FRAME_SIZE)
    spines, tails = _spines(poses) * scale, _tails(poses, rng) * scale
    heads = poses[:, :, :4] * scale  # nose, ears and neck
    radii = scale[0] * np.interp(np.linspace(0, 1, _SPINE_POINTS), *zip(*_OUTLINE, strict=True))
    offsets = rng.integers(0, len(noise), len(poses))
    for frame in range(len(poses)):
        picture = background.copy()
        for mouse in (1, 0):  # the resident is on top where the two overlap
            _draw_tail(picture, tails[frame, mouse], mouse, look, scale[0])
            _draw_ears(picture, heads[frame, mouse], mouse, look, scale[0])
            _draw_body(picture, spines[frame, mouse], spines[max(frame - 1, 0), mouse], radii, mouse, look)
            _draw_face(picture, heads[frame, mouse], mouse, look, scale[0])
        picture = cv2.GaussianBlur(picture, (3, 3), 0.5)  # the lens
        picture = cv2.addWeighted(picture, look.gain, noise[offsets[frame]], 1.0, -128.0)
        yield cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)


def _spines(poses: np.ndarray) -> np.ndarray:
    """Points along each body from nose to tail base, (T, 2, points, 2): a smooth curve through four of them."""
    nose, neck, tail = poses[:, :, 0], poses[:, :, 3], poses[:, :, 6]
    hips = 0.5 * (poses[:, :, 4] + poses[:, :, 5])
    knots = np.stack([2 * nose - neck, nose, neck, hips, tail, 2 * tail - hips], axis=2)
    along = np.interp(np.linspace(0, 1, _SPINE_POINTS), (0, 0.34, 0.72, 1), (0, 1, 2, 3))
    points = []
    for value in along:
        index = min(int(value), 2)
        t = value - index
        a, b, c, d = (knots[:, :, index + k] for k in range(4))
        points.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3))
    return np.stack(points, axis=2)


def _tails(poses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tails (T, 2, joints, 2) that are dragged behind the body, link by link, and stay curved where they lie."""
    link = _TAIL_LENGTH / (_TAIL_JOINTS - 1)
    base = poses[:, :, 6]
    back = base - 0.5 * (poses[:, :, 4] + poses[:, :, 5])
    back /= np.maximum(np.linalg.norm(back, axis=-1, keepdims=True), 1e-6)
    curl = rng.uniform(-0.25, 0.25, (2, 1))
    turn = np.arctan2(back[0, :, 1], back[0, :, 0])[:, None] + curl * np.arange(_TAIL_JOINTS)
    joints = np.cumsum(link * np.stack([np.cos(turn), np.sin(turn)], -1), axis=1) + base[0][:, None]
    tails = np.empty((len(poses), 2, _TAIL_JOINTS, 2))
    for frame, along in enumerate(back):
        joints[:, 0] = base[frame]
        for j in range(1, _TAIL_JOINTS):
            step = joints[:, j] - joints[:, j - 1] + (1.2 if j < 4 else 0.1) * along
            along = step / np.maximum(np.sqrt((step**2).sum(-1, keepdims=True)), 1e-6)
            joints[:, j] = joints[:, j - 1] + link * along
        tails[frame] = joints
    return tails


def _draw_body(
    picture: np.ndarray, spine: np.ndarray, last: np.ndarray, radii: np.ndarray, mouse: int, look: Look
) -> None:
    """Draw the shaded body in place, with its shadow, blurred along the way it has moved since the last frame."""
    edge, crest = look.white if mouse else look.black
    pad, points = radii.max() + 12, np.concatenate([spine, last])
    left, top = np.maximum(np.floor(points.min(axis=0) - pad), 0).astype(int)
    right, bottom = np.minimum(np.ceil(points.max(axis=0) + pad), picture.shape[::-1]).astype(int)
    if right - left < 3 or bottom - top < 3:
        return
    moved = float(np.abs(spine - last).max())
    steps = 1 if moved < 2.5 else min(4, 2 + int(moved / 5))
    mask = np.zeros((bottom - top, right - left), np.float32)
    for k in range(steps):
        silhouette = np.zeros(mask.shape, np.uint8)
        centers = _fixed(spine + (last - spine) * (0.6 * k / steps) - (left, top))
        for center, radius in zip(centers, _fixed(radii), strict=True):
            cv2.circle(silhouette, center, radius, 255, -1, cv2.LINE_8, _SHIFT)
        mask += silhouette
    mask *= 1 / (255 * steps)
    region = picture[top:bottom, left:right].astype(np.float32)
    region *= 1 - 0.42 * np.roll(cv2.GaussianBlur(mask, (0, 0), 5.0), (2, 1), (0, 1))  # the shadow
    volume = _volume(mask, 0.5 * radii.max())
    alpha = cv2.GaussianBlur(mask, (0, 0), 1.1)
    fur = _fur(picture.shape[::-1])[: mask.shape[0], : mask.shape[1]]
    coat = edge + (crest - edge) * np.clip(2.4 * volume - 0.95, 0, 1) + fur * (7.0 if mouse else 3.5)
    alpha *= 1 + (0.22 * fur - 0.1) * (1 - alpha)  # hairs stand out at the edge
    region += alpha * (coat - region)
    picture[top:bottom, left:right] = np.clip(region, 0, 255).astype(np.uint8)


def _volume(mask: np.ndarray, sigma: float) -> np.ndarray:
    """How far inside the body a pixel lies: the mask blurred, at a quarter of its pixels, as it is smooth."""
    height, width = mask.shape
    small = cv2.resize(mask, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), 0.5 * sigma), (width, height), interpolation=cv2.INTER_LINEAR)


def _fixed(values: np.ndarray) -> list:
    """As OpenCV takes places and lengths."""
    return (values * 2**_SHIFT).round().astype(int).tolist()


def _draw_ears(picture: np.ndarray, head: np.ndarray, mouse: int, look: Look, scale: float) -> None:
    """Ears in place; the body is drawn over their inner half."""
    _, left, right, neck = head
    rim, inner = (look.white[0] - 25, look.white[0]) if mouse else (look.black[0] + 42, look.black[0] + 18)
    radius = round(12.5 * scale * 2**_SHIFT)
    for ear in (left, right):
        center = _fixed(1.05 * ear - 0.05 * neck)
        cv2.circle(picture, center, radius, rim, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(picture, center, round(0.66 * radius), inner, -1, cv2.LINE_AA, _SHIFT)


def _draw_face(picture: np.ndarray, head: np.ndarray, mouse: int, look: Look, scale: float) -> None:
    """The tip of the nose and, on some residents, the implant, in place."""
    nose, _, _, neck = head
    value = look.white[0] - 22 if mouse else look.black[0] + 24
    cv2.circle(picture, _fixed(0.94 * nose + 0.06 * neck), round(4 * scale * 2**_SHIFT), value, -1, cv2.LINE_AA, _SHIFT)
    if look.implant and not mouse:
        center = _fixed(0.35 * nose + 0.65 * neck)
        cv2.circle(picture, center, round(15 * scale * 2**_SHIFT), 165, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(picture, center, round(6 * scale * 2**_SHIFT), 70, -1, cv2.LINE_AA, _SHIFT)


def _draw_tail(picture: np.ndarray, joints: np.ndarray, mouse: int, look: Look, scale: float) -> None:
    """A thin tapering tail, in place."""
    value = 0.5 * (look.white[0] + look.bedding) + 22 if mouse else 0.6 * look.bedding
    points = np.array(_fixed(joints), np.int32)
    for first, last, width in ((0, 3, 10.0), (2, 5, 8.0), (4, 8, 6.0), (7, len(joints), 3.5)):
        thickness = max(1, round(width * scale))
        cv2.polylines(picture, [points[first:last]], False, 0.8 * value, thickness + 1, cv2.LINE_AA, _SHIFT)
        cv2.polylines(picture, [points[first:last]], False, value, thickness, cv2.LINE_AA, _SHIFT)
