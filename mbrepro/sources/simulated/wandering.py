"""Two mice in one cage that do not mind each other: walking, resting, keeping apart, and coming together in time."""

import math
from dataclasses import dataclass, field

import numpy as np

from mbrepro.sources.simulated.motion import ARENA, Mouse, clip, inside, servo, shift, steer, stretch_to
from mbrepro.sources.simulated.schedule import CONTACTS, Bout


@dataclass(slots=True)
class Scene:
    """Both mice, the current and the following activity, and what the activities remember."""

    resident: Mouse
    intruder: Mouse
    rng: np.random.Generator
    boldness: float  # how much this resident walks, 1 on average
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
        walk(scene, scene.resident, "resident", 11.0 * scene.boldness)
        to_wall(scene.intruder, top=9.0)
        return
    _leave(scene)
    walk(scene, scene.intruder, "intruder", 7.5)
    if scene.following in CONTACTS and _come(scene):
        return
    walk(scene, scene.resident, "resident", 12.0 * scene.boldness)
    _make_room(scene)


def _leave(scene: Scene) -> None:
    """After contact, most times, walk away from the other mouse instead of lingering."""
    if scene.memory:
        return
    scene.memory["left"] = True
    if gap(scene) < 250.0:
        for who, mouse, chance in (("resident", scene.resident, 0.9), ("intruder", scene.intruder, 0.5)):
            if scene.rng.random() < chance:
                x, y = _far_place(scene, mouse)
                scene.goals[who] = {
                    "kind": "walk", "until": scene.frame + 120, "x": x, "y": y,
                    "pace": 14.0 * math.exp(scene.rng.normal(0, 0.3)), "stretch": 0.0,
                }  # fmt: skip


def _far_place(scene: Scene, mouse: Mouse) -> tuple[float, float]:
    """The farthest from the other mouse of four random places."""
    other = scene.intruder if mouse is scene.resident else scene.resident
    left, top, right, bottom = ARENA
    places = scene.rng.uniform((left + 20, top + 20), (right - 20, bottom - 20), (4, 2)).tolist()
    return tuple(max(places, key=lambda p: math.hypot(p[0] - other.x, p[1] - other.y)))


def _come(scene: Scene) -> bool:
    """Bring the resident to the intruder in time for the contact that follows; False while it is too early."""
    x, y = scene.intruder.tail() if scene.following not in ("sniff_face", "attack") else scene.intruder.nose()
    nose_x, nose_y = scene.resident.nose()
    distance = max(0.0, math.hypot(x - nose_x, y - nose_y) - 45.0)
    if scene.left > distance / 13.0 + 10.0:
        return False
    steer(scene.resident, x, y, top=min(26.0, max(4.0, 1.3 * distance / max(scene.left, 1))))
    stretch_to(scene.resident, 1.03)
    if scene.following not in ("mount", "mount_attempt", "intromission"):
        keep_apart(scene, 90.0)
    return True


def walk(scene: Scene, mouse: Mouse, who: str, pace: float) -> None:
    """Alternate walks to random places and pauses in which the head looks around, or the mouse rears or grooms."""
    goal = scene.goals.get(who)
    if goal is None or scene.frame >= goal["until"]:
        goal = scene.goals[who] = _new_goal(scene, mouse, who, pace, goal)
    if goal["kind"] == "walk":
        steer(mouse, goal["x"], goal["y"], goal["pace"], turn=0.2)
        stretch_to(mouse, 0.97 + 0.012 * mouse.speed + goal["stretch"], 0.06)
        nose_x, nose_y = mouse.nose()
        if math.hypot(goal["x"] - nose_x, goal["y"] - nose_y) < 25.0:
            goal["until"] = scene.frame
        return
    look = mouse.body + goal["look"] + 0.22 * math.sin(goal["rate"] * scene.frame)
    servo(mouse, mouse.x, mouse.y, look, mouse.body + 0.02 * goal["look"], mouse.rear, top=2.0, turn=0.12)
    stretch_to(mouse, goal["stretch"], 0.08)


def _new_goal(scene: Scene, mouse: Mouse, who: str, pace: float, last: dict | None) -> dict:
    rng = scene.rng
    rest = 0.35 if who == "resident" else 0.6
    if last is not None and last["kind"] == "walk" and rng.random() < rest:
        kind = rng.choice(["look", "rear", "groom"], p=[0.7, 0.15, 0.15])
        stretch = {"look": rng.normal(0.95, 0.12), "rear": 0.62, "groom": 0.76}[kind]
        seconds = math.exp(rng.normal(0.1, 0.7))
        rate = 1.1 if kind == "groom" else rng.uniform(0.1, 0.4)
        return {
            "kind": "pause", "until": scene.frame + max(8, round(30 * seconds)), "look": rng.normal(0, 0.35),
            "rate": rate, "stretch": min(1.15, stretch),
        }  # fmt: skip
    x, y = _place(scene, mouse, who)
    return {
        "kind": "walk", "until": scene.frame + round(30 * rng.uniform(1.5, 5.0)), "x": x, "y": y,
        "pace": pace * math.exp(rng.normal(0, 0.4)), "stretch": rng.normal(0, 0.06),
    }  # fmt: skip


def _place(scene: Scene, mouse: Mouse, who: str) -> tuple[float, float]:
    """A place to walk to, more often along the walls; the resident sometimes passes the intruder closely."""
    rng = scene.rng
    left, top, right, bottom = ARENA
    if who == "resident" and rng.random() < 0.12 and scene.following != "approach":
        x, y = scene.intruder.middle()
        angle = rng.uniform(0, 2 * math.pi)
        return inside(x + 135 * math.cos(angle), y + 135 * math.sin(angle), 12.0)
    x, y = left + (right - left) * rng.beta(0.4, 0.4), rng.uniform(top, bottom)  # mice keep to the cage's ends
    if rng.random() < 0.6:
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
    if scene.left > 45 and near < 120 and scene.goals["resident"]["kind"] == "pause":
        scene.goals["resident"]["until"] = scene.frame  # do not rest against the other mouse


def to_wall(mouse: Mouse, top: float) -> None:
    left, roof, right, bottom = ARENA
    x, y = mouse.nose()
    walls = [(x - left, left, y), (right - x, right, y), (y - roof, x, roof), (bottom - y, x, bottom)]
    _, wall_x, wall_y = min(walls)
    steer(mouse, *inside(wall_x, wall_y, 4.0), top=top)
