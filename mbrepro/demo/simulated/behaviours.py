"""What each activity makes the two mice do in one frame."""

import math
from cmath import phase, rect

import numpy as np

from mbrepro.data.recordings import FPS
from mbrepro.demo.simulated.motion import ARENA, Mouse, apart, inside, servo, steer, stretch_to, wrap
from mbrepro.demo.simulated.schedule import CONTACTS
from mbrepro.demo.simulated.wandering import Scene, keep_apart, to_wall, walk, wander


def act(scene: Scene) -> None:
    """Move both mice by one frame."""
    _ACTIVITIES[scene.bout.activity](scene)


def _wander(scene: Scene) -> None:
    """In a short gap the resident stays beside the intruder, its nose off it; else the mice part."""
    memory, rng = scene.memory, scene.rng
    if "lingers" not in memory:
        seconds = (scene.bout.stop - scene.bout.start) / FPS
        known = scene.bout.start > 0 and scene.following in CONTACTS
        memory["lingers"] = known and seconds < scene.acts.linger_s * math.exp(rng.normal(0, 0.3))
        memory["off"] = _off(scene)
    if memory["lingers"]:
        _investigate(scene, off=memory["off"])
        return
    wander(scene)


def _off(scene: Scene) -> float:
    """How far off the nose is kept where the mouse does not sniff, px."""
    return scene.rng.uniform(scene.acts.off, scene.acts.off + scene.acts.off_range)


def _investigate(scene: Scene, parts: tuple[str, ...] = ("nose", "flank", "flank", "tail"), off: float = 0.0) -> None:
    memory, rng, resident = scene.memory, scene.rng, scene.resident
    if not off and scene.following in ("mount", "mount_attempt", "intromission") and scene.left < 30:
        if scene.left < 7:
            _mount(scene, amplitude=0.0, rate=0.0)
            return
        memory["until"], parts = min(memory.get("until", 0), scene.frame + scene.left), ("tail",)
    if scene.frame >= memory.get("until", 0):
        memory["until"] = scene.frame + max(10, round(30 * math.exp(rng.normal(1.0, 0.6))))
        memory["part"] = _nearby_part(scene, parts)
        memory["offset"] = complex(*rng.normal(0, 12, 2))
        memory["prey"] = rng.choice(["still", "walk", "face"], p=[0.05, 0.9, 0.05])
        memory["bend"] = rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.5)
    off = _for_a_moment(scene, off)
    part = _part(scene.intruder, memory["part"], resident)
    away = phase(resident.neck - part)
    goal = inside(part + memory["offset"] * (off == 0) + rect(5 + off, away), 4.0)
    distance = apart(goal, resident.nose())
    _investigated(scene, slow=distance > 90.0)
    if not off:
        goal += rect(3.0 * math.sin(1.05 * scene.frame), away)  # sniffing
    if distance > 70.0:
        steer(resident, goal, top=min(22.0, 6.0 + 0.1 * distance))
    else:  # the nose stays there, the body at an angle to the head
        head, bend = phase(goal - resident.neck), memory["bend"]
        neck = inside(goal - rect(resident.snout, head), 10.0)
        look = math.copysign(scene.acts.look, bend) if off else 0.0
        servo(resident, neck, head + look, head + bend, head + 1.3 * bend, turn=0.03 + 0.1 * (off > 0))
    stretch_to(resident, 1.06 + 0.003 * min(distance, 30.0))
    keep_apart(scene, scene.acts.apart, scene.acts.push)


def _for_a_moment(scene: Scene, off: float) -> float:
    """How far off the nose is: now and then the mouse looks up from sniffing, or touches the other in passing."""
    memory, rng = scene.memory, scene.rng
    if scene.frame >= memory.get("moment", 0) + 4 and rng.random() < scene.acts.moments / FPS:
        memory["moment"] = scene.frame + round(FPS * scene.acts.moment_s * rng.uniform(0.4, 1.0))
        memory["up"] = scene.acts.moment_off * _off(scene)
    if scene.frame >= memory.get("moment", 0):
        return off
    return 0.0 if off else memory["up"]


def _nearby_part(scene: Scene, parts: tuple[str, ...]) -> str:
    """Draw a part to sniff at; the nearer to the resident's nose, the likelier."""
    nose = scene.resident.nose()
    distances = [apart(_part(scene.intruder, part, scene.resident), nose) for part in parts]
    weights = [math.exp(-distance / 70.0) + 0.05 for distance in distances]
    return parts[scene.rng.choice(len(parts), p=np.array(weights) / sum(weights))]


def _part(target: Mouse, part: str, other: Mouse) -> complex:
    """Where a mouse's nose, tail or, on the other one's side, flank is."""
    if part != "flank":
        return target.nose() if part == "nose" else target.tail()
    middle, right = target.middle(), 1j * rect(1, target.body)
    to_other = other.neck - middle
    side = 1.0 if to_other.real * right.real + to_other.imag * right.imag > 0 else -1.0
    return middle + 40.0 * side * right


def _investigated(scene: Scene, slow: bool) -> None:
    """The intruder stands, walks on with the resident after it, or turns to face the resident."""
    mode, mouse = scene.memory["prey"], scene.intruder
    if mode == "walk":
        walk(scene, mouse, 0.4 if slow else 0.8)
        return
    head = mouse.body + 0.3 * math.sin(0.15 * scene.frame)
    if mode == "face":
        head = phase(scene.resident.neck - mouse.neck)
    servo(mouse, mouse.neck, head, mouse.body + 0.06 * wrap(head - mouse.body), mouse.rear, turn=0.12)
    stretch_to(mouse, 0.84)


def _sniff_face(scene: Scene) -> None:
    """Nose to nose, both mice facing."""
    resident, intruder = scene.resident, scene.intruder
    nose = intruder.nose()
    steer(resident, nose + rect(14, phase(resident.neck - nose)), top=8.0)
    stretch_to(resident, 1.0)
    head = phase(resident.neck - intruder.neck)
    body = intruder.body + 0.12 * wrap(head - intruder.body)
    servo(intruder, intruder.neck, head, body, intruder.rear)
    stretch_to(intruder, 0.9)
    keep_apart(scene, 105.0)


# Chances of what an attack is made of, a fraction of a second each. Ethograms of aggression (rolling, chasing, bites at
# rump and flank) name them; speeds, turns and lengths are chosen by what the official network answers on simulated
# train mice.
_ATTACKS = ("roll", "chase", "hold")
_MIDDLE = complex(ARENA[0] + ARENA[2], ARENA[1] + ARENA[3]) / 2


def _attack(scene: Scene) -> None:
    """Rolling, chasing and holding on by turns; how fierce differs from mouse to mouse and from bout to bout."""
    memory, rng = scene.memory, scene.rng
    fierce = memory.setdefault("fierce", scene.acts.fierce * min(1.2, scene.resident.pace * rng.uniform(0.75, 1.25)))
    if scene.frame >= memory.get("until", 0):
        memory["until"] = scene.frame + max(6, round(30 * math.exp(rng.normal(-0.6, 0.5))))
        memory["mode"] = rng.choice(_ATTACKS, p=np.array(scene.acts.attack) / sum(scene.acts.attack))
        memory["spin"] = rng.choice([-1, 1]) * rng.uniform(0.8, 1.4) * fierce
        memory["drift"] = complex(*rng.normal(0, 25 * fierce, 2))
        memory["part"] = rng.choice(["nose", "flank", "tail"])
        memory["stretch"] = rng.normal(1.0, 0.1), rng.normal(1.0, 0.15)
        memory["bend"] = rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 1.2)
        memory["look"], memory["curl"] = rng.normal(0, 0.8), rng.normal(0, 0.3, 2)
        memory["to"] = _somewhere(rng)
    {"roll": _roll, "chase": _chase, "hold": _hold}[memory["mode"]](scene, fierce)
    keep_apart(scene, 70.0)


def _somewhere(rng: np.random.Generator) -> complex:
    """A place in the cage that is not at its walls."""
    left, top, right, bottom = ARENA
    return complex(rng.uniform(left + 160, right - 160), rng.uniform(top + 100, bottom - 100))


def _roll(scene: Scene, fierce: float) -> None:
    """The intruder whirls, foreshortened, and is carried about; the resident lunges at a part of it."""
    memory, rng, intruder = scene.memory, scene.rng, scene.intruder
    memory["drift"] = 0.93 * memory["drift"] + complex(*rng.normal(0, 10 * fierce, 2))
    body = intruder.body + memory["spin"] + rng.normal(0, 0.1)
    to_middle = scene.acts.inwards * (_MIDDLE - intruder.middle())
    neck = inside(intruder.middle() + memory["drift"] + to_middle + rect(intruder.half, body), 20.0)
    servo(intruder, neck, body + memory["look"], body, body + memory["curl"][0], top=36.0, turn=0.45)
    _bite(scene, 8 + 25 * fierce * math.sin(0.9 * scene.frame), top=36.0)
    for mouse, stretch in zip((scene.resident, scene.intruder), memory["stretch"], strict=True):
        stretch_to(mouse, stretch, 0.3)


def _bite(scene: Scene, depth: float, top: float) -> None:
    """Bring the resident's nose `depth` px into a part of the intruder, its body at an angle."""
    memory, resident = scene.memory, scene.resident
    part = _part(scene.intruder, memory["part"], resident)
    head = phase(part - resident.neck)
    side = head + memory["bend"]
    neck = inside(part - rect(resident.snout - depth, head), 10.0)
    servo(resident, neck, head, side, side + memory["curl"][1], top=top, turn=0.45)


def _chase(scene: Scene, fierce: float) -> None:
    """The intruder runs, the resident after it."""
    memory, tail = scene.memory, scene.intruder.tail()
    if apart(memory["to"], scene.intruder.neck) < 120.0:
        memory["to"] = _somewhere(scene.rng)
    steer(scene.intruder, inside(memory["to"], 20.0), top=36 * fierce, turn=0.4)
    steer(scene.resident, tail, top=38 * fierce, turn=0.4)
    stretch_to(scene.resident, 1.1)
    stretch_to(scene.intruder, 1.05)


def _hold(scene: Scene, fierce: float) -> None:
    """The resident holds on to the intruder, which hardly moves: for the while it is close investigation."""
    intruder = scene.intruder
    steer(intruder, inside(scene.memory["to"], 20.0), top=3.0 * fierce, turn=0.1)
    _bite(scene, scene.acts.depth + 6.0 * math.sin(0.9 * scene.frame), top=12.0)
    stretch_to(intruder, 0.8)


def _mount(scene: Scene, amplitude: float | None = None, rate: float = 0.9, depth: float = 1.0) -> None:
    """The resident on the intruder's back from behind, headings aligned, thrusting by `amplitude` px."""
    memory, rng, resident, intruder = scene.memory, scene.rng, scene.resident, scene.intruder
    if "reach" not in memory:
        memory["reach"] = rng.normal(scene.acts.reach, scene.acts.reach_sd)
        memory["lean"] = rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)
        memory["across"] = math.copysign(rng.normal(0, scene.acts.across), memory["lean"])
        memory["creep"] = max(0.2, scene.acts.creep * (1 + 0.5 * rng.normal()))
        memory["sway"] = np.zeros(3)
    memory["sway"] = 0.94 * memory["sway"] + 0.34 * rng.standard_normal(3)  # unit sd
    along, across, turn = memory["sway"].tolist()
    amplitude = scene.acts.thrust if amplitude is None else amplitude
    ahead, lean = rect(1, intruder.body), memory["lean"]
    thrust = amplitude * math.sin(rate * scene.frame)
    back = memory["reach"] + 75.0 * (1 - depth) - thrust + 3.0 * along
    neck = intruder.neck - back * ahead + (memory["across"] + 3.0 * across) * 1j * ahead
    body = intruder.body + lean + 0.25 * turn
    servo(resident, neck, body - 0.5 * lean, body, body + 0.5 * lean, top=16.0, turn=0.2)
    stretch_to(resident, 0.84 + 0.01 * thrust, 0.4)
    creep = memory["creep"] * (1.0 + math.sin(0.05 * scene.frame))
    steer(intruder, inside(intruder.neck + 200 * ahead, 30.0), top=creep + 0.2, turn=0.04)
    intruder.neck += 0.5 * complex(along, turn)
    stretch_to(intruder, 0.93)


def _mount_attempt(scene: Scene) -> None:
    """Half way onto the back, then the intruder walks out from under the resident."""
    if scene.done < 0.6:
        _mount(scene, amplitude=4.0, depth=min(0.9, 1.8 * scene.done + 0.1))
        return
    intruder = scene.intruder
    steer(intruder, inside(intruder.neck + rect(300, intruder.body), 20.0), top=14.0)
    steer(scene.resident, intruder.tail(), top=4.0)


def _approach(scene: Scene) -> None:
    """Walk straight to the intruder from afar, arriving as the bout ends."""
    walk(scene, scene.intruder, 0.4)
    goal = scene.intruder.middle()
    distance = max(0.0, apart(goal, scene.resident.nose()) - 60.0)
    steer(scene.resident, goal, top=min(17.0, max(5.0, 1.3 * distance / max(scene.left, 1))), turn=0.2)
    stretch_to(scene.resident, 1.08)


def _disengage(scene: Scene) -> None:
    """Turn from the intruder and walk away while it stays."""
    resident, mouse = scene.resident, scene.intruder
    if "to" not in scene.memory:
        start, other = resident.middle(), mouse.middle()
        places = [inside(start + rect(320, phase(start - other) + turn), 20.0) for turn in (-0.6, 0, 0.6)]
        scene.memory["to"] = max(places, key=lambda place: apart(place, other))
    steer(resident, scene.memory["to"], top=11.0, turn=0.3)
    stretch_to(resident, 1.05)
    servo(mouse, mouse.neck, mouse.body + 0.2 * math.sin(0.1 * scene.frame), mouse.body, mouse.rear)
    stretch_to(mouse, 0.86)


def _groom(scene: Scene) -> None:
    """The resident sits hunched, its head going back and forth along its side."""
    walk(scene, scene.intruder)
    mouse, memory = scene.resident, scene.memory
    if scene.frame >= memory.get("until", 0):
        memory["until"] = scene.frame + round(30 * scene.rng.uniform(0.6, 2.0))
        memory["side"] = scene.rng.uniform(-1.0, 1.0)
    head = mouse.body + 0.85 * memory["side"] + 0.3 * math.sin(1.1 * scene.frame)
    servo(mouse, mouse.neck, head, mouse.body, mouse.body - 0.5 * memory["side"], turn=0.3)
    stretch_to(mouse, 0.72 + 0.04 * math.sin(0.5 * scene.frame))


def _rear(scene: Scene) -> None:
    """The white mouse stands up at the wall: seen from above its body is short."""
    walk(scene, scene.resident)
    to_wall(scene.intruder, top=6.0)
    stretch_to(scene.intruder, 0.45, 0.15)


_ACTIVITIES = {
    "wander": _wander, "investigate": _investigate, "sniff_face": _sniff_face, "attack": _attack, "mount": _mount,
    "investigate_body": lambda scene: _investigate(scene, parts=("flank", "tail", "tail")),
    "intromission": lambda scene: _mount(scene, amplitude=13.0, rate=0.3), "mount_attempt": _mount_attempt,
    "approach": _approach, "disengage": _disengage, "groom": _groom, "rear": _rear,
}  # fmt: skip
