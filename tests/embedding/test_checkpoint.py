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

from mbrepro.embedding import EmbedderSettings, checkpoint, load_embedder, model_state
from mbrepro.embedding.qwen import QwenVLEmbedder
from mbrepro.errors import InputError
from mbrepro.study import profiles
from tests.fixtures.model_hub import COMMIT, serve_model
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
    assert {"weights", "configuration", "transformers", "torch", "attention", "mbrepro.embedding.qwen", "dtype"} <= set(
        first
    )


def test_weights_changed_in_place_are_another_identity(folders, tmp_path):
    """Of as many bytes, and their time of change put back, in the process that has read the first ones."""
    folder = shutil.copytree(folders["qwen2_5_vl"], tmp_path / "model")
    path = folder / "model.safetensors"
    first, state, there = load(folder).identity, path.stat(), model_state(str(folder))
    weights = load_file(path)
    save_file({name: weight + 1 for name, weight in weights.items()}, path, {"format": "pt"})
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    second = load(folder).identity
    assert second["weights"] != first["weights"] and second["configuration"] == first["configuration"]
    changed = [(a[0], a != b) for a, b in zip(there, model_state(str(folder)), strict=True)]
    assert [name for name, differs in changed if differs] == ["model.safetensors"]
    assert model_state("poses") == model_state("") == []


def test_old_style_chat_template_file_is_found(folders, tmp_path):
    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "old")
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        load(folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert np.array_equal(embed(load(folder)), embed(load(folders["qwen2_vl"])))


def test_model_that_is_nowhere(tmp_path):
    with pytest.raises(InputError, match="no such folder, and the model hub gives no such model or commit"):
        load(f"nobody/no-such-model@{COMMIT}")
    with pytest.raises(InputError, match="not a hub id"):
        load(tmp_path / "absent" / "folder")


def test_a_model_of_the_hub_has_a_commit():
    """A branch moves, so it is refused: what is fetched in another year must be the same weights."""
    assert checkpoint.hub_model(f"owner/tiny@{COMMIT}") == ("owner/tiny", COMMIT)
    for name in (profiles.PUBLISHED_MODEL, profiles.CORRECTED_MODEL):
        assert checkpoint.hub_model(name) == (name, checkpoint.PINNED[name])
        assert checkpoint.hub_model(f"{name}@{COMMIT}") == (name, COMMIT)
    for moving in ("owner/tiny", "owner/tiny@", "owner/tiny@main", f"owner/tiny@{COMMIT[:7]}"):
        with pytest.raises(InputError, match="give its commit too, owner/tiny@COMMIT"):
            checkpoint.hub_model(moving)


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


TINY = f"owner/tiny@{COMMIT}"


def test_a_model_on_the_hub_is_downloaded_once_at_its_commit_and_is_the_local_one(tmp_path):
    """The hub gives nothing but the commit's files, so a branch that was followed instead would fail."""
    folder = write_checkpoint(tmp_path / "released")
    find = f"from mbrepro.embedding.checkpoint import *; print(find('{TINY}'))"
    load_it = f"from mbrepro.embedding import *; print(load_embedder(EmbedderSettings('{TINY}')).identity['revision'])"
    with serve_model("owner/tiny", folder) as (url, asked):
        found = ask_hub(url, tmp_path / "home", find)
        assert found.returncode == 0, found.stderr
        downloaded = Path(found.stdout.strip())
        assert {p.name for p in downloaded.iterdir()} == {p.name for p in folder.iterdir()} == set(asked)
        assert checkpoint.identity(downloaded) == checkpoint.identity(folder)
        assert load(folder).identity["revision"] is None
        before = len(asked)
        again = ask_hub(url, tmp_path / "home", load_it)
        assert again.stdout.strip() == COMMIT and len(asked) == before


def test_an_estimate_fetches_the_configuration_alone(tmp_path):
    with serve_model("owner/tiny", write_checkpoint(tmp_path / "released")) as (url, asked):
        code = f"from mbrepro.embedding import *; print(embedder_class('{TINY}').__name__)"
        assert ask_hub(url, tmp_path / "home", code).stdout.strip() == "Qwen25VLEmbedder"
        assert asked == ["config.json"]


@pytest.mark.parametrize("model", [f"owner/other@{COMMIT}", f"owner/tiny@{COMMIT[::-1]}"])
def test_a_model_or_commit_the_hub_does_not_have_is_one_sentence(tmp_path, model):
    with serve_model("owner/tiny", tmp_path) as (url, _):
        told = ask_hub(url, tmp_path / "home", f"from mbrepro.embedding.checkpoint import *; find('{model}')")
    assert f"InputError: {model}: no such folder, and the model hub gives no such model or commit" in told.stderr


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_no_code_and_no_pickle_of_a_model_folder_is_run(tmp_path):
    """Code that configuration and tokenizer name, and weights in pytorch's form, also under safetensors' name."""
    folder, target = write_checkpoint(tmp_path / "model"), tmp_path / "made"
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(target)!r})\nclass Own: pass\n")
    for name, parts in (("config.json", ("AutoConfig", "AutoModel", "AutoModelForImageTextToText")),
                        ("tokenizer_config.json", ("AutoTokenizer",))):  # fmt: skip
        own = {"auto_map": {part: ["own.Own", "own.Own"] if part == "AutoTokenizer" else "own.Own" for part in parts}}
        (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | own))
    assert load(folder).width
    torch.save(Payload(target), tmp_path / "pickle.bin")
    weights = folder / "model.safetensors"
    for name in ("pytorch_model.bin", "model.safetensors"):
        weights.unlink(missing_ok=True)
        shutil.copy(tmp_path / "pickle.bin", folder / name)
        with pytest.raises(InputError, match=r"model.safetensors(: not a whole safetensors file| is missing)"):
            load(folder)
    assert not target.exists()
    torch.load(tmp_path / "pickle.bin", weights_only=False)
    assert target.exists(), "the pickle is harmless, so this test would show nothing"
