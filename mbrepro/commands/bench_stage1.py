"""How fast stage 1 is trained and looks at poses: benchmarks of `mbrepro bench`."""

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mbrepro.commands.timing import REPETITIONS, in_turn, timed
from mbrepro.data.recordings import FPS, TASK1_CLASSES, Recording
from mbrepro.demo.simulated import DemoSettings, simulate_recording
from mbrepro.method.boosting import fit_boosting
from mbrepro.method.features import dyad_features
from mbrepro.method.localizer import LOCALIZER, PoseCNN, action_labels, localize, pose_features
from mbrepro.method.localizer import PUBLISHED_BATCH as BATCH
from mbrepro.method.stage1 import LOCALIZERS
from mbrepro.method.training import one_thread, train_epoch

SEQUENCES, FRAMES = 70, 507_738  # CalMS21's Task 1 training split
PEAK = 2048  # rows of the square matrices whose product is the machine's peak


def localizer_to_f1(recordings: int = 24, held_out: int = 6, frames: int = 2700, passes: int = 15) -> dict:
    """Seconds of training until the network reaches its published F1: a window for every frame in batches of 128
    (theirs) against dense crops (ours); ratio is None where ours does not in four times the passes.

    Both train the same PyTorch network on the same simulated poses. Its F1 is what theirs has on held-out animals after
    the official number of passes; a side's time ends with the first pass after which it has that F1.
    """
    made = [simulated(k, frames) for k in range(1, recordings + 1)]
    parts = made[:-held_out], made[-held_out:]
    theirs = curve(windowed_epoch, *parts, LOCALIZER.learning_rate, passes)
    target = theirs[-1][1]
    ours = curve(train_epoch, *parts, LOCALIZER.step_rate, 4 * passes, target)
    (ours_s, reached), theirs_s = ours[-1], next(seconds for seconds, f1 in theirs if f1 >= target)
    times = {"ours_s": ours_s, "theirs_s": theirs_s, "ratio": theirs_s / ours_s if reached >= target else None}
    told = {"f1": target, "ours_passes": len(ours), "theirs_passes": [f1 >= target for _, f1 in theirs].index(True) + 1}
    return times | told | {"frames": (recordings - held_out) * frames, "torch_threads": torch.get_num_threads()}


def curve(
    epoch: Callable, fit: Sequence[Recording], held_out: Sequence[Recording], rate: float, passes: int, until: float = 2
) -> list[tuple[float, float]]:  # fmt: skip
    """Seconds of training up to each pass, and the F1 of action on held-out recordings after it, up to one of `until`.

    rate: Adam's. Making the network and looking at held-out recordings is not counted.
    """
    torch.manual_seed(0)
    model, rng, spent, found = PoseCNN(LOCALIZER), np.random.default_rng(0), 0.0, []
    model.normalise_input([pose_features(r) for r in fit])
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, eps=1e-7, fused=True)
    targets, true = [[action_labels(r.true, r.classes) for r in part] for part in (fit, held_out)]
    for _ in tqdm(range(passes), desc=epoch.__name__, disable=None):
        spent += timed(lambda: epoch(model, optimizer, fit, targets, rng))
        told = np.concatenate([localize(model, r).argmax(1) for r in held_out])
        found.append((spent, float(f1_score(np.concatenate(true), told, pos_label=0))))
        if found[-1][1] >= until:
            break
    return found


def windowed_epoch(
    model: PoseCNN, optimizer: torch.optim.Optimizer, recordings: Sequence[Recording], targets: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """One epoch as published: every frame's own window, shuffled, 128 a step; takes what `train_epoch` takes."""
    before, after = model.settings.context_before, model.settings.context_after
    padded = [np.pad(pose_features(recording), ((before, after), (0, 0))) for recording in recordings]
    begins = [0, *accumulate(map(len, padded))][:-1]
    firsts = np.concatenate([np.arange(len(r)) + k for r, k in zip(recordings, begins, strict=True)])
    samples = np.arange(model.settings.samples) * model.settings.step
    features, labels = np.concatenate(padded), np.concatenate(targets)
    order = rng.permutation(len(firsts))
    model.train()
    model.input_norm.train()  # by each batch's own statistics, as published
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        windows = torch.from_numpy(features[firsts[batch, None] + samples]).transpose(1, 2).contiguous()
        optimizer.zero_grad()
        F.cross_entropy(model.forward_windows(windows), torch.from_numpy(labels[batch])).backward()
        optimizer.step()


def localizer_peak(seconds: float = 600.0) -> dict:
    """Seconds to look at a recording with the localizer, and its arithmetic as a share of a matrix product's, on the
    same threads in the same run."""
    recording, model = simulated(1, round(seconds * FPS)), PoseCNN(LOCALIZER).eval()
    with FlopCounterMode(display=False) as counted:
        localize(model, recording)
    square = torch.randn(PEAK, PEAK)
    sides = (lambda _: timed(lambda: localize(model, recording)), lambda _: timed(lambda: square @ square))
    in_turn("warm up", 1, *sides)
    ours, product = in_turn("localizer_peak", 3 * REPETITIONS, *sides)
    rate, peak = counted.get_total_flops() / ours, 2 * PEAK**3 / product
    told = {"share_of_peak": rate / peak, "seconds": ours, "gflop_per_s": rate / 1e9, "peak_gflop_per_s": peak / 1e9}
    return told | {"frames": len(recording), "torch_threads": torch.get_num_threads()}


def features(frames: int = 18_000) -> dict:
    """Frames a second on one core of the pose features that trees and the dilated network learn from."""
    recording = simulated(1, frames)
    with one_thread():
        (spent,) = in_turn("features", REPETITIONS, lambda _: timed(lambda: dyad_features(recording)))
    return {"frames_per_s": frames / spent, "frames": frames}


def boosting(sequences: int = SEQUENCES, frames: int = FRAMES) -> dict:
    """Seconds to fit the study's trees on as many frames as CalMS21's train recordings have, features included."""
    made = [simulated(k, frames // sequences) for k in range(1, sequences + 1)]
    settings = LOCALIZERS["boosting"].settings
    spent = timed(lambda: fit_boosting(made, [r.true for r in made], len(TASK1_CLASSES), settings, 0))
    return {"seconds": spent, "frames": sum(map(len, made))}


def simulated(number: int, frames: int) -> Recording:
    """Poses and labels of the first frames of a simulated recording."""
    settings = DemoSettings(seconds=max(10.0, frames / FPS + 1))
    made, _ = simulate_recording("task1", f"mouse{number:03d}_task1_annotator1", settings)
    return made.at(slice(frames))
