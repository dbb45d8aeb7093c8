import json
import sys

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.lora import LabelledClip, LoraSettings, add_adapters, clip_losses, fine_tune, save, train
from mbrepro.embedding.qwen import QwenVLEmbedder
from mbrepro.embedding.standin import STAND_IN_WEIGHTS
from mbrepro.errors import InputError
from tests.fixtures.tiny_encoders import write_encoder, write_qwen3

FPS, CLASSES, PIXELS = 4.0, 2, 84 * 84
MODEL = EmbedderSettings(max_pixels=PIXELS)


def drawn_clip(label: int, animal: int, number: int) -> LabelledClip:
    """Two drawn mice: of class 0 the dark one runs towards the pale one, of class 1 away from it."""
    rng = np.random.default_rng([label, animal, number])
    turn, pale = rng.uniform(0, 2 * np.pi), np.array([42, 42]) + rng.normal(0, 3, 2)
    ahead = np.array([np.cos(turn), np.sin(turn)])
    colour = 30 + 7 * animal
    frames = np.full((4, 84, 84, 3), 120 + animal, np.uint8)
    for k, frame in enumerate(frames):
        away = 14 + 6 * (k if label else 3 - k)
        for place, grey in ((pale, 220), (pale + away * ahead, colour)):
            centre, axes = tuple(int(v) for v in place), (9, 5)
            cv2.ellipse(frame, centre, axes, float(np.degrees(turn)), 0, 360, (grey,) * 3, -1)
    return LabelledClip(frames, label, f"mouse{animal:03d}")


def drawn(animals, each: int = 3) -> list[LabelledClip]:
    return [drawn_clip(label, animal, k) for animal in animals for label in range(CLASSES) for k in range(each)]


@torch.inference_mode()
def embedded(embedder: QwenVLEmbedder, clips: list[LabelledClip]) -> np.ndarray:
    """Mean of the last layer over the video tokens, clips one by one."""
    rows = []
    for clip in clips:
        inputs = embedder.prepare([clip.frames], FPS)
        hidden = embedder.model.model(**inputs, use_cache=False).last_hidden_state[0]
        rows.append(hidden[inputs["input_ids"][0] == embedder.config.video_token_id].mean(0).numpy())
    return np.stack(rows)


def separation(rows: np.ndarray, clips: list[LabelledClip]) -> float:
    """Distance between the classes' means, in units of the spread about them."""
    labels = np.array([clip.label for clip in clips])
    one, other = rows[labels == 0], rows[labels == 1]
    spread = np.sqrt((one.var(0).sum() + other.var(0).sum()) / 2)
    return float(np.linalg.norm(one.mean(0) - other.mean(0)) / spread)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    chosen = LoraSettings(epochs=6, learning_rate=2e-3, validation_fraction=0.3)
    return fine_tune(MODEL, drawn(range(6)), CLASSES, FPS, tmp_path_factory.mktemp("tuned") / "model", chosen)


def test_learns_what_was_labelled_and_shows_it_on_other_animals(tuned):
    done = json.loads((tuned / "fine_tuning.json").read_text())
    losses = {name: [epoch[name] for epoch in done["epochs"]] for name in ("train_loss", "validation_loss")}
    assert len(losses["train_loss"]) == 7 and losses["train_loss"][-1] < 0.5 * losses["train_loss"][0]
    assert min(losses["validation_loss"]) < 0.8 * losses["validation_loss"][0]
    others = drawn(range(6, 12))
    before, after = (
        embedded(load_embedder(model), others) for model in (MODEL, EmbedderSettings(str(tuned), max_pixels=PIXELS))
    )
    assert separation(after, others) > 2 * separation(before, others)


def test_animals_are_on_one_side_of_the_split(tuned):
    done = json.loads((tuned / "fine_tuning.json").read_text())
    assert len(done["animals"]) == 4 and len(done["held_out_animals"]) == 2
    assert sorted(done["animals"] + done["held_out_animals"]) == [f"mouse{k:03d}" for k in range(6)]


def test_folder_is_a_checkpoint_like_any_other(tuned):
    begun, after = (load_file(folder / "model.safetensors") for folder in (STAND_IN_WEIGHTS, tuned))
    assert set(begun) - {"lm_head.weight"} == set(after)  # which is tied to the table of tokens
    changed = {name for name in after if not torch.equal(begun[name].float(), after[name].float())}
    attention = {f"{part}_proj.weight" for part in "qkvo"} | {"qkv.weight", "proj.weight"}
    assert changed and {name.split("attn.")[1] for name in changed} == attention
    assert load_embedder(EmbedderSettings(str(tuned))).identity["weights"] != load_embedder(MODEL).identity["weights"]
    assert load_file(tuned / "head.safetensors")["weight"].shape == (CLASSES, 128)
    done = json.loads((tuned / "fine_tuning.json").read_text())
    assert done["begun_with"]["weights"] == load_embedder(MODEL).identity["weights"]


@pytest.mark.parametrize("view", ["last_100", "video_100"])
def test_what_is_saved_reloads_exactly(tmp_path, view):
    clips, chosen = drawn(range(4), each=1), LoraSettings(view=view, epochs=2, vision=False, learning_rate=3e-3)
    embedder = load_embedder(MODEL)
    before = embedded(embedder, clips)
    adapted, head = add_adapters(embedder, CLASSES, chosen)
    assert np.array_equal(embedded(embedder, clips), before)  # adapters begin at nothing
    assert len(list(train(embedder, adapted, head, clips[2:], clips[:2], FPS, chosen))) == 3
    with_adapters = embedded(embedder, clips)
    assert np.abs(with_adapters - before).max() > 1e-3
    save(embedder, adapted, head, {}, tmp_path / "model")
    reloaded = embedded(load_embedder(EmbedderSettings(str(tmp_path / "model"), max_pixels=PIXELS)), clips)
    np.testing.assert_allclose(reloaded, with_adapters, atol=1e-4)  # merged: the same up to rounding
    assert np.array_equal(reloaded, embedded(embedder, clips))  # the merged model itself: the same bits
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_best_epoch_is_what_is_kept():
    """Steps so large that the loss grows: what is left at the end is where it was least."""
    clips, chosen = drawn(range(4), each=1), LoraSettings(epochs=2, vision=False, learning_rate=1.0)
    embedder = load_embedder(MODEL)
    adapted, head = add_adapters(embedder, CLASSES, chosen)
    losses = [e["validation_loss"] for e in train(embedder, adapted, head, clips[2:], clips[:2], FPS, chosen)]
    with torch.no_grad():
        kept = clip_losses(embedder, head, clips[:2], FPS, chosen.view).mean().item()
    assert losses[-1] > min(losses) + 0.1 and kept == pytest.approx(min(losses), abs=1e-6)


def test_loss_by_hand():
    """Cross-entropy of a linear readout of one view, from the library's hidden states."""
    clips, embedder = drawn([1], each=1), load_embedder(MODEL)
    head = torch.nn.Linear(128, CLASSES)
    inputs = embedder.prepare([clip.frames for clip in clips], FPS)
    with torch.no_grad():
        hidden = embedder.model.model(**inputs, use_cache=False).last_hidden_state
        video = inputs["input_ids"][0] == embedder.config.video_token_id
        for view, pooled in (("last_100", hidden[:, -1]), ("video_100", hidden[:, video].mean(1))):
            expected = -torch.log_softmax(head(pooled), 1)[torch.arange(2), torch.tensor([0, 1])]
            found = clip_losses(embedder, head, clips, FPS, view)
            assert torch.allclose(found, expected, atol=1e-5)


def test_same_seed_same_bytes(tmp_path):
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        chosen = LoraSettings(epochs=1, vision=False, learning_rate=1e-2, seed=seed)
        fine_tune(MODEL, drawn(range(3), each=1), CLASSES, FPS, tmp_path / name, chosen)
        weights.append((tmp_path / name / "head.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_qwen3_is_fine_tuned_too(tmp_path):
    model = EmbedderSettings(str(write_qwen3(tmp_path / "begun")), max_pixels=PIXELS)
    fine_tune(model, drawn(range(2), each=1), CLASSES, FPS, tmp_path / "tuned", LoraSettings(epochs=1))
    begun, after = (load_file(tmp_path / name / "model.safetensors") for name in ("begun", "tuned"))
    assert any(not torch.equal(begun[name].float(), after[name].float()) for name in begun if "visual" in name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"view": "vision"}, "must be one of last_100, video_100"),
        ({"rank": 0}, "rank must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"validation_fraction": 1.0}, "between 0 and 1"),
    ],
)
def test_settings_are_checked_at_once(change, message):
    with pytest.raises(InputError, match=message):
        LoraSettings(**change)


def test_what_cannot_be_fine_tuned(tmp_path, monkeypatch):
    clips = drawn(range(2), each=1)
    with pytest.raises(InputError, match="exists already"):
        fine_tune(MODEL, clips, CLASSES, FPS, tmp_path)
    for classes, given in ((1, clips), (CLASSES, [])):
        with pytest.raises(InputError, match="labels to fine-tune on"):
            fine_tune(MODEL, given, classes, FPS, tmp_path / "new")
    with pytest.raises(InputError, match="at least 2 animals"):
        fine_tune(MODEL, drawn([0], each=1), CLASSES, FPS, tmp_path / "new")
    encoder = EmbedderSettings(str(write_encoder(tmp_path / "encoder", "siglip")))
    with pytest.raises(InputError, match="only a Qwen-VL can be fine-tuned"):
        fine_tune(encoder, clips, CLASSES, FPS, tmp_path / "new")
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match="needs peft"):
        fine_tune(MODEL, clips, CLASSES, FPS, tmp_path / "new")
    assert not (tmp_path / "new").exists()
