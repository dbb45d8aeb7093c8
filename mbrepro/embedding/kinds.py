"""Which models can embed clips, by the kind that their configuration names."""

from pathlib import Path

import transformers

from mbrepro.embedding import checkpoint, encoders, qwen

SUPPORTED = (*qwen.SUPPORTED, *encoders.SUPPORTED)


def find_kind(model: str) -> tuple[Path, transformers.PretrainedConfig]:
    """The folder of a model's describing files and its configuration; of a hub's model no weights are fetched.

    Raises InputError if the model cannot be found or is of a kind that is not supported.
    """
    folder = checkpoint.find_config(model)
    return folder, checkpoint.read_config(folder, SUPPORTED)
