"""Stage 2: clips → embeddings."""

from mbrepro.embedding.embedder import ClipEmbedder, EmbedderSettings
from mbrepro.embedding.pose import POSES, PoseEmbedder


def load_embedder(settings: EmbedderSettings) -> ClipEmbedder | PoseEmbedder:
    """Load the embedder that `settings.model` names; its kind is read from the checkpoint's own configuration.

    Raises InputError if the model cannot be found, has no weights, or is of a kind that is not supported.
    """
    if settings.model == POSES:
        return PoseEmbedder(settings)
    # Imported here because transformers takes seconds to import and most commands never embed anything.
    from mbrepro.embedding import checkpoint, encoders, qwen

    supported = (*qwen.SUPPORTED, *encoders.SUPPORTED)
    kind = checkpoint.read_config(checkpoint.find_config(settings.model), supported).model_type
    return encoders.EncoderEmbedder(settings) if kind in encoders.SUPPORTED else qwen.QwenVLEmbedder(settings)
