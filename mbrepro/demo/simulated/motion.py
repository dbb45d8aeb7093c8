"""A mouse as a jointed chain that walks: nose, neck, middle, tail base, and the two ways in which it is moved."""

import math
from dataclasses import dataclass

ARENA = (75.0, 91.0, 928.0, 538.0)  # left, top, right, bottom px; CalMS21 poses (Sun et al. 2021), percentiles
NECK_JOINT, SPINE_JOINT = 1.3, 0.8  # most that the head and the rear bend away from the front body, radians


@dataclass(slots=True)
class Mouse:
    """State of one mouse: neck position (px), directions (radians) of head, front and rear body, speed (px a frame).

    `stretch` scales the body's length: below 1 hunched or reared, above 1 elongated. `size` is the animal's own scale.
    """

    x: float
    y: float
    head: float
    body: float
    rear: float
    size: float
    length: float
    speed: float = 0.0
    stretch: float = 1.0
    snout: float = 66.0

    @property
    def half(self) -> float:
        """Length of each half of the spine now, px."""
        return 0.5 * self.length * self.stretch

    def nose(self) -> tuple[float, float]:
        return self.x + self.snout * math.cos(self.head), self.y + self.snout * math.sin(self.head)

    def middle(self) -> tuple[float, float]:
        return self.x - self.half * math.cos(self.body), self.y - self.half * math.sin(self.body)

    def tail(self) -> tuple[float, float]:
        x, y = self.middle()
        return x - self.half * math.cos(self.rear), y - self.half * math.sin(self.rear)

    def row(self) -> tuple[float, ...]:
        """What the skeleton is computed from."""
        return self.x, self.y, self.head, self.body, self.rear, self.half


def wrap(angle: float) -> float:
    """The same angle between -pi and pi."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def clip(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def inside(x: float, y: float, margin: float) -> tuple[float, float]:
    """The nearest point at least `margin` px inside the arena."""
    left, top, right, bottom = ARENA
    return min(max(x, left + margin), right - margin), min(max(y, top + margin), bottom - margin)


def stretch_to(mouse: Mouse, goal: float, rate: float = 0.12) -> None:
    mouse.stretch += clip(rate * (goal - mouse.stretch), 0.06)


def steer(mouse: Mouse, x: float, y: float, top: float, turn: float = 0.22) -> None:
    """Walk so that the nose comes to (x, y): at most `top` px and `turn` radians a frame; the body trails the neck."""
    nose_x, nose_y = mouse.nose()
    remaining = math.hypot(x - nose_x, y - nose_y)
    from_neck = math.hypot(x - mouse.x, y - mouse.y)
    error = wrap(math.atan2(y - mouse.y, x - mouse.x) - mouse.head)
    if remaining > 4.0:
        mouse.head += clip(0.3 * error, turn)
    mouse.head = mouse.body + clip(wrap(mouse.head - mouse.body), NECK_JOINT)
    want = min(top, 0.16 * remaining) * max(0.25, math.cos(error))
    if from_neck < 0.8 * mouse.snout:
        want = -min(2.5, top)  # too close to reach: back off
    mouse.speed += min(max(want - mouse.speed, -2.6), 1.8)
    pivot = clip(0.12 * wrap(mouse.head - mouse.body), 0.5 * turn) * mouse.half  # the front paws step sideways
    step_x = mouse.speed * math.cos(mouse.head) - pivot * math.sin(mouse.body)
    step_y = mouse.speed * math.sin(mouse.head) + pivot * math.cos(mouse.body)
    _advance(mouse, step_x, step_y, trail=mouse.speed > 0)


def servo(
    mouse: Mouse, x: float, y: float, head: float, body: float, rear: float, top: float, turn: float = 0.25
) -> None:
    """Move the neck straight to (x, y) and the three directions to the given ones, within the same limits."""
    distance = math.hypot(x - mouse.x, y - mouse.y)
    mouse.speed += min(max(min(top, 0.5 * distance) - mouse.speed, -8.0), 5.0)
    mouse.speed = max(mouse.speed, 0.0)
    step = min(mouse.speed, distance)
    if distance > 1e-6:
        mouse.x += step * (x - mouse.x) / distance
        mouse.y += step * (y - mouse.y) / distance
    mouse.head += clip(0.35 * wrap(head - mouse.head), turn)
    mouse.body += clip(0.35 * wrap(body - mouse.body), turn)
    mouse.rear += clip(0.3 * wrap(rear - mouse.rear), turn)
    _limit_joints(mouse)


def shift(mouse: Mouse, x: float, y: float) -> None:
    """Move the whole mouse by (x, y) px."""
    mouse.x += x
    mouse.y += y


def _advance(mouse: Mouse, step_x: float, step_y: float, *, trail: bool) -> None:
    """Move the neck; when `trail`, pull the body behind it as a chain whose links keep their length (a tractrix)."""
    middle_x, middle_y = mouse.middle()
    tail_x, tail_y = mouse.tail()
    mouse.x += step_x
    mouse.y += step_y
    if trail:
        mouse.body += clip(wrap(math.atan2(mouse.y - middle_y, mouse.x - middle_x) - mouse.body), 0.3)
        middle_x, middle_y = mouse.middle()
        mouse.rear += clip(wrap(math.atan2(middle_y - tail_y, middle_x - tail_x) - mouse.rear), 0.3)
    _limit_joints(mouse)


def _limit_joints(mouse: Mouse) -> None:
    """Keep the bends within the joints' limits and let the body straighten a little."""
    mouse.head = mouse.body + clip(wrap(mouse.head - mouse.body), NECK_JOINT)
    mouse.rear = mouse.body + clip(0.96 * wrap(mouse.rear - mouse.body), SPINE_JOINT)
