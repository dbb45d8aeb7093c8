"""Two mice in one cage that do not mind each other: walking, resting, keeping apart, and coming together in time."""

import math
from dataclasses import dataclass, field

import numpy as np

from mbrepro.demo.simulated.motion import ARENA, Mouse, clip, inside, servo, shift, steer, stretch_to, wrap
from mbrepro.demo.simulated.schedule import CONTACTS, Bout


@dataclass(slots=True)
class Scene:
    """Both mice, the current and the following activity, and what the activities remember."""

    resident: Mouse
    intruder: Mouse
    rng: np.random.Generator
    frame: int = 0
    bout: Bout | None = None
    following: str = "wander"
    memory: dict = field(default_factory=dict)  # of the bout
    goals: dict = field(default_factory=dict)  # where each mouse is heading while it wanders

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
    ax, ay = scene.resident.middle()
    bx, by = scene.intruder.middle()
    return math.hypot(ax - bx, ay - by)


def keep_apart(scene: Scene, nearest: float) -> None:
    """Push the resident off the intruder where the trunks are nearer than `nearest` px: bodies do not overlap."""
    push_x = push_y = 0.0
    trunk = ((scene.intruder.x, scene.intruder.y), scene.intruder.middle(), scene.intruder.tail())
    for ax, ay in (scene.resident.middle(), scene.resident.tail()):
        for bx, by in trunk:
            apart = math.hypot(ax - bx, ay - by)
            if apart < nearest:
                push = 0.15 * (nearest - apart) / max(apart, 1.0)
                push_x += push * (ax - bx)
                push_y += push * (ay - by)
    shift(scene.resident, clip(push_x, 6.0), clip(push_y, 6.0))


def wander(scene: Scene) -> None:
    if scene.following == "rear" and scene.left < 60:
        walk(scene, scene.resident, "resident")
        to_wall(scene.intruder, top=9.0)
        return
    _leave(scene)
    walk(scene, scene.intruder, "intruder")
    if scene.following in CONTACTS and _come(scene):
        return
    walk(scene, scene.resident, "resident")
    _make_room(scene)


def _leave(scene: Scene) -> None:
    """After contact, most times, walk away from the other mouse instead of lingering."""
    if scene.memory:
        return
    scene.memory["left"] = True
    if gap(scene) < 250.0:
        for who, mouse, chance in (("resident", scene.resident, 1.0), ("intruder", scene.intruder, 0.2)):
            if scene.rng.random() < chance:
                x, y = _far_place(scene, mouse)
                pace = 13.0 * math.exp(scene.rng.normal(0, 0.2))
                scene.goals[who] = {
                    "kind": "walk", "until": scene.frame + 150, "x": x, "y": y, "pace": pace, "stretch": 0.0,
                    "turn": 0.35,
                }  # fmt: skip


def _far_place(scene: Scene, mouse: Mouse) -> tuple[float, float]:
    """The farthest from the other mouse of a few places."""
    other = scene.intruder if mouse is scene.resident else scene.resident
    places = [_place(scene) for _ in range(2 + int(scene.rng.random() < 0.6))]
    return max(places, key=lambda p: math.hypot(p[0] - other.x, p[1] - other.y))


def _come(scene: Scene) -> bool:
    """Bring the resident to the intruder in time for the contact that follows; False while it is too early."""
    x, y = scene.intruder.tail() if scene.following not in ("sniff_face", "attack") else scene.intruder.nose()
    nose_x, nose_y = scene.resident.nose()
    distance = max(0.0, math.hypot(x - nose_x, y - nose_y) - 60.0)
    if scene.left > distance / 13.0 + 5.0:
        return False
    steer(scene.resident, x, y, top=min(26.0, max(3.0, 1.1 * distance / max(scene.left, 1))))
    stretch_to(scene.resident, 1.03)
    if scene.following not in ("mount", "mount_attempt", "intromission"):
        keep_apart(scene, 90.0)
    return True


# Chances of resting, creeping about and walking, and how fast and far each mouse walks; chosen so that speeds and
# distances are those of CalMS21's pose windows (real_statistics.json). The intruder mostly sits.
_HABITS = {"resident": (0.55, 0.34, 0.11), "intruder": (0.34, 0.57, 0.09)}
_WALK, _CREEP = 9.5, 2.6  # px a frame


def walk(scene: Scene, mouse: Mouse, who: str, pace: float = 1.0) -> None:
    """By turns rest and look around (or groom, or rear), creep about, and walk to another place in the cage."""
    goal = scene.goals.get(who)
    if goal is None or scene.frame >= goal["until"]:
        goal = scene.goals[who] = _new_goal(scene, mouse, who)
    if goal["kind"] == "walk":
        steer(mouse, goal["x"], goal["y"], pace * goal["pace"], turn=goal.get("turn", 0.2))
        stretch_to(mouse, 0.97 + 0.012 * mouse.speed + goal["stretch"], 0.06)
        nose_x, nose_y = mouse.nose()
        if math.hypot(goal["x"] - nose_x, goal["y"] - nose_y) < 25.0:
            goal["until"] = scene.frame
        return
    look = mouse.body + goal["look"] + 0.15 * math.sin(goal["rate"] * scene.frame)
    servo(mouse, mouse.x, mouse.y, look, mouse.body + clip(0.12 * wrap(goal["body"] - mouse.body), 0.035), mouse.rear,
          top=2.0, turn=0.12)  # fmt: skip
    stretch_to(mouse, goal["stretch"], 0.05)


def _new_goal(scene: Scene, mouse: Mouse, who: str) -> dict:
    rng = scene.rng
    kind = rng.choice(["rest", "creep", "walk"], p=_HABITS[who])
    if kind == "rest":
        return _rest(scene, mouse, who)
    if kind == "creep":
        angle, reach = mouse.head + rng.normal(0, 0.9), rng.uniform(40, 130)
        nose_x, nose_y = mouse.nose()
        x, y = inside(nose_x + reach * math.cos(angle), nose_y + reach * math.sin(angle), 10.0)
        pace = _CREEP * math.exp(rng.normal(0, 0.5))
    else:
        x, y = _far_place(scene, mouse) if who == "resident" else _place(scene, corner=rng.random() < 0.75)
        pace = _WALK * math.exp(rng.normal(0, 0.35))
    return {
        "kind": "walk", "until": scene.frame + round(30 * rng.uniform(1.0, 3.0)), "x": x, "y": y, "pace": pace,
        "stretch": rng.normal(0, 0.06),
    }  # fmt: skip


def _rest(scene: Scene, mouse: Mouse, who: str) -> dict:
    """Sit along the nearest wall, or somewhere else however one likes, and look around, rear or groom."""
    rng = scene.rng
    rears = 0.1 if who == "resident" else 0.2
    posture = rng.choice(["look", "rear", "groom"], p=[0.9 - rears, rears, 0.1])
    stretch = {"look": rng.normal(0.97, 0.13), "rear": 0.42 if who == "intruder" else 0.58, "groom": 0.76}[posture]
    x, y = mouse.middle()
    left, top, right, bottom = ARENA
    along_x, along_y = min(y - top, bottom - y) < 110, min(x - left, right - x) < 110
    body = mouse.body + rng.normal(0, 1.2)
    if along_x or along_y:
        body = math.pi * rng.integers(2) + (0.0 if along_x and (not along_y or rng.random() < 0.6) else math.pi / 2)
        body += rng.normal(0, 0.25)
    if who == "resident" and rng.random() < 0.65:
        body = math.atan2(scene.intruder.y - mouse.y, scene.intruder.x - mouse.x) + rng.normal(0, 0.4)
    return {
        "kind": "rest", "until": scene.frame + max(8, round(30 * math.exp(rng.normal(0.6, 0.7)))), "body": body,
        "look": rng.normal(0, 0.35 if who == "resident" else 1.4), "stretch": min(1.15, stretch),
        "rate": 1.1 if posture == "groom" else rng.uniform(0.05, 0.25),
    }  # fmt: skip


def _place(scene: Scene, corner: bool = False) -> tuple[float, float]:
    """A place to walk to: in a corner, most often the lower left; or anywhere, mostly at the ends and along walls."""
    rng = scene.rng
    left, top, right, bottom = ARENA
    if corner:
        x, y = right if rng.random() < 0.35 else left, bottom if rng.random() < 0.75 else top
        return inside(x + rng.normal(0, 60), y + rng.normal(0, 40), 14.0)
    x, y = left + (right - left) * rng.beta(0.35, 0.35), rng.uniform(top, bottom)
    if rng.random() < 0.5:
        x, y = [(x, top), (x, bottom), (left, y), (right, y)][rng.integers(4)]
    if scene.following == "approach" and math.hypot(x - scene.intruder.x, y - scene.intruder.y) < 350:
        x, y = left + right - scene.intruder.x, top + bottom - scene.intruder.y
    return inside(x, y, 14.0)


def _make_room(scene: Scene) -> None:
    """Keep two wandering mice from walking through each other."""
    near = gap(scene)
    if near > 150.0:
        return
    ax, ay = scene.resident.middle()
    bx, by = scene.intruder.middle()
    push = 0.03 * (150.0 - near) / max(near, 1.0)
    shift(scene.resident, clip(push * (ax - bx), 3.5), clip(push * (ay - by), 3.5))
    shift(scene.intruder, clip(0.4 * push * (bx - ax), 2.0), clip(0.4 * push * (by - ay), 2.0))
    if scene.left > 45 and near < 120 and scene.goals["resident"]["kind"] == "rest":
        scene.goals["resident"]["until"] = scene.frame  # do not rest against the other mouse


def to_wall(mouse: Mouse, top: float) -> None:
    left, roof, right, bottom = ARENA
    x, y = mouse.nose()
    walls = [(x - left, left, y), (right - x, right, y), (y - roof, x, roof), (bottom - y, x, bottom)]
    _, wall_x, wall_y = min(walls)
    steer(mouse, *inside(wall_x, wall_y, 4.0), top=top)
