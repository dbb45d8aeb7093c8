"""Poses and words drawn into pictures."""

import cv2
import numpy as np

from mbrepro.data.recordings import KEYPOINTS, Recording

MOUSE_COLOURS = ((255, 140, 0), (0, 200, 255))  # resident, intruder; RGB
SKELETON = (
    ("nose", "left_ear"), ("nose", "right_ear"), ("left_ear", "neck"), ("right_ear", "neck"), ("neck", "left_hip"),
    ("neck", "right_hip"), ("left_hip", "tail_base"), ("right_hip", "tail_base"),
)  # fmt: skip


def draw_pose(picture: np.ndarray, recording: Recording, frame: int) -> np.ndarray:
    """Draw a frame's keypoints and the lines between them on a copy of its picture (H, W, 3)."""
    picture = picture.copy()
    scale = np.array(picture.shape[1::-1]) / recording.frame_size
    for points, colour in zip(recording.keypoints[frame] * scale, MOUSE_COLOURS, strict=True):
        places = {name: tuple(int(v) for v in point.round()) for name, point in zip(KEYPOINTS, points, strict=True)}
        for one, other in SKELETON:
            cv2.line(picture, places[one], places[other], colour, 1, cv2.LINE_AA)
        for place in places.values():
            cv2.circle(picture, place, 2, colour, -1, cv2.LINE_AA)
    return picture


def draw_words(picture: np.ndarray, words: str) -> np.ndarray:
    """Write words into the lower left corner of a copy of a picture (H, W, 3), legible on any ground."""
    picture, place = picture.copy(), (6, picture.shape[0] - 8)
    for colour, thickness in (((0, 0, 0), 3), ((255, 225, 160), 1)):
        cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thickness, cv2.LINE_AA)
    return picture
