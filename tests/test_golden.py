"""Golden outputs: whoever changes what a module gives has to raise its VERSION, or what is stored would stay as it was.

MBREPRO_GOLDEN=write records them anew (`make golden`), for modules whose VERSION has been raised and new ones only; to
the others it adds outputs that are new, such as those of one more encoder, if what is recorded has stayed as it was.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mbrepro import paths
from mbrepro.artifacts import package_versions
from mbrepro.data.calms21.read import read_calms21
from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, frame_count, sampled_rate
from mbrepro.data.labels import LabelTrack
from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Prediction, Recording
from mbrepro.data.video import decode_frames, probe, write_video
from mbrepro.demo.simulated import DemoSettings, cage, frames, simulate_recording
from mbrepro.embedding import EmbedderSettings, cuda, load_embedder
from mbrepro.embedding.asked import Asked
from mbrepro.embedding.packing import PatchLayout, pack_clips
from mbrepro.embedding.pictures import prepare, read_preparation
from mbrepro.embedding.qwen3 import timed
from mbrepro.embedding.twin import untrained_twin
from mbrepro.method import gate, protocols
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from mbrepro.method.context import context_features, fit_layered
from mbrepro.method.dilated import DilatedSettings, fit_dilated
from mbrepro.method.features import dyad_features
from mbrepro.method.heads import HEADS, HeadSettings, fit_head
from mbrepro.method.localizer import BASELINE, CAUSAL, LOCALIZER, PoseCNN, localize, pose_features
from mbrepro.method.pipeline import propose, write_frames
from mbrepro.method.single_frame import SingleFrameSettings, single_frame
from mbrepro.method.training import fit_localizer
from mbrepro.metrics.frames import evaluate, weighted_metrics
from mbrepro.metrics.labels import label_metrics
from mbrepro.metrics.resampling import draw, estimates, interval, share
from mbrepro.report import front, page, prose
from mbrepro.study import audit, embedding_space, language, poster, sparsity
from mbrepro.study.localization import collapsed
from mbrepro.study.results import OF_FRAMES, PROTOCOLS, Run, score
from tests.fixtures.sequences import sequence, write_release
from tests.fixtures.tiny_encoders import KINDS, write_encoder, write_qwen3

GOLDEN = Path(__file__).with_name("golden.json")
NAME = "mouse001_task1_annotator1"
SETTINGS = DemoSettings(seconds=12, test_seconds=12)


def told(values) -> list[float]:
    """A dozen numbers that an array of any size is known by."""
    values = np.asarray(values, np.float64).ravel()
    picked = values[np.linspace(0, len(values) - 1, 8).astype(int)]
    return [float(v) for v in (len(values), values.mean(), values.std(), *picked)]


def mouse(name: str = NAME, task: str = "task1") -> Recording:
    return simulate_recording(task, name, SETTINGS)[0]


def film(tmp_path: Path) -> Recording:
    """A recording whose video is a moving gradient, the same on every machine."""
    across = np.linspace(0, 255, 128)[None, :, None] * np.ones((72, 1, 3))
    pictures = ((across + 3 * k) % 256 for k in range(120))
    write_video(tmp_path / "film.mp4", (p.astype(np.uint8) for p in pictures), 30.0, 128, 72, crf=0)
    recording = mouse()
    points, labels = recording.keypoints[:120], recording.labels[:120]
    return replace(recording, keypoints=points, labels=labels, scores=None, video=tmp_path / "film.mp4")


def simulated(_):
    made = {}
    for name, task in ((NAME, "task1"), ("mouse003_task3_annotator1", "task3/groom")):
        recording, true = simulate_recording(task, name, SETTINGS)
        made |= {f"{task} keypoints": told(recording.keypoints), f"{task} labels": told(recording.labels)}
        made |= {f"{task} scores": told(recording.scores), f"{task} true": told(true)}
    look = cage.draw_look(np.random.default_rng(0))
    made["pictures"] = told(list(frames.render(true[:3], look, (256, 143))))
    return made | {"settings": asdict(DemoSettings())}


def localizer(_):
    torch.manual_seed(0)
    model = PoseCNN(LOCALIZER).eval()
    model.normalise_input([pose_features(mouse())])
    return {
        "scores": told(localize(model, mouse())),
        "features": told(pose_features(mouse())),
        "settings": [asdict(settings) for settings in (LOCALIZER, BASELINE, CAUSAL)],
    }


def training(_):
    recordings = [mouse(), mouse("mouse002_task1_annotator1")]
    held_out = [(recordings[1], recordings[1].labels)]
    settings = replace(BASELINE, epochs=2)
    model, history = fit_localizer(recordings[:1], [recordings[0].labels], settings, 0, held_out)
    return {"history": history, "weights": told(model.classify.weight.detach())}


def single(tmp_path):
    data = Dataset("task1", TASK1_CLASSES, (mouse(),), (mouse("mouse002_task1_annotator1"),), "simulated")
    ((prediction,),) = single_frame(data, SingleFrameSettings(epochs=1), 1, tmp_path)
    return {"scores": told(prediction.scores), "settings": asdict(SingleFrameSettings())}


def features(_):
    seen = np.random.default_rng(0).random((len(mouse()), 2, 7)) < 0.7
    partly = dyad_features(replace(mouse(), seen=seen))
    return {"whole": told(dyad_features(mouse())), "partly": told(np.nan_to_num(partly)), "seen": told(partly[:, -42:])}


def boosting(_):
    recording, settings = mouse(), BoostingSettings(iterations=5)
    scores = fit_boosting([recording], [recording.labels], 4, settings, 0).scores(mouse("mouse002_task1_annotator1"))
    return {"scores": told(scores), "settings": asdict(BoostingSettings())}


def dilated_network(_):
    recording, chosen = mouse(), DilatedSettings(epochs=2, crop=20)
    torch.set_num_threads(1)
    model = fit_dilated([recording], [recording.labels], 4, chosen, 0)
    return {"settings": asdict(DilatedSettings()), "scores": told(model.scores(recording)),
            "reach": told(model.reach(recording))}  # fmt: skip


def layered(_):
    settings = BoostingSettings(windows_s=(0.5,), iterations=5, leaves=5)
    recordings = [mouse(f"mouse00{k}_task1_annotator1") for k in range(1, 4)]
    model = fit_layered(recordings, True, 0, settings, settings)
    return {
        "scores": told(model.scores(mouse("mouse004_task1_annotator1"))),
        "seen": told(context_features(np.eye(4), 1.0)),
    }


def clips(tmp_path):
    recording, made = film(tmp_path), {}
    for name, settings in {
        "published": protocols.published(EmbedderSettings()).clips,
        "corrected": protocols.corrected(EmbedderSettings()).clips,
        "long": ClipSettings(seconds=3.0, sampled_fps=4.0, crop="mice"),
    }.items():
        shown = clip_frames(40, recording, settings)
        made[f"{name} frames"] = shown.tolist()
        made[f"{name} rate"] = [frame_count(settings), sampled_rate(settings, len(shown))]
        made[f"{name} pixels"] = told(cut_clips(recording, [40], settings)[0])
    return made


def video(tmp_path):
    path = film(tmp_path).video
    info = probe(path)
    return {"times": told(info.times), "size": [info.width, info.height], "pixels": told(decode_frames(path, [0, 50]))}


def smooth_clips(count: int = 2, shape=(4, 72, 128)) -> list[np.ndarray]:
    t, y, x = np.indices(shape)
    waves = [128 + 100 * np.sin(0.5 * t + 0.11 * (k + 1) * x + 0.07 * y) for k in range(count)]
    return [np.repeat(wave[..., None], 3, -1).astype(np.uint8) for wave in waves]


def packing(_):
    blocks, grids = pack_clips(smooth_clips(), 56 * 84)
    return {"blocks": told(blocks), "grids": grids.tolist()}


def on_gpu(_):
    """What embedding on a GPU does otherwise, here on the CPU."""
    blocks, grids = cuda.pack_clips_on("cpu", smooth_clips(), 56 * 84, PatchLayout())
    parts = torch.linspace(-1, 1, 3 * 2 * 7 * 4).reshape(3, 1, 2, 7, 4)
    windows = {"cu_seq_lens_q": torch.tensor([0, 3, 7]), "max_length_q": 4, "scaling": 0.5}
    attended, _ = cuda.attend_by_length(None, *parts, None, **windows)
    return {"blocks": told(blocks), "grids": grids.tolist(), "attended": told(attended)}


def pictures(tmp_path):
    made = {}
    for kind in KINDS:
        how = read_preparation(write_encoder(tmp_path / kind, kind), kind)
        made[kind] = {name: told(value) for name, value in prepare(smooth_clips(1)[0], how).items()}
    return made


def qwen(_):
    embedder = load_embedder(EmbedderSettings(max_pixels=56 * 84))
    embedded = {view: told(rows) for view, rows in embedder.embed(smooth_clips(), 4.0).items()}
    return embedded | {"caption": embedder.caption(smooth_clips(1), 4.0, 12), "prompt": embedder.settings.prompt}


def asked(_):
    model = load_embedder(EmbedderSettings(max_pixels=56 * 84))
    answers = Asked(model, "what is it", ("attack", "other"), [(smooth_clips(1)[0], "other")])
    return {view: told(rows) for view, rows in answers.embed(smooth_clips(), 4.0).items()}


def qwen3(tmp_path):
    embedder = load_embedder(EmbedderSettings(str(write_qwen3(tmp_path)), max_pixels=64 * 96))
    views = {view: told(rows) for view, rows in embedder.embed(smooth_clips(), 4.0).items()}
    return views | {"text": timed("a<v><v><v><v>b", "<v>", 2, 0.5)}


def encoders(tmp_path):
    made = {}
    for kind in KINDS:
        embedder = load_embedder(EmbedderSettings(str(write_encoder(tmp_path / kind, kind)), batch_size=2))
        made[kind] = {view: told(rows) for view, rows in embedder.embed(smooth_clips(shape=(16, 40, 60)), 8.0).items()}
    return made


def pose(_):
    embedder = load_embedder(EmbedderSettings("poses"))
    embedded = embedder.embed_poses(mouse(), [np.arange(0, 60, 4), np.arange(100, 160, 4)])
    return {view: told(rows) for view, rows in embedded.items()}


def pixels(_):
    embedded = load_embedder(EmbedderSettings("pixels")).embed(smooth_clips(), 4.0)
    return {view: told(rows) for view, rows in embedded.items()}


def twin(tmp_path):
    embedder = load_embedder(EmbedderSettings(str(untrained_twin("stand-in", tmp_path, 0)), max_pixels=56 * 84))
    return {"vision": told(embedder.embed(smooth_clips(), 4.0)["vision"])}


def method(_):
    recording, made = mouse(), {}
    p_action = np.clip(0.5 + 0.5 * np.sin(np.arange(len(recording)) / 9) ** 3, 0, 1).astype(np.float32)
    for protocol in (protocols.published(EmbedderSettings()), protocols.corrected(EmbedderSettings())):
        found = propose(recording, p_action, protocol)
        scores = np.tile([0.5, 0.3, 0.2, 0.0], (len(found.proposals), 1))
        frames_written = write_frames(found, scores, protocol)
        made[protocol.name] = {
            "protocol": asdict(protocol),
            "spans": [[p.start, p.stop] for p in found.proposals],
            "starts": found.starts.tolist(),
            "labels": found.labels.tolist(),
            "written": told(frames_written.labels),
            "scores": told(frames_written.scores),
        }
    described = gate.describe(
        np.random.default_rng(0).dirichlet(np.ones(4), len(recording)), found.proposals, recording
    )
    fitted = gate.fit_gate(described, np.sin(np.arange(len(described))))
    made["gate"] = [told(described), told(fitted.predict(described)), gate.hoeffding_bentkus(0.01, 300, 0.05)]
    points = np.random.default_rng(0).normal(size=(30, 4)) + np.repeat([[0], [1], [2]], 10, 0)
    labels, animals = np.repeat([0, 1, 2], 10), [str(k % 3) for k in range(30)]
    for kind in HEADS:
        made[kind] = told(fit_head(points, labels, 4, HeadSettings(kind=kind), 0).scores(points[::3]))
    late = fit_head(points, labels, 4, HeadSettings(), 0, split=2, animals=animals)
    return made | {"late": told(late.scores(points[::3]))}


def metrics(_):
    rng = np.random.default_rng(0)
    true = [rng.integers(0, 4, 200) for _ in range(9)]
    scores = [np.eye(4)[t] + rng.normal(0, 1, (200, 4)) for t in true]
    resampled = weighted_metrics(true, [s.argmax(1) for s in scores], scores, TASK1_CLASSES, draw(9, 50))
    between = {name: interval(resampled[name]) for name in ("f1", "map")}
    bouts = [np.repeat(labels[:40], 5) for labels in true]
    late = [np.roll(labels, 3) for labels in bouts]
    found = label_metrics(bouts, late, TASK1_CLASSES, 30.0)
    return {
        "labels": {name: float(values[0]) for name, values in found.items()},
        "estimates": {name: estimates(bouts, late, TASK1_CLASSES, 30.0, 50)[name] for name in ("bout_f1_50", "kappa")},
        "scores": evaluate(true, None, scores, TASK1_CLASSES),
        "intervals": {name: [each.low, each.high, 50, each.undefined] for name, each in between.items()},
        "share": share(range(1, 9), range(4, 12)),
    }


def some_runs() -> list[Run]:
    rng, runs = np.random.default_rng(0), []
    for seed in range(2):
        true = [np.repeat(rng.integers(0, 4, 40), 10) for _ in range(9)]
        scores = [np.eye(4)[t] + rng.normal(0, 0.8, (400, 4)) for t in true]
        pairs = enumerate(zip(true, scores, strict=True))
        videos = [Prediction(f"v{k}", t, s.argmax(1), s, 30.0) for k, (t, s) in pairs]
        runs.append(Run(seed, "task1", TASK1_CLASSES, tuple(videos)))
    return runs


def study(_):
    runs, tracks = some_runs(), [LabelTrack(f"v{k}", v.true) for k, v in enumerate(some_runs()[0].videos)]
    made = {}
    for row in poster.ROWS:
        for protocol in PROTOCOLS:
            rows = score(row, protocol, runs, 50).drop(columns=["row", "protocol"])
            if (row, protocol) != ("baseline", "corrected"):  # one row's are enough: all read them alike
                rows = rows[~rows["metric"].isin(OF_FRAMES)]
            made[f"{row} {protocol}"] = rows.to_dict("records")
    points = np.random.default_rng(1).normal(size=(40, 6))
    labels = np.repeat([0, 1], 20)
    made["poster"] = [poster.TABLE, poster.readings()]
    made["collapsed"] = [told(v.scores) for run in collapsed(runs) for v in run.videos]
    made["audit"] = audit.clips(tracks, tracks)
    made["sparsity"] = [sparsity.bout_statistics(tracks), sparsity.skippable(tracks), sparsity.ceilings(tracks, [0.0])]
    made["space"] = [embedding_space.arrangement(points, labels, labels), embedding_space.concentration(points)]
    made["language"] = [[text, language.category(text), language.named_behaviours(text)] for text in SAID]
    return made


SAID = (
    "In the video, the two mice are seen running around a small cage.",
    "I'm sorry, but I cannot provide an answer as there is no video or image available.",
    "One mouse mounts the other and does not fight. It then walks away to the wall and sniffs there.",
)


def report(_):
    rows = pd.concat([score(row, name, some_runs(), 50) for row in poster.ROWS for name in PROTOCOLS])
    frame = pd.DataFrame({"a": [0.5, np.nan], "b": [1, 2]}, index=["x", "<y>"])
    return {
        "study": front.study_table(rows, {"published": 0.25}, "simulated"),
        "rows": page.rows_shown(rows.head(4)).data,
        "table": page.table(frame, "what").data,
        "words": page.table(frame, words=True).data,
        "values": page.values({"one": 0.12345}).data,
        "notices": [page.source_notice(["simulated"]), page.source_notice(["CalMS21"], ["Task 3: some"])],
        "sure": prose.how_sure(rows),
    }


def read(tmp_path):
    path = write_release(tmp_path / "a.json", {"task1/train/mouse001_task1_annotator1": sequence()})
    (recording,) = read_calms21(path)
    return {"points": told(recording.keypoints), "labels": recording.labels.tolist(), "scores": told(recording.scores)}


MAKERS = {
    "mbrepro.demo.simulated": simulated,
    "mbrepro.method.localizer": localizer,
    "mbrepro.method.training": training,
    "mbrepro.method.single_frame": single,
    "mbrepro.method.features": features,
    "mbrepro.method.boosting": boosting,
    "mbrepro.method.dilated": dilated_network,
    "mbrepro.method.context": layered,
    "mbrepro.data.clips": clips,
    "mbrepro.data.video": video,
    "mbrepro.embedding.cuda": on_gpu,
    "mbrepro.embedding.packing": packing,
    "mbrepro.embedding.pictures": pictures,
    "mbrepro.embedding.qwen": qwen,
    "mbrepro.embedding.qwen3": qwen3,
    "mbrepro.embedding.asked": asked,
    "mbrepro.embedding.encoders": encoders,
    "mbrepro.embedding.pose": pose,
    "mbrepro.embedding.pixels": pixels,
    "mbrepro.embedding.twin": twin,
    "mbrepro.method": method,
    "mbrepro.metrics": metrics,
    "mbrepro.study": study,
    "mbrepro.report": report,
    "mbrepro.data.calms21.read": read,
}


def same(one, other, place: str = "") -> str:
    """Where two nested values differ, or nothing; numbers may differ as processors' rounding does."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"{place}: {sorted(one.keys() ^ other.keys())}"
        return next(filter(None, (same(one[key], other[key], f"{place}.{key}") for key in one)), "")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next(
            filter(None, (same(a, b, f"{place}[{k}]") for k, (a, b) in enumerate(zip(one, other, strict=True)))), ""
        )
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return "" if np.isclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True) else f"{place}: {one} and {other}"
    return "" if one == other else f"{place}: {one} and {other}"


@pytest.mark.parametrize("module", MAKERS)
def test_what_a_module_gives_is_what_its_version_gave(module, tmp_path):
    torch.set_num_threads(1)
    made = json.loads(json.dumps(MAKERS[module](tmp_path)))
    stored = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    version, kept = package_versions()[module], stored.get(module)
    before = kept["gives"] if kept and kept["version"] == version else {}
    grown = made.keys() > before.keys() and not same(before, {key: made[key] for key in before})
    if os.environ.get("MBREPRO_GOLDEN") == "write" and grown:
        stored[module] = kept = {"version": version, "gives": made | before}
        GOLDEN.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert kept is not None and kept["version"] == version, f"{module} is new or has a new VERSION: make golden"
    assert not same(kept["gives"], made), f"{module} gives something else: raise its VERSION, then make golden"


def test_every_version_has_a_golden_output():
    assert set(MAKERS) == set(package_versions())


def test_a_comment_changes_no_key_and_a_version_those_of_what_rests_on_it(tmp_path):
    """What notebooks, networks, recordings and embeddings are kept under, in a copy with a line more in each file."""
    copy = tmp_path / "copy"
    shutil.copytree(paths.SOURCE / "mbrepro", copy / "mbrepro", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("notebooks", "results"):
        shutil.copytree(paths.SOURCE / folder, copy / folder, ignore=shutil.ignore_patterns("demo", "calms21"))
    for path in (copy / "mbrepro").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(f"{text}\n# a comment\n", encoding="utf-8")
        assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(path.read_text(encoding="utf-8")))
    before = keys_in(paths.SOURCE)
    assert keys_in(copy) == before
    for raised in ("demo/simulated/__init__.py", "embedding/pose.py"):
        path = copy / "mbrepro" / raised
        path.write_text(re.sub(r"(?m)^VERSION = (\d+)", r"VERSION = 1\1", path.read_text(encoding="utf-8")))
    one, other = json.loads(before), json.loads(keys_in(copy))
    made_again = {kind for kind in one if one[kind] != other[kind]}
    assert made_again == {"versions", "simulated", "ladder", "embeddings", "notebooks"}  # no network, no other vectors
    assert all(one["notebooks"][name] != other["notebooks"][name] for name in one["notebooks"])


def keys_in(checkout: Path) -> str:
    """The keys of a checkout, as a fresh interpreter finds them."""
    places = {"MBREPRO_ROOT": checkout / "root", "MBREPRO_REAL_DATA": checkout / "none", "PYTHONPATH": checkout}
    environment = os.environ | {name: str(place) for name, place in places.items()}
    script = Path(__file__).parent / "fixtures" / "keys.py"  # a script's own folder comes first, not the working one
    return subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, check=True).stdout
