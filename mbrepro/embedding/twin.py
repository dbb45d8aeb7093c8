"""A model's untrained twin: its configuration and tokenizer with random weights, the control for what training gave."""

import shutil
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText

from mbrepro.artifacts import fingerprint, versions
from mbrepro.embedding import checkpoint
from mbrepro.embedding.checkpoint import save_checkpoint

VERSION = 1  # raise it when the twin gets other weights


def untrained_twin(model: str, folder: Path, seed: int) -> Path:
    """Folder of a checkpoint like `model` (see `EmbedderSettings`) with weights drawn from `seed`, made once.

    It takes as much disk as the model in half precision. Raises InputError if the model cannot be found.
    """
    source = checkpoint.find(model)
    tokenizer = checkpoint.load_tokenizer(source)
    made_from = source / "config.json", seed, VERSION, versions(torch, transformers)
    twin = Path(folder) / f"twin-{fingerprint(*made_from)}"
    if not twin.exists():
        twin.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".twin-", dir=twin.parent))
        try:
            torch.manual_seed(seed)
            config = AutoConfig.from_pretrained(source, local_files_only=True)
            save_checkpoint(AutoModelForImageTextToText.from_config(config).eval(), tokenizer, partial)
            partial.rename(twin)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return twin
