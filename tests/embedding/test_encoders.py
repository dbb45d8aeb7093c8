import importlib
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers.utils import is_torchvision_available

from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.encoders import EncoderEmbedder
from mbrepro.embedding.pictures import ASSUMED, Preparation, prepare, read_preparation, target_shape
from mbrepro.errors import InputError
from tests.fixtures.tiny_checkpoint import noise_clip
from tests.fixtures.tiny_encoders import KINDS, PREPROCESSING, WIDTH, make_model, write_encoder

FPS = 4.0
VIDEO = ("vjepa2", "videomae")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: write_encoder(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


def load(folder, **settings) -> EncoderEmbedder:
    return load_embedder(EmbedderSettings(model=str(folder), **{"batch_size": 2} | settings))


@pytest.fixture(scope="module")
def embedders(folders):
    return {kind: load(folder) for kind, folder in folders.items()}


@pytest.fixture(params=KINDS)
def embedder(request, embedders):
    return embedders[request.param]


def clips(*frames):
    return [noise_clip(seed, count) for seed, count in enumerate(frames)]


def test_views_of_every_encoder(embedder):
    embedded = embedder.embed(clips(6, 6, 6), FPS)
    assert isinstance(embedder, EncoderEmbedder) and tuple(embedded) == embedder.views
    assert ("cls" in embedded) == (embedder.kind not in VIDEO)
    for view, rows in embedded.items():
        assert rows.shape == (3, WIDTH) and rows.dtype == np.float32 and np.isfinite(rows).all(), view
        assert np.abs(rows[0] - rows[1]).max() > 0.01
    nothing = embedder.embed([], FPS)
    assert {view: rows.shape for view, rows in nothing.items()} == dict.fromkeys(embedder.views, (0, WIDTH))


def normalised(pixels: torch.Tensor, kind: str) -> torch.Tensor:
    mean, std = (torch.tensor(PREPROCESSING[kind][name]).view(3, 1, 1) for name in ("image_mean", "image_std"))
    return (pixels / 255 - mean) / std


def by_hand(kind: str, clip: np.ndarray) -> torch.Tensor:
    """A 56 x 84 px clip prepared step by step: sides worked out by hand, torch's resize on the 8-bit values."""
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2)
    size = {"vjepa2": (36, 54), "dinov2": (36, 54), "videomae": (32, 48), "siglip2": (48, 64)}.get(kind, (32, 32))
    if kind == "dinov3_vit":
        return normalised(F.interpolate(frames / 255, size, mode="bilinear", antialias=True) * 255, kind)
    resized = F.interpolate(frames, size, mode="bicubic" if kind == "dinov2" else "bilinear", antialias=True)
    if kind in ("vjepa2", "dinov2"):
        resized = resized[:, :, 2:34, 11:43]
    if kind == "videomae":
        resized = resized[:, :, :, 8:40]
    return normalised(resized, kind)


@torch.inference_mode()
def reference(folder, kind: str, clip: np.ndarray) -> dict[str, np.ndarray]:
    """The library's whole model as it was saved, run on one clip at a time."""
    whole = type(make_model(kind)).from_pretrained(folder).eval()
    if kind == "vjepa2":
        tokens = whole(by_hand(kind, clip)[None]).last_hidden_state[0]  # the predictor runs too
    elif kind == "videomae":
        order = [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5]  # 6 frames as 16, each third of a frame rounded
        tokens = whole.videomae(by_hand(kind, clip[order])[None]).last_hidden_state[0]
    elif kind in ("dinov2", "dinov3_vit"):
        hidden, apart = whole(by_hand(kind, clip)).last_hidden_state, {"dinov2": 1, "dinov3_vit": 5}[kind]
        return {"mean": hidden[:, apart:].mean((0, 1)).numpy(), "cls": hidden[:, 0].mean(0).numpy()}
    else:
        inputs = {"pixel_values": by_hand(kind, clip)}
        if kind == "siglip2":  # 3 x 4 patches of 16 x 16 px, colours innermost, and none left over
            cut = inputs["pixel_values"].unfold(2, 16, 16).unfold(3, 16, 16)  # (F, 3, 3, 4, 16, 16)
            inputs["pixel_values"] = cut.permute(0, 2, 3, 4, 5, 1).reshape(len(clip), 12, 768)
            inputs["pixel_attention_mask"] = torch.ones(len(clip), 12, dtype=torch.int32)
            inputs["spatial_shapes"] = torch.tensor([[3, 4]] * len(clip))
        output = whole.vision_model(**inputs)
        return {"mean": output.last_hidden_state.mean((0, 1)).numpy(), "cls": output.pooler_output.mean(0).numpy()}
    return {"mean": tokens.mean(0).numpy()}


@pytest.mark.parametrize("kind", KINDS)
def test_embedding_is_the_library_models_own(embedders, folders, kind):
    found = embedders[kind].embed(clips(6, 6, 6), FPS)
    for row, clip in enumerate(clips(6, 6, 6)):
        expected = reference(folders[kind], kind, clip)
        assert set(expected) == set(found)
        for view, values in expected.items():
            np.testing.assert_allclose(found[view][row], values, atol=2e-5, err_msg=view)


def test_batch_does_not_matter_and_bytes_repeat(embedder):
    alone = [embedder.embed([clip], FPS) for clip in clips(6, 6, 6)]
    together, again = (embedder.embed(clips(6, 6, 6), FPS) for _ in range(2))
    for view in embedder.views:
        assert np.array_equal(together[view], again[view])
        np.testing.assert_allclose(together[view], np.concatenate([row[view] for row in alone]), atol=1e-5)


def test_batches_are_consecutive_clips(embedder, monkeypatch):
    seen = []
    original = EncoderEmbedder.prepare
    monkeypatch.setattr(EncoderEmbedder, "prepare", lambda self, c: seen.append(len(c)) or original(self, c))
    embedder.embed(clips(2, 2, 2, 2, 2), FPS)
    assert seen == [2, 2, 1]


def test_frames_that_each_encoder_sees(embedders):
    shown = {kind: lambda count, e=e: e.frames_shown(e.config, count).tolist() for kind, e in embedders.items()}
    assert shown["vjepa2"](8) == list(range(8)) and shown["vjepa2"](6) == list(range(6))
    assert shown["vjepa2"](16) == [0, 2, 4, 6, 9, 11, 13, 15]  # at most the 8 of its configuration
    assert shown["vjepa2"](1) == [0, 0] and len(shown["vjepa2"](5)) == 6
    assert shown["videomae"](16) == list(range(16))
    assert shown["videomae"](31) == list(range(0, 31, 2))
    assert shown["siglip"](5) == shown["dinov2"](5) == shown["dinov3_vit"](5) == list(range(5))


def test_order_of_frames_matters_to_video_encoders_alone(embedder):
    clip = noise_clip(0, 8)
    forward, backward = (embedder.embed([frames], FPS)["mean"] for frames in (clip, clip[::-1]))
    assert (np.abs(forward - backward).max() > 1e-3) == (embedder.kind in VIDEO)


def test_places_without_a_patch_change_nothing(tmp_path, folders):
    """A square picture in SigLIP 2: 3 x 3 patches, with room for 9 or, 6 places empty, for 15."""
    clip, embedded = noise_clip(3, 2, 64, 64), []
    for places in (9, 15):
        folder = shutil.copytree(folders["siglip2"], tmp_path / str(places))
        (folder / "preprocessor_config.json").write_text(
            json.dumps(PREPROCESSING["siglip2"] | {"max_num_patches": places})
        )
        embedder = load(folder)
        inputs = embedder.prepare([clip])
        assert inputs["pixel_attention_mask"].shape == (2, places) and inputs["spatial_shapes"].tolist() == [[3, 3]] * 2
        assert inputs["pixel_attention_mask"].sum(1).tolist() == [9, 9]
        embedded.append(embedder.embed([clip], FPS))
    for view, rows in embedded[0].items():
        np.testing.assert_allclose(embedded[1][view], rows, atol=1e-5)


def test_identity_follows_what_changes_the_bytes(folders, tmp_path):
    for kind, folder in folders.items():
        first = load(folder).identity
        copied = shutil.copytree(folder, tmp_path / kind)
        assert load(copied).identity == first
        assert load(copied, prompt="why", max_pixels=9_000).identity == first  # which an encoder never sees
        assert load(folder, batch_size=3).identity != first
        path = next(copied.glob("*preprocessor_config.json"))
        path.write_text(json.dumps(PREPROCESSING[kind] | {"image_std": [0.3, 0.3, 0.3]}))
        assert load(copied).identity["configuration"] != first["configuration"]


def test_same_numbers_from_the_tower_saved_alone(embedders, tmp_path):
    for kind in ("siglip", "siglip2"):
        embedders[kind].model.save_pretrained(tmp_path / kind)
        (tmp_path / kind / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING[kind]))
        alone = load(tmp_path / kind)
        assert alone.kind == f"{kind}_vision_model"
        wanted = embedders[kind].embed(clips(2), FPS)
        assert all(np.array_equal(rows, wanted[view]) for view, rows in alone.embed(clips(2), FPS).items())


def test_tower_without_a_pooling_head_has_no_cls(tmp_path):
    embedder = load(write_encoder(tmp_path, "siglip", vision_use_head=False))
    assert embedder.views == ("mean",) and set(embedder.embed(clips(2), FPS)) == set(embedder.views)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (noise_clip(0).astype(np.float32), "uint8"),
        (noise_clip(0)[0], "uint8"),
        (noise_clip(0)[..., :1], "uint8"),
        (noise_clip(0)[:0], "no picture"),
    ],
)
def test_wrong_clips_are_refused(embedder, clip, message):
    with pytest.raises(InputError, match=message):
        embedder.embed([clip], FPS)


def test_clips_that_do_not_stack_are_refused(embedders):
    with pytest.raises(InputError, match=r"as many frames each, not \[2, 6\]"):
        embedders["dinov3_vit"].embed(clips(6, 2), FPS)
    with pytest.raises(InputError, match="of one size"):
        embedders["siglip"].embed([noise_clip(0), noise_clip(0, 4, 84, 56)], FPS)
    assert embedders["videomae"].embed(clips(6, 2), FPS)["mean"].shape == (2, WIDTH)  # which always sees 16


@pytest.mark.parametrize("kind", KINDS)
def test_incomplete_folders_are_told_in_a_sentence(folders, tmp_path, kind):
    folder = shutil.copytree(folders[kind], tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    vision = [name for name in weights if "text_model" not in name and "predictor" not in name]
    lost = next(name for name in vision if "layer" in name and "decoder" not in name and name.endswith("weight"))
    save_file({k: v for k, v in weights.items() if k != lost}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="lack or misshape 1 tensors"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors is missing"):
        load(folder)
    next(folder.glob("*preprocessor_config.json")).unlink()
    with pytest.raises(InputError, match=r"no preprocessor_config\.json"):
        load(folder)


def test_unknown_kinds_and_folders(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vivit"}')
    with pytest.raises(InputError, match=r"'vivit' is not supported; use one of qwen2_vl.*vjepa2.*dinov3_vit"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("siglip", {"size": {"height": 48, "width": 48}}, "weights are not for"),
        ("videomae", {"crop_size": 16}, "weights are not for"),
        ("vjepa2", {"crop_size": 64}, "weights are not for"),
        ("dinov3_vit", {"size": {"height": 40, "width": 40}}, "weights are not for"),
        ("dinov2", {"crop_size": {"height": 40, "width": 40}}, "weights are not for"),
        ("dinov2", {"do_resize": False, "do_center_crop": False}, "weights are not for"),
        ("siglip2", {"patch_size": 14}, "patches of 14 px"),
        ("siglip", {"resample": 1}, "neither bilinear nor bicubic"),
        ("siglip", {"size": {"longest_edge": 32}}, "not a preprocessing that can be followed"),
        ("siglip", {"size": "large"}, "not a preprocessing that can be followed"),
    ],
)
def test_preprocessing_that_cannot_be_right(folders, tmp_path, kind, change, message):
    folder = shutil.copytree(folders[kind], tmp_path / "model")
    path = next(folder.glob("*preprocessor_config.json"))
    path.write_text(json.dumps(PREPROCESSING[kind] | change))
    with pytest.raises(InputError, match=message):
        load(folder)


@pytest.mark.parametrize("text", ["{", "7", "[1]"])
def test_unreadable_preprocessing(folders, tmp_path, text):
    folder = shutil.copytree(folders["siglip"], tmp_path / "model")
    (folder / "preprocessor_config.json").write_text(text)
    with pytest.raises(InputError, match="not readable"):
        load(folder)


def test_other_sizes_of_pictures_for_the_encoder_that_takes_any(folders, tmp_path):
    folder = shutil.copytree(folders["dinov3_vit"], tmp_path / "model")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(PREPROCESSING["dinov3_vit"] | {"size": {"height": 48, "width": 64}}))
    assert load(folder).prepare(clips(2))["pixel_values"].shape == (2, 3, 48, 64)


def test_combined_processor_file_comes_first(tmp_path):
    """Version 5 of the library writes the parts of a processor into one file, which it prefers."""
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1] * 3}))
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": {"image_mean": [0.2] * 3}}))
    assert read_preparation(tmp_path, "siglip").mean == (0.2,) * 3
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "SiglipProcessor"}))
    assert read_preparation(tmp_path, "siglip").mean == (0.1,) * 3


def test_steps_that_a_file_turns_off(tmp_path):
    off = {"do_resize": False, "do_rescale": False, "do_normalize": False}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(off))
    pixels = prepare(noise_clip(1), read_preparation(tmp_path, "siglip"))["pixel_values"]
    assert np.array_equal(pixels.numpy(), noise_clip(1).transpose(0, 3, 1, 2).astype(np.float32))


def test_small_frames_are_not_cropped_larger():
    how = Preparation((0.5,) * 3, (0.5,) * 3, "bilinear", 1 / 255, size=(16, 16), crop=(32, 32))
    with pytest.raises(InputError, match="smaller than"):
        prepare(noise_clip(0), how)


def test_shorter_side_is_what_is_resized():
    how = Preparation((0.5,) * 3, (0.5,) * 3, "bilinear", 1 / 255, shortest=256)
    assert target_shape(570, 1024, how) == (256, 459) and target_shape(1024, 570, how) == (459, 256)
    assert target_shape(256, 256, how) == (256, 256)


PROCESSORS = {
    "vjepa2": ("vjepa2.video_processing_vjepa2", "VJEPA2VideoProcessor"),
    "videomae": ("videomae.video_processing_videomae", "VideoMAEVideoProcessor"),
    "siglip": ("siglip.image_processing_siglip", "SiglipImageProcessor"),
    "siglip2": ("siglip2.image_processing_siglip2", "Siglip2ImageProcessor"),
    "dinov2": ("bit.image_processing_bit", "BitImageProcessor"),
    "dinov3_vit": ("dinov3_vit.image_processing_dinov3_vit", "DINOv3ViTImageProcessor"),
}
PIL_PROCESSORS = {
    "videomae": ("videomae.image_processing_pil_videomae", "VideoMAEImageProcessorPil"),
    "siglip": ("siglip.image_processing_pil_siglip", "SiglipImageProcessorPil"),
    "siglip2": ("siglip2.image_processing_pil_siglip2", "Siglip2ImageProcessorPil"),
    "dinov2": ("bit.image_processing_pil_bit", "BitImageProcessorPil"),
}
SMOOTH = np.stack([np.asarray(Image.fromarray(f).resize((150, 100))) for f in noise_clip(5, 16, 20, 30)])


def processed(where: tuple[str, str], said: dict, clip: np.ndarray) -> dict[str, torch.Tensor]:
    module, name = where
    made = getattr(importlib.import_module(f"transformers.models.{module}"), name)(**said)
    given = clip if "video" in module.split(".")[1] else list(clip)
    batch = made(given, return_tensors="pt")
    if "pixel_values_videos" in batch:
        return {"pixel_values": batch["pixel_values_videos"][0]}
    return {key: value[0] if value.ndim == 5 else value for key, value in batch.items()}


def files(kind: str) -> list[dict]:
    released = [PREPROCESSING[kind], PREPROCESSING[kind] | {"resample": 3}, {}]
    if kind == "vjepa2":
        released.append({"crop_size": {"height": 384, "width": 384}, "size": {"shortest_edge": 300}})
    return released


@pytest.mark.torchvision
@pytest.mark.skipif(not is_torchvision_available(), reason="the real processors need torchvision, not installed here")
@pytest.mark.parametrize("clip", [noise_clip(4, 16), noise_clip(4, 16, 57, 33), SMOOTH], ids=["wide", "tall", "smooth"])
@pytest.mark.parametrize("kind", KINDS)
def test_preparation_equals_the_real_processors(tmp_path, kind, clip):
    for said in files(kind):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
        expected = processed(PROCESSORS[kind], said, clip)
        found = prepare(clip, read_preparation(tmp_path, kind))
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert torch.equal(found[name].to(value.dtype), value), (name, said)


def per_level(how: Preparation, kind: str) -> torch.Tensor:
    """What turns normalised values into 8-bit levels; SigLIP 2's patches have the colours innermost."""
    std = 255 * torch.tensor(how.std)
    return std.repeat(how.patch**2) if kind == "siglip2" else std.view(3, 1, 1)


@pytest.mark.parametrize("kind", PIL_PROCESSORS)
def test_preparation_is_close_to_pillows(tmp_path, kind):
    """These processors need no torchvision; Pillow rounds otherwise, by 1 of 256 levels at most, or 2 if bicubic."""
    for said in files(kind):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
        expected = processed(PIL_PROCESSORS[kind], said, SMOOTH)
        how = read_preparation(tmp_path, kind)
        found = prepare(SMOOTH, how)
        levels = (found["pixel_values"] - expected["pixel_values"]).abs() * per_level(how, kind)
        assert levels.max() < (1.001 if how.mode == "bilinear" else 2.001) and (levels > 0.5).float().mean() < 0.02
        for name in set(found) - {"pixel_values"}:
            assert torch.equal(found[name].long(), expected[name].long())


@pytest.mark.torchvision
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_assumed_is_what_the_library_assumes(kind):
    """Read off the library's classes, without making one of them, which some cannot be without torchvision."""
    module, name = PIL_PROCESSORS.get(kind, PROCESSORS[kind])
    if kind == "dinov3_vit" and not is_torchvision_available():
        pytest.skip("DINOv3's processor cannot be imported without torchvision")
    library = getattr(importlib.import_module(f"transformers.models.{module}"), name)
    for entry, value in ASSUMED[kind].items():
        theirs = getattr(library, entry)
        if entry in ("size", "crop_size") and not isinstance(value, dict):
            assert theirs in ({"shortest_edge": value}, {"height": value, "width": value}, value)
        else:
            assert (tuple(theirs) if isinstance(theirs, list) else theirs) == value, entry
