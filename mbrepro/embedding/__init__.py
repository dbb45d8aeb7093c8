"""Stage 2: clips → embeddings."""

from mbrepro.embedding.embedder import ClipEmbedder, EmbedderSettings


def load_embedder(settings: EmbedderSettings) -> ClipEmbedder:
    """Load the embedder that `settings.model` names; its kind is read from the checkpoint's own configuration.

    Raises InputError if the model cannot be found, has no weights, or is of a kind that is not supported.
    """
    # Imported here because transformers takes seconds to import and most commands never embed anything.
    from mbrepro.embedding.qwen import QwenVLEmbedder

    return QwenVLEmbedder(settings)
