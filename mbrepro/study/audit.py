"""The poster against its code against the data: what can be measured without its models.

Sources: Douglas 2025 (poster, paper and code at github.com/audreyadouglas/mouse_action_rec), CalMS21 (Sun et al. 2021,
arXiv:2104.02710) and the official baseline's published results. Functions on labels grant a perfect localizer.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro.data import labels as level
from mbrepro.data.calms21.release import official
from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, frame_count
from mbrepro.data.labels import LabelSet, Track
from mbrepro.data.recordings import FPS, OTHER, SPLITS, TASK1_CLASSES, Dataset, Recording, behaviours, other_index, runs
from mbrepro.errors import InputError
from mbrepro.method.proposals import PosterRule, Proposal, proposal_labels, propose
from mbrepro.method.protocols import ASSUMED_FPS
from mbrepro.metrics import resampling
from mbrepro.metrics.frames import confusion, count_metrics, evaluate
from mbrepro.study.corrections import by_seed
from mbrepro.study.results import Run

CLIP = ClipSettings(seconds=5.0, sampled_fps=0.1)  # the published code's clip: 0.1 fps, raised to the sampler's minimum
CUTS = {"as_cut": ASSUMED_FPS, "cut_right": None}  # the rate at which frames are turned into seconds
CUT_TITLES = {"as_cut": "cut at frame / 60", "cut_right": "cut at the true time"}
NOTHING = "no behaviour"
AUTHOR_FOLDER = "author_predictions_mouse071"

# Values per token (hidden size) of each checkpoint, from its config.json on the Hugging Face hub.
HIDDEN_SIZES = {
    "Qwen2-VL-2B": 1536, "Qwen2-VL-7B": 3584, "Qwen2-VL-72B": 8192,
    "Qwen2.5-VL-3B": 2048, "Qwen2.5-VL-7B": 3584, "Qwen2.5-VL-32B": 5120, "Qwen2.5-VL-72B": 8192,
}  # fmt: skip
POSTER_WIDTH = 1536

# The official baseline (github.com/dreamyang-liu/mab-e-opt-transport, results/task1_train_full_data, seeds 42 to 46) on
# the test videos: frames of other, those of them it calls other, and all it calls other. Its tables name the columns
# precision and recall the wrong way round: what they call precision has the same denominator with every seed.
OFFICIAL_FRAMES = {"action": 105_760, OTHER: 156_347}
OFFICIAL_OTHER = ((143_757, 148_229), (144_956, 150_190), (144_896, 150_593), (145_279, 150_406), (144_959, 150_253))


def clip_windows(proposals: Sequence[Proposal], fps: float, assumed_fps: float | None) -> list[slice]:
    """Frames of the poster's 5 s clip of each proposal, cut as if the video ran at `assumed_fps`; None cuts right."""
    length = round(CLIP.seconds * fps)
    starts = [p.start if assumed_fps is None else int(p.start * fps / assumed_fps) for p in proposals]
    return [slice(start, start + length) for start in starts]


def clips(tracks: Sequence[Track], train: Sequence[Track]) -> dict[str, object]:
    """What the poster's clips hold with a perfect localizer, cut as its code cuts them and at the right time.

    A clip's label is the most frequent behaviour of its proposal. An observer names every clip by the most frequent
    behaviour it shows; a guesser says what clips of the train videos that show the same are most often labelled with.
    Shares have intervals by video. `seen`: label → what the clip shows → clips.
    """
    classes, other = tracks[0].classes, other_index(tracks[0].classes)
    found: dict[str, object] = {}
    actions = [track.action for track in tracks]
    for name, assumed in CUTS.items():
        proposals, labels, seen, of_all = _cut(tracks, assumed)
        counts, guess = [len(p) for p in proposals], guesses(train, assumed)
        frequent = int(np.bincount(np.concatenate(labels), minlength=len(classes)).argmax())
        found |= {"clips": sum(counts), "most_frequent": classes[frequent]}
        found["always"] = resampling.share([(said == frequent).sum() for said in labels], counts)
        guessed = [guess[s] for s in seen]
        found[name] = {
            "same": _agreement(labels, seen),
            "same_of_all_classes": _agreement(labels, of_all),
            "nothing": resampling.share([(s == other).sum() for s in seen], counts),
            "observer_f1": resampling.f1(labels, seen, classes),
            "guesser": _agreement(labels, guessed),
            "seen": _seen(np.concatenate(labels), np.concatenate(seen), classes),
            "end_to_end": end_to_end(tracks, actions, proposals, seen),
            "guesser_end_to_end": end_to_end(tracks, actions, proposals, guessed),
        }
    return found


def _cut(tracks: Sequence[Track], assumed_fps: float | None) -> tuple[list, ...]:
    """Of each video: proposals, their labels, and the most frequent behaviour and class that their clips show."""
    proposals = [propose(track.action, PosterRule()) for track in tracks]
    labels, seen, of_all = [], [], []
    for track, spans in zip(tracks, proposals, strict=True):
        labels.append(proposal_labels(track.labels, spans, track.classes))
        seen.append(observed(track, spans, assumed_fps))
        windows = clip_windows(spans, track.fps, assumed_fps)
        counts = [np.bincount(track.true[w], minlength=len(track.classes)) for w in windows]
        of_all.append(np.array([c.argmax() for c in counts], np.int64))
    return proposals, labels, seen, of_all


def observed(namer: Track, proposals: Sequence[Proposal], assumed_fps: float | None) -> np.ndarray:
    """(N,) the behaviour most frequent in the poster's clip of each proposal, as the labels of `namer` have it."""
    windows = clip_windows(proposals, namer.fps, assumed_fps)
    shown = [Proposal(w.start, min(w.stop, len(namer)), 1.0) for w in windows]
    return proposal_labels(namer.labels, shown, namer.classes)


def guesses(tracks: Sequence[Track], assumed_fps: float | None) -> np.ndarray:
    """(C,) the most frequent label of the clips that mostly show each class; the class itself where no clip does."""
    _, labels, seen, _ = _cut(tracks, assumed_fps)
    counts = confusion(np.concatenate(labels), np.concatenate(seen), len(tracks[0].classes))
    return np.where(counts.sum(0) > 0, counts.argmax(0), np.arange(len(counts)))


def _agreement(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> dict[str, float]:
    same = [(a == b).sum() for a, b in zip(one, other, strict=True)]
    return resampling.share(same, [len(a) for a in one])


def _seen(labels: np.ndarray, seen: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    counts = pd.DataFrame(confusion(labels, seen, len(classes)), classes, classes)
    return counts.drop(index=OTHER).rename(columns={OTHER: NOTHING}).to_dict("index")


def end_to_end(
    tracks: Sequence[Track], actions: Sequence[np.ndarray], proposals: Sequence[Sequence[Proposal]],
    named: Sequence[np.ndarray],
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Frame F1 with each proposal's name written over those of its frames that stage 1 calls action (T,) bool.

    CalMS21's mean, and the poster's of four.
    """
    written = []
    for action, spans, names, track in zip(actions, proposals, named, tracks, strict=True):
        labels = np.full(len(track), other_index(track.classes))
        for span, name in zip(spans, names, strict=True):
            labels[span.start : span.stop] = name
        written.append(np.where(action, labels, other_index(track.classes)))
    true = [t.labels for t in tracks]
    return {metric: resampling.f1(true, written, tracks[0].classes, metric) for metric in ("f1", "macro_f1")}


def always(tracks: Sequence[Track], name: str) -> dict[str, float]:
    """Frame F1 of a perfect localizer that calls every action by one name: CalMS21's mean, and the poster's of four."""
    classes = tracks[0].classes
    said = [np.where(t.action, classes.index(name), other_index(classes)) for t in tracks]
    scores = evaluate([t.true for t in tracks], said, None, classes)
    return {metric: scores[metric] for metric in ("f1", "macro_f1")}


def released_videos() -> dict[str, int]:
    """Videos in the release, by the task they belong to."""
    names = official().videos
    return {task: sum(f"_{task}_" in name for name in names) for task in ("task1", "task3")}


def checkpoints(width: int) -> list[str]:
    """The Qwen-VL checkpoints whose embedding has this many values."""
    return [name for name, size in HIDDEN_SIZES.items() if size == width]


def shown_frames(fps: float = FPS) -> np.ndarray:
    """The frames of a 5 s clip that the published sampler shows its model, counted from the clip's first."""
    return np.linspace(0, round(CLIP.seconds * fps) - 1, frame_count(CLIP)).round().astype(np.int64)


def frames_shown(tracks: Sequence[Track]) -> dict[str, object]:
    """Seconds between the frames the model is shown, and the share of bouts shorter than that, by behaviour."""
    fps = tracks[0].fps
    spacing = float(np.diff(shown_frames(fps)).mean() / fps)
    shorter = {}
    for name in (*behaviours(tracks[0].classes), None):
        seconds = level.bout_seconds(tracks, name)
        shorter[name or "all"] = resampling.share([(s < spacing).sum() for s in seconds], [len(s) for s in seconds])
    return {"frames": frame_count(CLIP), "spacing_s": spacing, "bouts_shorter": shorter}


def equal_lengths(tracks: Sequence[Track]) -> dict[str, float]:
    """Videos, their different lengths, and the share of the whole numbers from least to most that are one's."""
    lengths = [len(t) for t in tracks]
    different = len(set(lengths))
    by_chance = different / (max(lengths) - min(lengths) + 1)
    return {"videos": len(lengths), "different": different, "by_chance": by_chance}


def concentration(tracks: Sequence[Track]) -> dict[str, dict[str, object]]:
    """Of each behaviour: in how many videos it occurs, the share of its frames in one video, frames of every video."""
    found = {}
    for value, name in enumerate(tracks[0].classes):
        frames = np.array([(t.true == value).sum() for t in tracks])
        found[name] = {
            "videos": int((frames > 0).sum()),
            "of": len(frames),
            "largest_share": float(frames.max() / frames.sum()) if frames.any() else np.nan,
            "frames": frames.tolist(),
        }
    return found


def width_by_clip(share: Mapping[str, float], clips: int) -> dict[str, float]:
    """Half the width of a share's 95 % interval by video, and what it would be if clips were independent."""
    by_clip = 1.96 * np.sqrt(share["value"] * (1 - share["value"]) / clips)
    return {"by_video": (share["high"] - share["low"]) / 2, "by_clip": float(by_clip)}


def collapsed_baseline() -> dict[str, float]:
    """Binary F1 of action that the official 4-class baseline reaches already: mean and population sd of its seeds."""
    scores = []
    for hits, claimed in OFFICIAL_OTHER:
        missed, false = claimed - hits, OFFICIAL_FRAMES[OTHER] - hits
        counts = [[OFFICIAL_FRAMES["action"] - missed, missed], [false, hits]]
        scores.append(count_metrics(np.array(counts), ("action", OTHER))["f1"])
    return {"f1": float(np.mean(scores)), "sd": float(np.std(scores))}


def author_predictions(folder: Path) -> dict[str, float]:
    """The poster's author's own predictions for mouse071 (in the code's folder demo/), scored.

    There 0 is action and 1 other in stage 1. "ap" is average precision of the hard predictions, the only ones there
    are. Raises InputError if the arrays are missing, or do not fit each other.
    """
    names = ("ground_truth_ifactions", "ifaction_pred", "ground_truth_actions", "action_pred")
    try:
        first_true, first, true, said = (np.load(folder / f"demo_{n}.npy", allow_pickle=False) for n in names)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: the author's predictions cannot be read ({error})") from error
    if not np.array_equal(first_true == 0, true != other_index(TASK1_CLASSES)):
        raise InputError(f"{folder}: the true actions of the two stages differ; copy the files again")
    stage1 = evaluate([first_true], [first], [np.eye(2)[first]], ("action", OTHER))
    both = evaluate([true], [said], None, TASK1_CLASSES)
    trivial = evaluate([true], [np.where(first == 0, 1, 3)], None, TASK1_CLASSES)
    return {
        "frames": len(true),
        **{f"stage1_{name}": stage1[name] for name in ("accuracy", "precision", "recall", "f1")},
        "stage1_ap": stage1["ap_action"],
        **{name: both[name] for name in ("accuracy", "f1_present", "f1", "macro_f1")},
        **{f"always_investigation_{name}": trivial[name] for name in ("accuracy", "f1", "macro_f1")},
    }


def author_sha256(folder: Path) -> str:
    """One hash of the author's files."""
    content = (path.name.encode() + path.read_bytes() for path in sorted(folder.glob("demo_*.npy")))
    return hashlib.sha256(b"".join(content)).hexdigest()


def two_cuts(recordings: Sequence[Recording]) -> dict[str, tuple[np.ndarray, list[str]]]:
    """One bout as the poster's code cuts it and at its true time: title → clip (F, H, W, 3) and each frame's class.

    The bout is the longest of whose behaviour the wrong cut shows nothing, the longest of all if there is none such.
    Raises InputError if no recording has video.
    """
    bouts = []
    for recording in (r for r in recordings if r.video is not None):
        for start, stop, value in runs(recording.true):
            (window,) = clip_windows([Proposal(start, stop, 1.0)], recording.fps, ASSUMED_FPS)
            if value != other_index(recording.classes):
                bouts.append((value not in recording.true[window], stop - start, start, value, recording))
    if not bouts:
        raise InputError("no recording has both video and a bout, so no clip can be shown")
    *_, start, value, recording = max(bouts, key=lambda bout: bout[:2])
    found = {}
    for name, assumed in CUTS.items():
        settings = replace(CLIP, assumed_fps=assumed)
        named = [recording.classes[k] for k in recording.true[clip_frames(start, recording, settings)]]
        title = f"{recording.classes[value]} from {start / recording.fps:.1f} s of {recording.name}, {CUT_TITLES[name]}"
        found[title] = cut_clips(recording, [start], settings)[0], named
    return found


def binary_scores(runs_by_name: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """F1, precision (the poster's "MAP") and average precision of action, means over the seeds of each."""
    wanted = {"f1": "F1", "precision": "precision", "map": "average precision"}
    means = {name: by_seed(runs_)[list(wanted)].mean() for name, runs_ in runs_by_name.items()}
    return pd.DataFrame(means).T.rename(columns=wanted)


def read() -> tuple[LabelSet, Path | None] | None:
    """CalMS21's real labels where this machine has them, and the folder of the author's predictions, no part of it."""
    data, folder = level.real_labels(), Path(os.environ.get("MBREPRO_REAL_DATA", "")) / AUTHOR_FOLDER
    return None if data is None else (data, folder if folder.is_dir() else None)


def figures(found: tuple[LabelSet | Dataset, Path | None]) -> dict[str, object]:
    """Every figure of the audit that labels decide, by split; the author's predictions where their folder is given."""
    data, author = found
    told: dict[str, object] = {}
    for split in SPLITS:
        tracks = getattr(data, split)
        cut = clips(tracks, data.train)
        told[split] = {
            "clips": cut | {"widths": width_by_clip(cut["always"], cut["clips"])},
            "always_investigation": always(tracks, "investigation"),
            "frames": frames_shown(tracks),
            "concentration": concentration(tracks),
        }
    told["lengths"] = equal_lengths([*data.train, *data.test])
    if author is not None:
        told["mouse071"] = author_predictions(author)
    return told


def provenance(found: tuple[LabelSet | Dataset, Path | None]) -> dict[str, object]:
    """What is recorded beside `figures`."""
    data, author = found
    return level.provenance(data, "mbrepro.study.audit.figures") | {
        "intervals": resampling.BY_VIDEO,
        "author_predictions": "github.com/audreyadouglas/mouse_action_rec, commit 0428eddc, demo/",
        "author_predictions_sha256": author and author_sha256(author),
    }
