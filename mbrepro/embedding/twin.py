"""A model's untrained twin: its configuration and tokenizer with random weights, the control for what training gave."""

from pathlib import Path

import torch
import transformers
from transformers import AutoModelForImageTextToText

from mbrepro.artifacts import fingerprint, versions
from mbrepro.embedding import checkpoint

VERSION = 1  # raise it when the twin gets other weights


def untrained_twin(model: str, folder: Path, seed: int) -> Path:
    """Folder of a checkpoint like `model` (see `EmbedderSettings`), as float16, with weights drawn from `seed`, made
    once.
    """
    source = checkpoint.find(model)
    tokenizer = checkpoint.load_tokenizer(source)
    made_from = source / "config.json", seed, VERSION, versions(torch, transformers)
    twin = Path(folder) / f"twin-{fingerprint(*made_from)}"
    if not twin.exists():
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(checkpoint.read_config(source)).eval()
        with checkpoint.new_folder(twin) as partial:
            checkpoint.save_checkpoint(model, tokenizer, partial)
    return twin
