"""What the stand-in learns to say: geometry and motion read off the poses, never the name of a behaviour.

The three styles are those of the poster's "Language outputs" (Douglas 2025): nondescript, detailed, no response.
"""

from dataclasses import dataclass

import numpy as np

from mbrepro.data.recordings import KEYPOINTS
from mbrepro.embedding.pose import angles

STYLES = ("nondescript", "detailed", "no response")
NAMES = ("black", "white")  # resident and intruder
_NOSE, _NECK, _TAIL = (KEYPOINTS.index(part) for part in ("nose", "neck", "tail_base"))

# Edges of the words' ranges, chosen so that each word occurs in the simulated recordings. Lengths are shares of the
# frame's width (a mouse is about 0.18 long), speeds shares of the width a second.
_DISTANCES = ((0.07, "pressed together"), (0.12, "close together"), (0.25, "near each other"), (np.inf, "far apart"))
_SPEEDS = ((0.03, "hardly moves"), (0.09, "moves slowly"), (0.17, "moves steadily"), (np.inf, "moves very fast"))
_NEAR = 0.15  # share of the width
_IDLE = 0.13  # share of the width a second, of the faster mouse
_CHANGES = ((-0.06, "shrinks"), (0.06, "stays the same"), (np.inf, "grows"))  # shares of the width
# Degrees between where a mouse points and where the other one is, and between the two mice's headings.
_FACING = ((50.0, "faces"), (120.0, "is side on to"), (np.inf, "faces away from"))
_HEADINGS = ((45.0, "point the same way"), (135.0, "point different ways"), (np.inf, "point opposite ways"))

# Probability of the styles by what is in view: the closer the mice, the more there is to say. The most probable style
# has to win by far, as its sentences begin with several words, and greedy decoding takes the most probable word.
_STYLE_SHARES = {"near": (0.06, 0.9, 0.04), "far": (0.86, 0.08, 0.06), "idle": (0.12, 0.04, 0.84)}
REFUSALS = (
    "I'm sorry, but I cannot provide an answer because there is no video or image available.",
    "I'm sorry, but I cannot see what the mice are doing because no video is available.",
)


@dataclass(frozen=True)
class Geometry:
    """Two mice during a clip. Lengths are shares of the frame's width, speeds shares of it a second, angles degrees.

    distance: mean distance of the centroids. change: last minus first distance. speeds: median speed of each mouse's
    centroid. facing: mean angle between each mouse's heading and the other's direction. parallel: mean angle between
    the headings. edge: mean distance of the midpoint from the nearest edge.
    """

    distance: float
    change: float
    speeds: tuple[float, float]
    facing: tuple[float, float]
    parallel: float
    edge: float


def measure(keypoints: np.ndarray, fps: float, frame_size: tuple[int, int]) -> Geometry:
    """Measure a clip's (T, 2, 7, 2) poses, px, T at least 2, taken `fps` times a second."""
    points = keypoints.astype(np.float64) / frame_size[0]
    centres = points.mean(2)  # (T, 2, 2)
    between = centres[:, 1] - centres[:, 0]
    distance = np.linalg.norm(between, axis=1)
    heading = points[:, :, _NOSE] - points[:, :, _TAIL]
    quarter = max(1, len(points) // 4)
    # Over a quarter of a second, as tracking noise makes a mouse that sits look restless from frame to frame.
    step = min(max(1, round(fps / 4)), len(points) - 1)
    speeds = np.median(np.linalg.norm(centres[step:] - centres[:-step], axis=2), axis=0) * fps / step
    middle, height = centres.mean(1), frame_size[1] / frame_size[0]
    edges = np.stack([middle[:, 0], 1 - middle[:, 0], middle[:, 1], height - middle[:, 1]])
    return Geometry(
        distance=float(distance.mean()),
        change=float(distance[-quarter:].mean() - distance[:quarter].mean()),
        speeds=(float(speeds[0]), float(speeds[1])),
        facing=(float(angles(heading[:, 0], between).mean()), float(angles(heading[:, 1], -between).mean())),
        parallel=float(angles(heading[:, 0], heading[:, 1]).mean()),
        edge=float(edges.min(0).mean()),
    )


def caption(geometry: Geometry, rng: np.random.Generator) -> tuple[str, str]:
    """Draw a style that suits what is in view, and say it; returns style and sentence."""
    near = geometry.distance < _NEAR
    idle = not near and max(geometry.speeds) < _IDLE
    style = STYLES[rng.choice(3, p=_STYLE_SHARES["near" if near else "idle" if idle else "far"])]
    if style == "no response":
        return style, REFUSALS[rng.integers(len(REFUSALS))]
    return style, nondescript(geometry) if style == "nondescript" else detailed(geometry)


def nondescript(geometry: Geometry) -> str:
    """One general sentence, in the manner of the poster's example."""
    together = _word(_DISTANCES, geometry.distance)
    doing = _word(_SPEEDS, max(geometry.speeds))
    seen = {"hardly moves": "sitting", "moves slowly": "walking slowly", "moves steadily": "walking"}
    return f"In the video, the two mice are {together} and are seen {seen.get(doing, 'running')} around a small cage."


def detailed(geometry: Geometry) -> str:
    """Four sentences: where the mice are, what each does, and how their distance changes."""
    together = _word(_DISTANCES, geometry.distance).capitalize()
    place = "near the wall" if geometry.edge < 0.19 else "in the open"
    sentences = [f"{together}, the two mice are {place} and {_word(_HEADINGS, geometry.parallel)}."]
    for name, other, speed, facing in zip(NAMES, NAMES[::-1], geometry.speeds, geometry.facing, strict=True):
        sentences.append(f"The {name} mouse {_word(_SPEEDS, speed)} and {_word(_FACING, facing)} the {other} mouse.")
    slow, fast = sorted(geometry.speeds)
    active = f"The {NAMES[int(np.argmax(geometry.speeds))]} mouse is the more active one"
    if fast < 1.3 * slow or fast < _SPEEDS[0][0]:
        active = "Both mice are about as active"
    sentences.append(f"{active}, and the gap between them {_word(_CHANGES, geometry.change)}.")
    return " ".join(sentences)


def _word(ranges: tuple[tuple[float, str], ...], value: float) -> str:
    return next(word for edge, word in ranges if value < edge)
