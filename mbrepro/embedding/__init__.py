"""Stage 2: clips → embeddings."""

from importlib import import_module
from pathlib import Path

from mbrepro.artifacts import file_state
from mbrepro.embedding.embedder import CONTROLS, PIXELS, POSES, ClipEmbedder, EmbedderSettings
from mbrepro.errors import InputError

# What embeds with a checkpoint, by the model_type that its configuration names: a module of this folder and its class.
# Imported when it is asked for, as transformers takes seconds and most commands never embed anything.
EMBEDDERS = {
    "qwen2_vl": "qwen.QwenVLEmbedder",
    "qwen2_5_vl": "qwen.Qwen25VLEmbedder",
    "qwen3_vl": "qwen3.Qwen3VLEmbedder",
    "vjepa2": "encoders.VJEPA2Embedder",
    "videomae": "encoders.VideoMAEEmbedder",
    "siglip": "encoders.SiglipEmbedder",
    "siglip_vision_model": "encoders.SiglipEmbedder",
    "siglip2": "encoders.Siglip2Embedder",
    "siglip2_vision_model": "encoders.Siglip2Embedder",
    "dinov2": "encoders.DINOEmbedder",
    "dinov3_vit": "encoders.DINOEmbedder",
    POSES: "pose.PoseEmbedder",
    PIXELS: "pixels.PixelEmbedder",
}


def embedder_class(model: str) -> type[ClipEmbedder]:
    """The class for a model given as in `EmbedderSettings`, no weights read; InputError if absent or not supported."""
    kind = model
    if model not in CONTROLS:
        from mbrepro.embedding import checkpoint

        folder = checkpoint.find_config(model)
        told = checkpoint.model_type(folder)
        if told is None or told not in EMBEDDERS:
            raise InputError(f"{folder}: model_type {told!r} is not supported; use one of {', '.join(EMBEDDERS)}")
        kind = told
    module, _, name = EMBEDDERS[kind].partition(".")
    return getattr(import_module(f"{__name__}.{module}"), name)


def load_embedder(settings: EmbedderSettings) -> ClipEmbedder:
    """Load the embedder that `settings.model` names; InputError if that is absent, incomplete or not supported."""
    return embedder_class(settings.model)(settings)


def check_embedder(settings: EmbedderSettings, memory: bool = True) -> None:
    """Raise InputError as `load_embedder` would, for what can be told at once; see `ClipEmbedder.check`."""
    embedder_class(settings.model).check(settings, memory)


def model_state(model: str) -> list[list[object]]:
    """The files of a model given as a folder and their `file_state`: for keys that must not read gigabytes."""
    files = sorted(Path(model).glob("*")) if model and Path(model).is_dir() else []
    return [[path.name, *file_state(path)] for path in files]
