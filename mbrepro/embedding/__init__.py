"""Stage 2: clips → embeddings."""

from pathlib import Path

from mbrepro.embedding.embedder import STAND_IN, ClipEmbedder, EmbedderSettings
from mbrepro.embedding.pose import POSES, PoseEmbedder


def load_embedder(settings: EmbedderSettings) -> ClipEmbedder | PoseEmbedder:
    """Load the embedder that `settings.model` names; its kind is read from the checkpoint's own configuration.

    Raises InputError if the model cannot be found, has no weights, or is of a kind that is not supported.
    """
    if settings.model == POSES:
        return PoseEmbedder(settings)
    # Imported here because transformers takes seconds to import and most commands never embed anything.
    from mbrepro.embedding import encoders, kinds, qwen

    _, config = kinds.find_kind(settings.model)
    encoder = config.model_type in encoders.SUPPORTED
    return encoders.EncoderEmbedder(settings) if encoder else qwen.QwenVLEmbedder(settings)


def check_embedder(settings: EmbedderSettings, memory: bool = True) -> None:
    """Raise InputError as `load_embedder` would, for what can be told at once: hours may lie before the loading.

    A model on the hub is asked for its configuration alone; of a folder the weights have to be there too, and with
    `memory` have to fit into this machine's.
    """
    if settings.model == POSES:
        return
    from mbrepro.embedding import checkpoint, kinds

    folder, _ = kinds.find_kind(settings.model)
    device, dtype = checkpoint.choose_device(settings.device, settings.dtype)
    if settings.model == STAND_IN or Path(settings.model).is_dir():
        checkpoint.weight_files(folder)
        if memory:
            checkpoint.check_memory(folder, device, dtype)
