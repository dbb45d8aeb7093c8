"""The stand-in: a tiny Qwen2.5-VL, trained by this project on simulated recordings and shipped with it.

It exercises every step that a real checkpoint takes, through the same code, and says nothing about a real one.
"""

from pathlib import Path

STAND_IN_WEIGHTS = Path(__file__).with_name("weights")
STAND_IN_PIXELS = 126 * 224  # px of a frame it was trained to look at, at most
