"""Every reader of what was made here or by a trained model, with a small whole file of its form, for `fuzz`."""

import json
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from transformers import Qwen2_5_VLConfig

from mbrepro.artifacts import cached_arrays, fingerprint, write_json
from mbrepro.commands.fuzz.readers import FPS, FRAMES, Reader, one_file
from mbrepro.commands.run import parameter
from mbrepro.commands.runner import check_run
from mbrepro.demo.simulated import DemoSettings, simulate_recording
from mbrepro.demo.standin.model import special_ids, text_config, train_tokenizer, untrained, vision_config
from mbrepro.embedding import checkpoint, load_embedder, store
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.method.boosting import BoostingSettings
from mbrepro.method.bundle import Bundle, load_bundle, save_bundle
from mbrepro.method.context import fit_layered
from mbrepro.method.localizer import LocalizerSettings, PoseCNN, load_localizer, save_localizer
from mbrepro.study import results
from mbrepro.study.predict import told_in


def _notes(path: Path) -> None:
    write_json(path, {"poses": "a.csv", "poses_fingerprint": "0123456789abcdef"})


def _values(path: Path) -> None:
    """Parameters as they are typed, each line an argument of -p, or as yaml."""
    path.write_text("clip_seconds=2.0\nseeds=3\nview=video_100\nsampled_fps=4.5\nhead=linear\n", encoding="utf-8")


def _typed(path: Path) -> None:
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    check_run(["03_clip"], "demo", dict(parameter(line.replace("\0", "")) for line in lines if line))


def _row(folder: Path) -> None:
    row, protocol = results.ROWS[0]
    rows = [dict.fromkeys(results.COLUMNS, 0.5) | {"row": row, "protocol": protocol, "metric": "f1", "partial": ""}]
    content = {"source": "simulated", "run": "", "settings": {}, "rows": rows, results.PREDICTIONS: "0" * 64}
    write_json(folder / "rows" / f"{row}-{protocol}.json", content | {results.WHOLE: fingerprint(content)})


def _predictions(path: Path) -> None:
    entry = {"seed": 0, "task": "task1", "classes": ["attack", "other"], "videos": [{"name": "v", "fps": FPS}]}
    labels = np.tile(np.arange(2, dtype=np.uint8), FRAMES)
    arrays = {"0/0/true": labels, "0/0/labels": labels, "0/0/scores": np.eye(2)[labels]}
    save_file(arrays, path, {"index": json.dumps([entry])})


def _embedded(path: Path) -> None:
    save_file({store.STARTS: np.arange(9), "video_100": np.ones((9, 4), np.float32)}, path)


def _arrays(folder: Path) -> None:
    cached_arrays(folder, "a", (1,), lambda: {"a": np.arange(99.0)})


def _bundle(path: Path) -> None:
    settings, trees = (
        DemoSettings(seconds=10, test_seconds=10),
        BoostingSettings(windows_s=(0.5,), iterations=2, leaves=3),
    )
    learned = [simulate_recording("task1", f"mouse00{k}_task1_annotator1", settings)[0] for k in range(1, 4)]
    model = fit_layered(learned, False, 0, trees, trees)
    save_bundle(path, Bundle(model, learned[0].skeleton, learned[0].classes, {"recordings": ["a"]}), "# card\n")


def _localizer(path: Path) -> None:
    save_localizer(path, PoseCNN(LocalizerSettings(context_before=10, context_after=10, channels=(4, 4), kernel=3)))


def _model(folder: Path) -> None:
    tokenizer = train_tokenizer(["system user assistant"], 300)
    parts = {"text_config": text_config(tokenizer, 32, 1, 2), "vision_config": vision_config(32, 32, 1, 2)}
    checkpoint.save_checkpoint(untrained(Qwen2_5_VLConfig(**parts, **special_ids(tokenizer)), 0), tokenizer, folder)


def _embedder(folder: Path) -> None:
    load_embedder(EmbedderSettings(str(folder), max_pixels=9999))


READERS = {  # a reader that makes anew what is damaged has read it
    "parameters of -p": one_file("a.txt", _values, _typed),
    "rows of results": Reader(_row, results.read_rows, ("*.json",)),
    "predictions": one_file("a.safetensors", _predictions, results.read_predictions),
    "notes on a prediction": one_file("a.json", _notes, told_in),
    "embeddings": one_file("a.safetensors", _embedded, partial(store._read, views=["video_100"])),
    "stored arrays": Reader(_arrays, _arrays),
    "localizer": one_file("a.safetensors", _localizer, load_localizer),
    "model of mbrepro train": one_file("a.zip", _bundle, load_bundle),
    "folder of a video model": Reader(_model, _embedder),
}  # fmt: skip
