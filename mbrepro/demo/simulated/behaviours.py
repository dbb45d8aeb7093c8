"""What each activity makes the two mice do in one frame."""

import math

import numpy as np

from mbrepro.demo.simulated.motion import ARENA, Mouse, inside, servo, shift, steer, stretch_to, wrap
from mbrepro.demo.simulated.wandering import Scene, keep_apart, to_wall, walk, wander

_MOUNTS = ("mount", "mount_attempt", "intromission")


def act(scene: Scene) -> None:
    """Move both mice by one frame."""
    _ACTIVITIES[scene.bout.activity](scene)


def _investigate(scene: Scene, parts: tuple[str, ...] = ("nose", "nose", "nose", "flank", "tail")) -> None:
    memory, rng = scene.memory, scene.rng
    if scene.following in _MOUNTS and scene.left < 30:
        if scene.left < 7:
            _mounted(scene, amplitude=0.0, rate=0.0)
            return
        memory["until"], parts = min(memory.get("until", 0), scene.frame + scene.left), ("tail",)
    if scene.frame >= memory.get("until", 0):
        memory["until"] = scene.frame + max(10, round(30 * math.exp(rng.normal(1.0, 0.6))))
        memory["part"] = _nearby_part(scene, parts)
        memory["offset"] = rng.normal(0, 12, 2)
        memory["prey"] = rng.choice(["still", "walk", "face"], p=[0.2, 0.7, 0.1])
        memory["bend"] = rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.5)
    x, y = _part(scene.intruder, memory["part"], scene.resident)
    nose_x, nose_y = scene.resident.nose()
    away = math.atan2(scene.resident.y - y, scene.resident.x - x)
    x, y = x + memory["offset"][0] + 20 * math.cos(away), y + memory["offset"][1] + 20 * math.sin(away)
    x, y = inside(x, y, 4.0)
    distance = math.hypot(x - nose_x, y - nose_y)
    _investigated(scene, slow=distance > 90.0)
    bob = 3.0 * math.sin(1.05 * scene.frame)  # sniffing
    x, y = x + bob * math.cos(away), y + bob * math.sin(away)
    if distance > 70.0:
        steer(scene.resident, x, y, top=min(20.0, 5.0 + 0.08 * distance), turn=0.22)
    else:
        _sniff(scene.resident, x, y, memory["bend"])
    stretch_to(scene.resident, 1.06 + 0.003 * min(distance, 30.0))
    keep_apart(scene, 140.0)


def _sniff(mouse: Mouse, x: float, y: float, bend: float) -> None:
    """Keep the nose at (x, y), the body at an angle to the head."""
    head = math.atan2(y - mouse.y, x - mouse.x)
    neck_x, neck_y = inside(x - mouse.snout * math.cos(head), y - mouse.snout * math.sin(head), 10.0)
    servo(mouse, neck_x, neck_y, head, head + bend, head + 1.3 * bend, top=2.0, turn=0.03)


def _nearby_part(scene: Scene, parts: tuple[str, ...]) -> str:
    """Draw a part to sniff at; the nearer to the resident's nose, the likelier."""
    nose_x, nose_y = scene.resident.nose()
    places = [_part(scene.intruder, part, scene.resident) for part in parts]
    weights = [math.exp(-math.hypot(x - nose_x, y - nose_y) / 70.0) + 0.05 for x, y in places]
    return parts[scene.rng.choice(len(parts), p=np.array(weights) / sum(weights))]


def _part(target: Mouse, part: str, other: Mouse) -> tuple[float, float]:
    if part == "nose":
        return target.nose()
    if part == "tail":
        return target.tail()
    x, y = target.middle()
    across = -math.sin(target.body), math.cos(target.body)
    side = 1.0 if (other.x - x) * across[0] + (other.y - y) * across[1] > 0 else -1.0
    return x + 40.0 * side * across[0], y + 40.0 * side * across[1]


def _investigated(scene: Scene, slow: bool) -> None:
    """The intruder stands, walks on with the resident after it, or turns to face the resident."""
    mode = scene.memory["prey"]
    if mode == "walk":
        walk(scene, scene.intruder, "intruder", 0.6 if slow else 1.3)
        return
    mouse = scene.intruder
    head = mouse.body + 0.3 * math.sin(0.15 * scene.frame)
    if mode == "face":
        head = math.atan2(scene.resident.y - mouse.y, scene.resident.x - mouse.x)
    servo(mouse, mouse.x, mouse.y, head, mouse.body + 0.06 * wrap(head - mouse.body), mouse.rear, top=2.0, turn=0.12)
    stretch_to(mouse, 0.84)


def _investigate_body(scene: Scene) -> None:
    _investigate(scene, parts=("flank", "tail", "tail"))


def _sniff_face(scene: Scene) -> None:
    """Nose to nose, both mice facing."""
    resident, intruder = scene.resident, scene.intruder
    x, y = intruder.nose()
    angle = math.atan2(resident.y - y, resident.x - x)
    steer(resident, x + 14 * math.cos(angle), y + 14 * math.sin(angle), top=8.0)
    stretch_to(resident, 1.0)
    head = math.atan2(resident.y - intruder.y, resident.x - intruder.x)
    body = intruder.body + 0.12 * wrap(head - intruder.body)
    servo(intruder, intruder.x, intruder.y, head, body, intruder.rear, top=2.0)
    stretch_to(intruder, 0.9)
    keep_apart(scene, 105.0)


def _attack(scene: Scene) -> None:
    """Grappling and chasing by turns; how fierce differs from bout to bout.

    A single pose says little: the resident's nose is at the intruder's body or behind its tail, as in investigation,
    but both mice whirl about or run.
    """
    memory, rng = scene.memory, scene.rng
    fierce = memory.setdefault("fierce", rng.uniform(0.8, 1.4))
    if scene.frame >= memory.get("until", 0):
        memory["until"] = scene.frame + max(8, round(30 * math.exp(rng.normal(-0.3, 0.5))))
        memory["mode"] = rng.choice(["grapple", "chase"], p=[0.75, 0.25])
        memory["spin"] = rng.choice([-1, 1]) * rng.uniform(0.3, 0.5) * fierce
        memory["drift"] = rng.normal(0, 14 * fierce, 2)
        memory["part"] = rng.choice(["nose", "flank", "tail"])
        memory["stretch"] = rng.uniform(1.0, 1.15), rng.uniform(0.82, 1.05)
        memory["bend"] = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.4)
        memory["look"], memory["curl"] = rng.normal(0, 0.8), rng.normal(0, 0.25, 2)
        memory["x"], memory["y"] = rng.uniform(ARENA[0], ARENA[2]), rng.uniform(ARENA[1], ARENA[3])
    {"grapple": _grapple, "chase": _chase}[memory["mode"]](scene, fierce)
    for mouse, stretch in zip((scene.resident, scene.intruder), memory["stretch"], strict=True):
        stretch_to(mouse, stretch)
    keep_apart(scene, 135.0)


def _grapple(scene: Scene, fierce: float) -> None:
    """The intruder whirls and is carried about; the resident lunges at a part of it."""
    memory, rng = scene.memory, scene.rng
    resident, mouse = scene.resident, scene.intruder
    memory["drift"] = 0.93 * memory["drift"] + rng.normal(0, 6 * fierce, 2)
    middle_x, middle_y = mouse.middle()
    body = mouse.body + memory["spin"] + rng.normal(0, 0.1)
    x = middle_x + memory["drift"][0] + mouse.half * math.cos(body)
    y = middle_y + memory["drift"][1] + mouse.half * math.sin(body)
    speed, turn = 16 + 24 * fierce, 0.6
    servo(mouse, *inside(x, y, 20.0), body + memory["look"], body, body + memory["curl"][0], top=speed, turn=turn)
    x, y = _part(mouse, memory["part"], resident)
    head = math.atan2(y - resident.y, x - resident.x)
    reach = resident.snout - 25 * fierce * math.sin(0.9 * scene.frame)
    neck = inside(x - reach * math.cos(head), y - reach * math.sin(head), 10.0)
    side = head + memory["bend"]
    servo(resident, *neck, head, side, side + memory["curl"][1], top=speed, turn=turn)


def _chase(scene: Scene, fierce: float) -> None:
    memory, rng = scene.memory, scene.rng
    nose_x, nose_y = scene.resident.nose()
    tail_x, tail_y = scene.intruder.tail()
    distance = math.hypot(tail_x - nose_x, tail_y - nose_y)
    if math.hypot(memory["x"] - scene.intruder.x, memory["y"] - scene.intruder.y) < 120.0:
        memory["x"], memory["y"] = rng.uniform(ARENA[0], ARENA[2]), rng.uniform(ARENA[1], ARENA[3])
    steer(scene.intruder, *inside(memory["x"], memory["y"], 20.0), top=18 + 18 * fierce - 0.05 * distance, turn=0.4)
    steer(scene.resident, tail_x, tail_y, top=20 + 20 * fierce, turn=0.4)


def _mount(scene: Scene) -> None:
    _mounted(scene, amplitude=7.0, rate=0.9)


def _intromission(scene: Scene) -> None:
    _mounted(scene, amplitude=13.0, rate=0.3)


def _mounted(scene: Scene, amplitude: float, rate: float, depth: float = 1.0) -> None:
    """The resident on the intruder's back from behind, headings aligned, thrusting by `amplitude` px."""
    memory, rng = scene.memory, scene.rng
    if "reach" not in memory:
        memory["reach"], memory["lean"] = rng.normal(63.0, 8.0), rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)
        memory["across"] = math.copysign(rng.normal(0, 22.0), memory["lean"])
        memory["creep"] = max(0.5, rng.normal(6.0, 1.6))
        memory["sway"] = np.zeros(3)
    memory["sway"] = 0.94 * memory["sway"] + 0.34 * rng.standard_normal(3)  # unit sd
    resident, intruder = scene.resident, scene.intruder
    thrust = amplitude * math.sin(rate * scene.frame)
    back = memory["reach"] + 75.0 * (1 - depth) - thrust + 3.0 * memory["sway"][0]
    across = memory["across"] + 3.0 * memory["sway"][1]
    along = math.cos(intruder.body), math.sin(intruder.body)
    x = intruder.x - back * along[0] - across * along[1]
    y = intruder.y - back * along[1] + across * along[0]
    body = intruder.body + memory["lean"] + 0.25 * memory["sway"][2]
    servo(resident, x, y, body - 0.5 * memory["lean"], body, body + 0.5 * memory["lean"], top=16.0, turn=0.2)
    stretch_to(resident, 0.84 + 0.01 * thrust, 0.4)
    creep = memory["creep"] * (1.0 + math.sin(0.05 * scene.frame))
    ahead = inside(intruder.x + 200 * along[0], intruder.y + 200 * along[1], 30.0)
    steer(intruder, *ahead, top=creep + 0.2, turn=0.04)
    shift(intruder, 0.5 * memory["sway"][0], 0.5 * memory["sway"][2])
    stretch_to(intruder, 0.93)


def _mount_attempt(scene: Scene) -> None:
    """Half way onto the back, then the intruder walks out from under the resident."""
    if scene.done < 0.6:
        _mounted(scene, amplitude=4.0, rate=0.9, depth=min(0.9, 1.8 * scene.done + 0.1))
        return
    intruder = scene.intruder
    ahead = inside(intruder.x + 300 * math.cos(intruder.body), intruder.y + 300 * math.sin(intruder.body), 20.0)
    steer(intruder, *ahead, top=14.0)
    steer(scene.resident, *intruder.tail(), top=4.0)


# --- Task 3's others ------------------------------------------------------------------------------------------------


def _approach(scene: Scene) -> None:
    """Walk straight to the intruder from afar, arriving as the bout ends."""
    walk(scene, scene.intruder, "intruder", 0.4)
    x, y = scene.intruder.middle()
    nose_x, nose_y = scene.resident.nose()
    distance = max(0.0, math.hypot(x - nose_x, y - nose_y) - 60.0)
    steer(scene.resident, x, y, top=min(17.0, max(5.0, 1.3 * distance / max(scene.left, 1))), turn=0.2)
    stretch_to(scene.resident, 1.08)


def _disengage(scene: Scene) -> None:
    """Turn from the intruder and walk away while it stays."""
    ax, ay = scene.resident.middle()
    bx, by = scene.intruder.middle()
    if "x" not in scene.memory:
        angle = math.atan2(ay - by, ax - bx)
        places = [inside(ax + 320 * math.cos(angle + k), ay + 320 * math.sin(angle + k), 20.0) for k in (-0.6, 0, 0.6)]
        scene.memory["x"], scene.memory["y"] = max(places, key=lambda p: math.hypot(p[0] - bx, p[1] - by))
    steer(scene.resident, scene.memory["x"], scene.memory["y"], top=11.0, turn=0.3)
    stretch_to(scene.resident, 1.05)
    mouse = scene.intruder
    servo(mouse, mouse.x, mouse.y, mouse.body + 0.2 * math.sin(0.1 * scene.frame), mouse.body, mouse.rear, top=2.0)
    stretch_to(mouse, 0.86)


def _groom(scene: Scene) -> None:
    """The resident sits hunched, its head going back and forth along its side."""
    walk(scene, scene.intruder, "intruder")
    mouse, memory = scene.resident, scene.memory
    if scene.frame >= memory.get("until", 0):
        memory["until"] = scene.frame + round(30 * scene.rng.uniform(0.6, 2.0))
        memory["side"] = scene.rng.uniform(-1.0, 1.0)
    head = mouse.body + 0.85 * memory["side"] + 0.3 * math.sin(1.1 * scene.frame)
    servo(mouse, mouse.x, mouse.y, head, mouse.body, mouse.body - 0.5 * memory["side"], top=2.0, turn=0.3)
    stretch_to(mouse, 0.72 + 0.04 * math.sin(0.5 * scene.frame))


def _rear(scene: Scene) -> None:
    """The white mouse stands up at the wall: seen from above its body is short."""
    walk(scene, scene.resident, "resident")
    to_wall(scene.intruder, top=6.0)
    stretch_to(scene.intruder, 0.45, 0.15)


_ACTIVITIES = {
    "wander": wander, "investigate": _investigate, "investigate_body": _investigate_body, "sniff_face": _sniff_face,
    "attack": _attack, "mount": _mount, "intromission": _intromission, "mount_attempt": _mount_attempt,
    "approach": _approach, "disengage": _disengage, "groom": _groom, "rear": _rear,
}  # fmt: skip
