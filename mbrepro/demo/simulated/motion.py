"""A mouse as a jointed chain that walks: nose, neck, middle, tail base, and the two ways in which it is moved.

Places and steps are complex numbers, x + iy px, y pointing down; 1j times a direction is the one to its right.
"""

import math
from cmath import phase, rect
from dataclasses import dataclass, field

ARENA = (75.0, 91.0, 928.0, 538.0)  # left, top, right, bottom px; CalMS21 poses (Sun et al. 2021), percentiles
NECK_JOINT, SPINE_JOINT = 1.3, 0.8  # most that the head and the rear bend away from the front body, radians


@dataclass(slots=True)
class Mouse:
    """State of one mouse: its neck's place, directions (radians) of head, front and rear body, speed (px a frame).

    `stretch` scales the body's length: below 1 hunched or reared, above 1 elongated. `size` is the animal's own scale,
    `pace` how lively it is.
    `goal` is what it is up to while it wanders.
    """

    neck: complex
    head: float
    body: float
    rear: float
    size: float
    length: float
    snout: float
    pace: float = 1.0
    speed: float = 0.0
    stretch: float = 1.0
    goal: dict = field(default_factory=dict)

    @property
    def half(self) -> float:
        """Length of each half of the spine now, px."""
        return 0.5 * self.length * self.stretch

    def nose(self) -> complex:
        return self.neck + rect(self.snout, self.head)

    def middle(self) -> complex:
        return self.neck - rect(self.half, self.body)

    def tail(self) -> complex:
        return self.middle() - rect(self.half, self.rear)


def apart(a: complex, b: complex) -> float:
    """Distance of two places; abs(a - b) would have other last bits."""
    return math.hypot(a.real - b.real, a.imag - b.imag)


def wrap(angle: float) -> float:
    """The same angle between -pi and pi."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def clip(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def clip_step(step: complex, limit: float) -> complex:
    return complex(clip(step.real, limit), clip(step.imag, limit))


def inside(place: complex, margin: float) -> complex:
    """The nearest place at least `margin` px inside the arena."""
    left, top, right, bottom = ARENA
    x, y = min(max(place.real, left + margin), right - margin), min(max(place.imag, top + margin), bottom - margin)
    return complex(x, y)


def stretch_to(mouse: Mouse, goal: float, rate: float = 0.12) -> None:
    mouse.stretch += clip(rate * (goal - mouse.stretch), 0.06)


def steer(mouse: Mouse, to: complex, top: float, turn: float = 0.22) -> None:
    """Walk so that the nose comes to a place: at most `top` px and `turn` radians a frame; the body trails the neck."""
    remaining = apart(to, mouse.nose())
    error = wrap(phase(to - mouse.neck) - mouse.head)
    want = min(top, 0.16 * remaining) * max(0.25, math.cos(error))
    if apart(to, mouse.neck) < 0.8 * mouse.snout:
        want = -min(2.5, top)  # too close to reach: back off
    mouse.speed += min(max(want - mouse.speed, -2.6), 1.8)
    if remaining > 4.0:
        mouse.head += clip(0.3 * error, turn)
    mouse.head = mouse.body + clip(wrap(mouse.head - mouse.body), NECK_JOINT)
    pivot = clip(0.12 * wrap(mouse.head - mouse.body), 0.5 * turn) * mouse.half  # the front paws step sideways
    middle, tail = mouse.middle(), mouse.tail()
    mouse.neck += rect(mouse.speed, mouse.head) + 1j * rect(pivot, mouse.body)
    if mouse.speed > 0:  # the body is pulled along as a chain whose links keep their length (a tractrix)
        mouse.body += clip(wrap(phase(mouse.neck - middle) - mouse.body), 0.3)
        mouse.rear += clip(wrap(phase(mouse.middle() - tail) - mouse.rear), 0.3)
    _limit_joints(mouse)


def servo(
    mouse: Mouse, to: complex, head: float, body: float, rear: float, top: float = 2.0, turn: float = 0.25
) -> None:
    """Move the neck straight to a place and the three directions to the given ones, within the same limits."""
    distance = apart(to, mouse.neck)
    mouse.speed = max(mouse.speed + min(max(min(top, 0.5 * distance) - mouse.speed, -8.0), 5.0), 0.0)
    if distance > 1e-6:
        mouse.neck += min(mouse.speed, distance) * (to - mouse.neck) / distance
    mouse.head += clip(0.35 * wrap(head - mouse.head), turn)
    mouse.body += clip(0.35 * wrap(body - mouse.body), turn)
    mouse.rear += clip(0.3 * wrap(rear - mouse.rear), turn)
    _limit_joints(mouse)


def _limit_joints(mouse: Mouse) -> None:
    """Keep the bends within the joints' limits and let the body straighten a little."""
    mouse.head = mouse.body + clip(wrap(mouse.head - mouse.body), NECK_JOINT)
    mouse.rear = mouse.body + clip(0.96 * wrap(mouse.rear - mouse.body), SPINE_JOINT)
