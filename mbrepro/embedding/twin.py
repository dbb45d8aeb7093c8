"""A model's untrained twin: its configuration with random weights, the control for what training gave."""

import shutil
from pathlib import Path
from typing import Any

import torch
import transformers

from mbrepro.artifacts import fingerprint, versions
from mbrepro.embedding import checkpoint, embedder_class
from mbrepro.embedding.encoders import EncoderEmbedder

VERSION = 1  # raise it when the twin gets other weights


def untrained_twin(model: str, folder: Path, seed: int) -> Path:
    """Folder of a checkpoint like `model` (see `EmbedderSettings`), as float16, with weights drawn from `seed`, made
    once; with its tokenizer, or of an encoder its preprocessing.
    """
    source = checkpoint.find(model)
    kind: type[Any] = embedder_class(model)  # one that finds a checkpoint
    encoder = issubclass(kind, EncoderEmbedder)
    named = [source / name for name in checkpoint.PREPROCESSING_FILES] if encoder else []
    prepared = [path for path in named if path.is_file()]
    made_from = source / "config.json", *prepared, seed, VERSION, versions(torch, transformers)
    twin = Path(folder) / f"twin-{fingerprint(*made_from)}"
    if not twin.exists():
        torch.manual_seed(seed)
        network = kind.untrained(checkpoint.read_config(source))
        with checkpoint.new_folder(twin) as partial:
            if encoder:
                network.half().save_pretrained(partial)
                for path in prepared:
                    shutil.copy(path, partial)
            else:
                checkpoint.save_checkpoint(network, checkpoint.load_tokenizer(source), partial)
    return twin
