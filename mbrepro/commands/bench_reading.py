"""Reading a released JSON file: json.load with numpy against this project's reader, each in a process of its own.

`python -m mbrepro.bench_reading SIDE FILE` is one such process; it imports only what its side needs.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mbrepro.data.recordings import Recording

SEQUENCES, FRAMES = 70, 507_738  # CalMS21's Task 1 training split
SPREAD = 9.0  # its longest recording over its shortest, about


def compare(repetitions: int, sequences: int = SEQUENCES, frames: int = FRAMES) -> dict[str, dict]:
    """Seconds and peak memory (MB) of reading one simulated file: theirs, ours for the first time, ours again.

    The three take turns `repetitions` times, each in a fresh process; figures are medians. Seconds are those of the
    reading alone, with everything imported; the peak is the whole process's, and what it is before the reading is
    given beside it. Ours reads with its arrays not stored yet (first) and stored by the process before (second).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = _write_file(Path(folder), sequences, frames)
        measured = {side: [] for side in ("theirs", "first", "second")}
        for number in range(repetitions):
            stored = Path(folder) / f"data{number}"
            for side, runs in measured.items():
                runs.append(_run(side, path, stored))
        described = {"file_mb": path.stat().st_size / 1e6, "sequences": sequences, "frames": frames}
    medians = {
        side: {key: float(np.median([run[key] for run in runs])) for key in runs[0]} for side, runs in measured.items()
    }
    return {side: _figures(medians[side], medians["theirs"]) | described for side in ("first", "second")}


def _figures(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    return {
        "ratio": theirs["s"] / ours["s"],
        "memory_ratio": theirs["peak_mb"] / ours["peak_mb"],
        **{f"ours_{key}": value for key, value in ours.items()},
        **{f"theirs_{key}": value for key, value in theirs.items()},
    }


def _write_file(folder: Path, sequences: int, frames: int) -> Path:
    """Write simulated recordings as a released training file, with lengths as different as the release's."""
    from mbrepro.data.calms21.release import json_path
    from mbrepro.data.recordings import TASK1_CLASSES, Dataset
    from mbrepro.demo.simulated.release import write_calms21

    lengths = np.geomspace(1, SPREAD, sequences)
    ends = np.round(lengths.cumsum() / lengths.sum() * frames).astype(int)
    recordings = tuple(_simulated(np.diff(ends, prepend=0)))
    write_calms21(folder, task1=Dataset("task1", TASK1_CLASSES, recordings, (), "simulated"))
    return json_path(folder, "task1", "train")


def _simulated(lengths: np.ndarray) -> Iterator["Recording"]:
    from mbrepro.data.recordings import FPS, Recording
    from mbrepro.demo.simulated import DemoSettings, simulate_recording

    for number, frames in enumerate(lengths.tolist(), 1):
        name = f"mouse{number:03d}_task1_annotator1"
        made, _ = simulate_recording("task1", name, DemoSettings(seconds=max(10.0, frames / FPS + 1)))
        yield Recording(name, made.keypoints[:frames], labels=made.labels[:frames], scores=made.scores[:frames])


def _run(side: str, path: Path, stored: Path) -> dict[str, float]:
    """Read the file in a fresh process that keeps arrays in `stored`: seconds, MB before reading and at the peak."""
    command = [
        sys.executable,
        "-m",
        "mbrepro.commands.bench_reading",
        "theirs" if side == "theirs" else "ours",
        str(path),
    ]
    environment = os.environ | {"MBREPRO_DATA": str(stored)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def _theirs() -> Callable[[Path], list]:
    def read(path: Path) -> list[tuple[np.ndarray, ...]]:
        with path.open(encoding="utf-8") as file:
            groups = json.load(file)
        return [
            (
                np.asarray(sequence["keypoints"], np.float32),
                np.asarray(sequence["scores"], np.float32),
                np.asarray(sequence["annotations"]),
            )
            for sequences in groups.values()
            for sequence in sequences.values()
        ]

    return read


def _ours() -> Callable[[Path], list]:
    from mbrepro.data.calms21.read import read_calms21

    return read_calms21


def peak_mb() -> float:
    """The most memory (MB) that this process has held since it started its program."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts a parent's memory at the fork into ru_maxrss, but not into this
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main(side: str, path: str) -> None:
    """Read the file as a side does and print what that took as JSON."""
    read = {"theirs": _theirs, "ours": _ours}[side]()
    before, start = peak_mb(), time.perf_counter()
    held = read(Path(path))
    seconds = time.perf_counter() - start
    print(json.dumps({"s": seconds, "idle_mb": before, "peak_mb": peak_mb()}))
    del held  # until here, the peak is that of a process that keeps what it read


if __name__ == "__main__":
    main(*sys.argv[1:])
