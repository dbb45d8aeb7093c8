"""Two mice in one cage that do not mind each other: walking, resting, keeping apart, and coming together in time."""

import math
from cmath import phase, rect
from dataclasses import dataclass, field, replace

import numpy as np

from mbrepro.demo.simulated.motion import ARENA, Mouse, apart, clip, clip_step, inside, servo, steer, stretch_to, wrap
from mbrepro.demo.simulated.schedule import CONTACTS, Bout


@dataclass(frozen=True)
class Acts:
    """How the mice do what they do; chosen by the judges on train recordings (`mbrepro.demo.judges`).

    linger_s: gaps in contact up to about so many seconds are spent beside the other mouse. off, off_range: how far the
    resident's nose is off it then, px, at least and more. look: how far its head is turned away, radians.
    moments: times a second that it looks up from sniffing, or touches the other in passing, which nobody writes down;
    moment_s: for how long at most. moment_off: how far off, of `off`.
    apart, push: px between trunks under which sniffing mice make room, and how much of it a frame.
    attack: chances of rolling, chasing and holding. fierce: how fast these are. inwards: how much of the way to the
    middle of the cage rolling mice move a frame. depth: px that the nose is in the intruder while it holds on.
    own: sd of the logarithm of what these are multiplied by from pair to pair.
    creep: px a frame of a mounted intruder. reach, reach_sd, across: px from the intruder's neck back to the
    resident's, its spread, and the spread to the side. thrust: px.
    """

    linger_s: float = 1.0
    off: float = 60.0
    off_range: float = 40.0
    look: float = 0.7
    moments: float = 0.0
    moment_s: float = 0.5
    moment_off: float = 1.0
    apart: float = 90.0
    push: float = 0.35
    attack: tuple[float, float, float] = (0.34, 0.23, 0.43)
    fierce: float = 1.1
    inwards: float = 0.04
    depth: float = 18.0
    creep: float = 2.5
    reach: float = 61.0
    reach_sd: float = 8.0
    across: float = 10.0
    thrust: float = 7.0
    own: float = 0.3

    def of_a_pair(self, rng: np.random.Generator) -> "Acts":
        """Two animals' own way of it."""
        names = ("linger_s", "off", "moments", "fierce", "depth", "creep", "thrust")
        factors = np.exp(self.own * np.clip(rng.standard_normal(len(names)), -2, 2))
        return replace(self, **{name: getattr(self, name) * k for name, k in zip(names, factors.tolist(), strict=True)})


_BEFORE = Bout(0, 0, "wander")  # of a scene that has yet to begin


@dataclass(slots=True)
class Scene:
    """Both mice, the current and the following activity, and what the activity remembers of the bout."""

    resident: Mouse
    intruder: Mouse
    rng: np.random.Generator
    acts: Acts = Acts()
    frame: int = 0
    bout: Bout = _BEFORE
    following: str = "wander"
    memory: dict = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Frames until the bout ends."""
        return self.bout.stop - self.frame

    @property
    def done(self) -> float:
        """Part of the bout that is over, 0 to 1."""
        return (self.frame - self.bout.start) / max(1, self.bout.stop - self.bout.start)


def gap(scene: Scene) -> float:
    """Distance between the middles of the bodies, px."""
    return apart(scene.resident.middle(), scene.intruder.middle())


def keep_apart(scene: Scene, nearest: float, strength: float = 0.15) -> None:
    """Push the resident off the intruder where the trunks are nearer than `nearest` px: bodies do not overlap."""
    push, resident, intruder = 0j, scene.resident, scene.intruder
    trunk = (intruder.neck, intruder.middle(), intruder.tail())
    for place in (resident.middle(), resident.tail()):
        for other in trunk:
            distance = apart(place, other)
            if distance < nearest:
                push += strength * (nearest - distance) / max(distance, 1.0) * (place - other)
    resident.neck += clip_step(push, 6.0)


def wander(scene: Scene) -> None:
    if scene.following == "rear" and scene.left < 60:
        walk(scene, scene.resident)
        to_wall(scene.intruder, top=9.0)
        return
    _leave(scene)
    walk(scene, scene.intruder)
    if scene.following in CONTACTS and _come(scene):
        return
    walk(scene, scene.resident)
    _make_room(scene)


def _leave(scene: Scene) -> None:
    """After contact, most times, walk away from the other mouse instead of lingering."""
    if "left" in scene.memory:
        return
    scene.memory["left"] = True
    if gap(scene) < 300.0:
        for mouse, chance in ((scene.resident, 1.0), (scene.intruder, 0.35)):
            if scene.rng.random() < chance:
                place, pace = _far_place(scene, mouse), 13.0 * math.exp(scene.rng.normal(0, 0.2))
                mouse.goal = {"to": place, "until": scene.frame + 150, "pace": pace, "stretch": 0.0, "turn": 0.35}


def _far_place(scene: Scene, mouse: Mouse) -> complex:
    """The farthest from the other mouse of a few places."""
    other = scene.intruder if mouse is scene.resident else scene.resident
    places = [_place(scene) for _ in range(2 + int(scene.rng.random() < 0.6))]
    return max(places, key=lambda place: apart(place, other.neck))


def _come(scene: Scene) -> bool:
    """Bring the resident to the intruder in time for the contact that follows; False while it is too early."""
    goal = scene.intruder.nose() if scene.following in ("sniff_face", "attack") else scene.intruder.tail()
    distance = max(0.0, apart(goal, scene.resident.nose()) - 60.0)
    if scene.left > distance / 13.0 + 5.0:
        return False
    steer(scene.resident, goal, top=min(26.0, max(3.0, 1.1 * distance / max(scene.left, 1))))
    stretch_to(scene.resident, 1.03)
    if scene.following not in ("mount", "mount_attempt", "intromission"):
        keep_apart(scene, 90.0)
    return True


# Chances of resting, creeping about and walking, and how fast and far each mouse walks; chosen so that speeds and
# distances are those of CalMS21's pose windows (real_statistics.json). The intruder mostly sits.
_RESIDENT_HABITS, _INTRUDER_HABITS = (0.55, 0.34, 0.11), (0.34, 0.57, 0.09)
_WALK, _CREEP = 9.5, 2.6  # px a frame


def walk(scene: Scene, mouse: Mouse, pace: float = 1.0) -> None:
    """By turns rest and look around (or groom, or rear), creep about, and walk to another place in the cage."""
    if not mouse.goal or scene.frame >= mouse.goal["until"]:
        mouse.goal = _new_goal(scene, mouse)
    goal = mouse.goal
    if "to" in goal:
        steer(mouse, goal["to"], pace * mouse.pace * goal["pace"], goal["turn"])
        stretch_to(mouse, 0.97 + 0.012 * mouse.speed + goal["stretch"], 0.06)
        if apart(goal["to"], mouse.nose()) < 25.0:
            goal["until"] = scene.frame
        return
    look = mouse.body + goal["look"] + 0.15 * math.sin(goal["rate"] * scene.frame)
    body = mouse.body + clip(0.12 * wrap(goal["body"] - mouse.body), 0.035)
    servo(mouse, mouse.neck, look, body, mouse.rear, turn=0.12)
    stretch_to(mouse, goal["stretch"], 0.05)


def _new_goal(scene: Scene, mouse: Mouse) -> dict:
    """Somewhere to walk or creep "to", or else how to rest, "until" a frame."""
    rng, resident = scene.rng, mouse is scene.resident
    kind = rng.choice(["rest", "creep", "walk"], p=_RESIDENT_HABITS if resident else _INTRUDER_HABITS)
    if resident and scene.left > 60 and gap(scene) < 180.0:
        kind = "walk"  # mice that have nothing to do with each other are seldom close
    if kind == "rest":
        return _rest(scene, mouse)
    if kind == "creep":
        angle, reach = mouse.head + rng.normal(0, 0.9), rng.uniform(40, 130)
        place = inside(mouse.nose() + rect(reach, angle), 10.0)
        pace = _CREEP * math.exp(rng.normal(0, 0.5))
    else:
        place = _far_place(scene, mouse) if resident else _place(scene, corner=rng.random() < 0.75)
        pace = _WALK * math.exp(rng.normal(0, 0.35))
    until = scene.frame + round(30 * rng.uniform(1.0, 3.0))
    return {"to": place, "until": until, "pace": pace, "stretch": rng.normal(0, 0.06), "turn": 0.2}


def _rest(scene: Scene, mouse: Mouse) -> dict:
    """Sit along the nearest wall, or somewhere else however one likes, and look around, rear or groom."""
    rng, resident = scene.rng, mouse is scene.resident
    rears = 0.1 if resident else 0.2
    posture = rng.choice(["look", "rear", "groom"], p=[0.9 - rears, rears, 0.1])
    stretch = {"look": rng.normal(0.97, 0.13), "rear": 0.58 if resident else 0.42, "groom": 0.76}[posture]
    (left, top, right, bottom), x, y = ARENA, mouse.middle().real, mouse.middle().imag
    along_x, along_y = min(y - top, bottom - y) < 110, min(x - left, right - x) < 110
    body = mouse.body + rng.normal(0, 1.2)
    if along_x or along_y:
        body = math.pi * rng.integers(2) + (0.0 if along_x and (not along_y or rng.random() < 0.6) else math.pi / 2)
        body += rng.normal(0, 0.25)
    if resident and rng.random() < 0.65:
        body = phase(scene.intruder.neck - mouse.neck) + rng.normal(0, 0.4)
    return {
        "until": scene.frame + max(8, round(30 * math.exp(rng.normal(0.6, 0.7)))), "body": body,
        "look": rng.normal(0, 0.35 if resident else 1.4), "stretch": min(1.15, stretch),
        "rate": 1.1 if posture == "groom" else rng.uniform(0.05, 0.25),
    }  # fmt: skip


def _place(scene: Scene, corner: bool = False) -> complex:
    """A place to walk to: in a corner, most often the lower left; or anywhere, mostly at the ends and along walls."""
    rng, other, (left, top, right, bottom) = scene.rng, scene.intruder.neck, ARENA
    if corner:
        x, y = right if rng.random() < 0.35 else left, bottom if rng.random() < 0.75 else top
        return inside(complex(x + rng.normal(0, 60), y + rng.normal(0, 40)), 14.0)
    x, y = left + (right - left) * rng.beta(0.35, 0.35), rng.uniform(top, bottom)
    if rng.random() < 0.5:
        x, y = [(x, top), (x, bottom), (left, y), (right, y)][rng.integers(4)]
    if scene.following == "approach" and apart(complex(x, y), other) < 350:
        x, y = left + right - other.real, top + bottom - other.imag
    return inside(complex(x, y), 14.0)


def _make_room(scene: Scene) -> None:
    """Keep two wandering mice from walking through each other."""
    near, resident, intruder = gap(scene), scene.resident, scene.intruder
    if near > 150.0:
        return
    push = 0.03 * (150.0 - near) / max(near, 1.0)
    away = resident.middle() - intruder.middle()
    resident.neck += clip_step(push * away, 3.5)
    intruder.neck -= clip_step(0.4 * push * away, 2.0)
    if scene.left > 45 and near < 120 and "to" not in resident.goal:
        resident.goal["until"] = scene.frame  # do not rest against the other mouse


def to_wall(mouse: Mouse, top: float) -> None:
    """Walk to the nearest wall."""
    left, roof, right, bottom = ARENA
    x, y = mouse.nose().real, mouse.nose().imag
    walls = [(x - left, left, y), (right - x, right, y), (y - roof, x, roof), (bottom - y, x, bottom)]
    _, wall_x, wall_y = min(walls)
    steer(mouse, inside(complex(wall_x, wall_y), 4.0), top=top)
