"""`mbrepro doctor`: whether this machine has what the work needs."""

import shutil
from pathlib import Path

import av
import typer

from mbrepro import paths
from mbrepro.commands.gpu import GPU_ONLY, machine

LEAST_GB = 5.0  # the demo's study leaves 0.6 GB, and a model of the hub is several
CODECS = ("h264", "hevc", "mpeg4", "mjpeg", "rawvideo")  # that laboratories' videos come in


def command() -> None:
    """Print what there is, and each lack as one sentence; exit status 2 if something needed is missing."""
    found = machine()
    for name, value in found.items():
        print(f"{name:24} {value:.1f}" if isinstance(value, float) else f"{name:24} {value}")
    if "gpu" not in found:
        print(f"{'gpu':24} {GPU_ONLY}; only large vision-language models need one")
    missing = [codec for codec in CODECS if codec not in av.codecs_available]
    print(f"{'decodes':24} {', '.join(codec for codec in CODECS if codec not in missing)}")
    errors = [f"{codec} video cannot be decoded; install PyAV again from the lock" for codec in missing]
    for folder in (paths.root(), paths.data()):
        free = shutil.disk_usage(_there(folder)).free / 1e9
        print(f"{'free disk (GB)':24} {free:.1f} at {folder}")
        if free < LEAST_GB:
            errors.append(f"{folder}: {free:.1f} GB are free, and {LEAST_GB:g} are needed; make room")
    for error in errors:
        print(f"error: {error}")
    if errors:
        raise typer.Exit(2)


def _there(folder: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
