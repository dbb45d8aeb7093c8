"""The control embedder: what the poses alone say about a clip, no picture looked at."""

from collections.abc import Sequence

import numpy as np

from mbrepro.artifacts import versions
from mbrepro.data.alignment import body_length
from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import KEYPOINTS, MICE, Recording
from mbrepro.embedding.embedder import POSES, EmbedderSettings
from mbrepro.errors import InputError

VERSION = 1  # raise it when a feature holds other values
SPAN_S = 0.25  # over which speeds are taken, as tracking noise makes a mouse that sits look restless
QUANTILES = (0.1, 0.5, 0.9)
SUMMARIES = ("mean", "sd", *(f"q{round(100 * q)}" for q in QUANTILES))
_NOSE, _NECK, _TAIL = (KEYPOINTS.index(part) for part in ("nose", "neck", "tail_base"))
_HIPS = KEYPOINTS.index("left_hip"), KEYPOINTS.index("right_hip")


_OF_BOTH = ("centroid distance", "closest keypoints", "nose to nose", "approach speed", "angle between headings")
_OF_EACH = (
    "nose to {other} tail base", "nose to {other} centroid", "facing", "speed", "nose speed", "turning", "length",
    "hips", "bend", "wall",
)  # fmt: skip
FEATURES = (
    *_OF_BOTH,
    *(f"{one} {what.format(other=other)}" for one, other in (MICE, MICE[::-1]) for what in _OF_EACH),
)
WIDTH = len(FEATURES) * len(SUMMARIES)


class PoseEmbedder:
    """Distances, angles and speeds of two mice, summarised over a clip; of the settings only the model's name is used.

    Lengths are in body lengths, the median distance from nose to tail base of both mice over the recording; speeds are
    body lengths a second, angles radians. Its one view, "pose", is mean, sd and quantiles of each feature over every
    frame of the recording that the clip spans.
    """

    takes = "poses"
    views = ("pose",)

    def __init__(self, settings: EmbedderSettings):
        self.settings = settings
        self.width = WIDTH
        self.identity = {"model": POSES, __name__: str(VERSION), **versions(np)}

    @classmethod
    def check(cls, settings: EmbedderSettings, memory: bool = True) -> None:
        """Nothing to be found, and little memory needed."""

    @classmethod
    def cost(cls, settings: EmbedderSettings, clips: ClipSettings, frame: tuple[int, int]) -> tuple[int, float]:
        """No tokens, and too few operations to count."""
        return 0, 0.0

    def embed_poses(self, recording: Recording, clips: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """(N, D) float32 of clips given as (F,) frames of the recording; InputError if F differs, a frame lies outside
        or the animals have other parts than a mouse's seven.
        """
        counts, name = {len(frames) for frames in clips}, recording.name
        if recording.parts != KEYPOINTS:
            raise InputError(
                f"{name}: {POSES!r} embeds the parts {', '.join(KEYPOINTS)}, not {', '.join(recording.parts)}"
            )
        if len(counts) > 1:
            raise InputError(f"{name}: clips embedded together must have as many frames, not {sorted(counts)}")
        unit, rows = body_length([recording]) if counts else 1.0, []
        for first, last in ((int(np.min(frames)), int(np.max(frames))) for frames in clips):
            if first < 0 or last >= len(recording):
                raise InputError(f"{name}: a clip of frames {first} to {last} lies outside its {len(recording)} frames")
            rows.append(summarise(frame_features(recording.keypoints[first : last + 1], recording, unit)))
        return {"pose": np.array(rows, np.float32).reshape(-1, self.width)}


def frame_features(keypoints: np.ndarray, recording: Recording, unit: float) -> np.ndarray:
    """(T, features) of (T, 2, 7, 2) poses in px, in the order of `FEATURES`; `unit` is the body length, px."""
    points = keypoints.astype(np.float64) / unit
    centres = points.mean(2)  # (T, 2, 2)
    heading = points[:, :, _NOSE] - points[:, :, _TAIL]
    between = centres[:, 1] - centres[:, 0]
    distance = np.linalg.norm(between, axis=1)
    pairs = np.linalg.norm(points[:, 0, :, None] - points[:, 1, None, :], axis=-1)  # (T, 7, 7)
    columns = [
        distance,
        pairs.min((1, 2)),
        pairs[:, _NOSE, _NOSE],
        -rate(distance, recording.fps),
        np.radians(angles(heading[:, 0], heading[:, 1])),
    ]
    for one, to_other, to_tail in ((0, between, pairs[:, _NOSE, _TAIL]), (1, -between, pairs[:, _TAIL, _NOSE])):
        nose, neck, tail = (points[:, one, part] for part in (_NOSE, _NECK, _TAIL))
        turned = np.unwrap(np.arctan2(heading[:, one, 1], heading[:, one, 0]))
        columns += [
            to_tail,
            np.linalg.norm(nose - centres[:, 1 - one], axis=1),
            np.radians(angles(heading[:, one], to_other)),
            np.linalg.norm(rate(centres[:, one], recording.fps), axis=1),
            np.linalg.norm(rate(nose, recording.fps), axis=1),
            np.abs(rate(turned, recording.fps)),
            np.linalg.norm(heading[:, one], axis=1),
            np.linalg.norm(points[:, one, _HIPS[0]] - points[:, one, _HIPS[1]], axis=1),
            np.radians(angles(nose - neck, neck - tail)),
            np.concatenate([centres[:, one], np.array(recording.frame_size) / unit - centres[:, one]], 1).min(1),
        ]
    return np.stack(columns, 1)


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T,) angles in degrees, 0 to 180, between (T, 2) vectors; 90 where one of them has no length."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.divide((a * b).sum(1), lengths, out=np.zeros(len(a)), where=lengths > 0)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def rate(values: np.ndarray, fps: float) -> np.ndarray:
    """Change a second of (T, ...) values, over the part inside of `SPAN_S` around each frame; 0 for one frame."""
    reach = max(1, round(SPAN_S * fps / 2))
    place = np.arange(len(values))
    before, after = np.maximum(place - reach, 0), np.minimum(place + reach, len(values) - 1)
    seconds = np.maximum(after - before, 1) / fps
    return (values[after] - values[before]) / seconds.reshape(-1, *[1] * (values.ndim - 1))


def summarise(track: np.ndarray) -> np.ndarray:
    """(summaries * features,) of a (T, features) track, all features' means first, then sds, then each quantile."""
    return np.concatenate([track.mean(0), track.std(0), *np.quantile(track, QUANTILES, axis=0)])
