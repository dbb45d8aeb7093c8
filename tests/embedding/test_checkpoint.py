import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mbrepro.embedding import EmbedderSettings, checkpoint, load_embedder
from mbrepro.embedding.qwen import QwenVLEmbedder
from mbrepro.errors import InputError
from tests.fixtures.model_hub import serve_model
from tests.fixtures.tiny_checkpoint import KINDS, noise_clip, write_checkpoint


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: write_checkpoint(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


def load(folder, **settings) -> QwenVLEmbedder:
    return load_embedder(EmbedderSettings(model=str(folder), **{"max_pixels": 10_000, "batch_size": 2} | settings))


def embed(embedder: QwenVLEmbedder) -> np.ndarray:
    return embedder.embed([noise_clip(0, 4), noise_clip(1, 4)], 2.0)["last_100"]


def test_same_bytes_from_a_copy_of_the_folder(folders, tmp_path):
    """Save and reload: nothing but the files decides the embeddings and the identity."""
    first = load(folders["qwen2_5_vl"])
    copied = load(shutil.copytree(folders["qwen2_5_vl"], tmp_path / "copy"))
    first.model.save_pretrained(tmp_path / "saved")
    first.tokenizer.save_pretrained(tmp_path / "saved")
    saved = load(tmp_path / "saved")
    wanted = embed(first)
    assert np.array_equal(embed(copied), wanted)
    assert np.array_equal(embed(saved), wanted)
    assert copied.identity == first.identity


def test_identity_follows_what_changes_the_bytes(folders, tmp_path):
    first = load(folders["qwen2_5_vl"]).identity
    for changed in ({"batch_size": 3}, {"max_pixels": 20_000}, {"prompt": "why"}):
        assert load(folders["qwen2_5_vl"], **changed).identity != first
    assert load(write_checkpoint(tmp_path / "other", seed=1)).identity["weights"] != first["weights"]
    assert {"weights", "configuration", "transformers", "torch", "attention", "code", "dtype"} <= set(first)


def test_old_style_chat_template_file_is_found(folders, tmp_path):
    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "old")
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        load(folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert np.array_equal(embed(load(folder)), embed(load(folders["qwen2_vl"])))


def test_model_that_is_nowhere(tmp_path):
    with pytest.raises(InputError, match="no such folder, and the model hub gives no such model"):
        load("nobody/no-such-model")
    with pytest.raises(InputError, match="not a hub id"):
        load(tmp_path / "absent" / "folder")


def test_folder_without_a_configuration(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '"qwen2_vl"'])
def test_unreadable_configuration(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match="not readable"):
        load(tmp_path)


def test_unsupported_model_is_told_what_is_supported(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(InputError, match=r"'llava' is not supported; use one of qwen2_vl, qwen2_5_vl"):
        load(tmp_path)


def test_folder_without_weights_or_tokenizer(folders, tmp_path):
    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors is missing"):
        load(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part-1.safetensors"}}')
    with pytest.raises(InputError, match=r"part-1\.safetensors is missing"):
        load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        load(folder)


def test_missing_tensors_are_not_made_up(folders, tmp_path):
    folder = shutil.copytree(folders["qwen2_5_vl"], tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "mlp.up_proj" in name)
    save_file({k: v for k, v in weights.items() if k != lost}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="lack or misshape 1 tensors"):
        load(folder)


def test_too_little_memory_is_said_before_loading(folders, monkeypatch):
    folder = folders["qwen2_vl"]
    weights = load_file(folder / "model.safetensors")
    assert checkpoint.parameters(folder) == sum(w.numel() for w in weights.values())
    free = 4 * checkpoint.parameters(folder)
    monkeypatch.setattr(checkpoint, "available_memory", lambda: free)
    checkpoint.check_memory(folder, "cpu", "float32")
    monkeypatch.setattr(checkpoint, "available_memory", lambda: free - 1)
    monkeypatch.setattr(checkpoint, "load_model", lambda *_: pytest.fail("loaded in vain"))
    with pytest.raises(InputError, match=r"the weights need .* GB in float32, and .* GB of memory are free"):
        load(folder)


def test_available_memory_is_less_than_the_machine_has():
    assert 0 < checkpoint.available_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_damaged_weights_are_named(folders, tmp_path):
    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"GIF89a")
    with pytest.raises(InputError, match=r"model\.safetensors: not a whole safetensors file"):
        load(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cuda"}, "no|none"),
        ({"device": "abacus"}, "none that torch knows"),
        ({"device": "meta"}, "not supported"),
        ({"device": "cpu", "dtype": "bfloat16"}, "slower than float32"),
    ],
)
def test_device_that_cannot_run_it(folders, monkeypatch, settings, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=message):
        load(folders["qwen2_vl"], **settings)


def test_auto_is_float32_on_a_cpu_and_bfloat16_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert checkpoint.choose_device("auto", "auto") == ("cpu", "float32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert checkpoint.choose_device("auto", "auto") == ("cuda", "bfloat16")
    assert checkpoint.choose_device("cuda:1", "float16") == ("cuda:1", "float16")
    assert checkpoint.choose_device("cpu", "auto") == ("cpu", "float32")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"batch_size": 0}, "batch_size"),
        ({"prompt": " "}, "prompt is empty"),
        ({"model": ""}, "model is empty"),
    ],
)
def test_settings_are_checked_at_once(settings, message):
    with pytest.raises(InputError, match=message):
        EmbedderSettings(**settings)


def ask_hub(url: str, home: Path, code: str) -> subprocess.CompletedProcess:
    """Run code in an interpreter of its own, whose model hub is at `url`; libraries read where that is only once."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_model_on_the_hub_is_downloaded_once_and_is_the_local_one(tmp_path):
    folder = write_checkpoint(tmp_path / "released")
    with serve_model("owner/tiny", folder) as (url, asked):
        found = ask_hub(url, tmp_path / "home", "from mbrepro.embedding.checkpoint import *; print(find('owner/tiny'))")
        assert found.returncode == 0, found.stderr
        downloaded = Path(found.stdout.strip())
        assert {p.name for p in downloaded.iterdir()} == {p.name for p in folder.iterdir()} == set(asked)
        assert checkpoint.identity(downloaded) == checkpoint.identity(folder)
        before = len(asked)
        again = ask_hub(url, tmp_path / "home", "from mbrepro.embedding.checkpoint import *; find('owner/tiny')")
        assert again.returncode == 0
        assert len(asked) == before


def test_an_estimate_fetches_the_configuration_alone(tmp_path):
    with serve_model("owner/tiny", write_checkpoint(tmp_path / "released")) as (url, asked):
        code = (
            "from mbrepro.embedding.checkpoint import *; print(read_config(find_config('owner/tiny'), ['qwen2_5_vl']))"
        )
        assert ask_hub(url, tmp_path / "home", code).returncode == 0
        assert asked == ["config.json"]


def test_a_model_the_hub_does_not_have_is_one_sentence(tmp_path):
    with serve_model("owner/tiny", tmp_path) as (url, _):
        told = ask_hub(url, tmp_path / "home", "from mbrepro.embedding.checkpoint import *; find('owner/other')")
    assert "InputError: owner/other: no such folder, and the model hub gives no such model" in told.stderr
