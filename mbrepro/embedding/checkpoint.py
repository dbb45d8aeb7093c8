"""Checkpoints: finding a model's folder, reading it safely, and saying in one sentence what is wrong with it."""

import abc
import contextlib
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub
import numpy as np
import torch
import transformers
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

from mbrepro.artifacts import file_hash, fingerprint, read_json
from mbrepro.embedding.embedder import STAND_IN, EmbedderSettings
from mbrepro.embedding.standin import STAND_IN_WEIGHTS
from mbrepro.errors import InputError

CHECKPOINT_FILES = ("*.json", "*.jinja", "*.txt", "*.safetensors")
PREPROCESSING_FILES = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
# What besides the weights decides an embedding; a training log or a README beside them does not.
DESCRIBING_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
    "added_tokens.json", "special_tokens_map.json", "chat_template.json", "chat_template.jinja",
    *PREPROCESSING_FILES,
)  # fmt: skip
SMALL = 50_000_000  # weights; each core can have a model of so many
ATTENTION = "sdpa"
LOCAL = {"local_files_only": True, "trust_remote_code": False}  # nothing is asked for, and no code of a folder is run
# The commits that ids without one stand for: a branch of the hub moves, and the study would move with it.
PINNED = {
    "Qwen/Qwen2-VL-2B-Instruct": "895c3a49bc3fa70a340399125c650a463535e71c",
    "Qwen/Qwen2.5-VL-3B-Instruct": "66285546d2b821cf421d4f5eb2576359d3770cd3",
}

transformers.utils.logging.disable_progress_bar()  # loading takes a moment, and its bar would end up in notebooks


def find(model: str, files: Sequence[str] = CHECKPOINT_FILES) -> Path:
    """The folder of a model given as "stand-in", a folder or ID@COMMIT, which is fetched or found in the hub's cache.

    files: what of a model on the hub is fetched. Raises InputError if there is no such folder and the hub cannot give
    it.
    """
    if folder := local_folder(model):
        return folder
    name, commit = hub_model(model)
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=commit, allow_patterns=list(files)))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise InputError(
            f"{model}: no such folder, and the model hub gives no such model or commit ({type(error).__name__}); fetch "
            "it where there is a network, or give the folder of a downloaded checkpoint"
        ) from None


def find_config(model: str) -> Path:
    """As `find`, but of a model on the hub only what describes it is fetched, kilobytes instead of gigabytes."""
    return find(model, ["config.json", *PREPROCESSING_FILES])


def local_folder(model: str) -> Path | None:
    """The folder of the stand-in, or of a model given as a folder; None for one that must be on the hub."""
    if model == STAND_IN:
        return STAND_IN_WEIGHTS
    return Path(model) if Path(model).is_dir() else None


def hub_model(model: str) -> tuple[str, str]:
    """Id and commit of ID@COMMIT, or of an id in `PINNED`; InputError for another, as a branch may move."""
    name, _, commit = model.partition("@")
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise InputError(f"{model}: no such folder, and not a hub id (owner/name) either") from None
    commit = commit or PINNED.get(name, "")
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise InputError(
            f"{model}: no such folder; for a model on the hub give its commit too, {name}@COMMIT, all 40 digits"
        )
    return name, commit


def model_type(folder: Path) -> str | None:
    """The kind of model that a checkpoint's configuration names; raises InputError if that is absent or unreadable."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder}: no config.json in it, so it is not a model checkpoint")
    try:
        return read_json(path).get("model_type")
    except (ValueError, AttributeError):
        raise InputError(f"{path}: not readable as a model configuration") from None


def read_config(folder: Path) -> transformers.PretrainedConfig:
    """The checkpoint's configuration."""
    return AutoConfig.from_pretrained(folder, **LOCAL)


def choose_device(device: str, dtype: str) -> tuple[str, str]:
    """Device and dtype that "auto" stands for; InputError for a device torch lacks, and half precision on a CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise InputError(f"device {device!r} is none that torch knows: use auto, cpu or cuda") from None
    if kind not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is not supported: use auto, cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {device!r} asks for a CUDA GPU, and torch finds none here: use cpu")
    if dtype == "auto":
        return device, "float32" if kind == "cpu" else "bfloat16"
    if kind == "cpu" and dtype != "float32":
        raise InputError(f"dtype {dtype} is several times slower than float32 on a CPU: use float32, or a CUDA device")
    return device, dtype


@contextlib.contextmanager
def described_by(folder: Path) -> Iterator[None]:
    """Raise InputError naming a folder for whatever libraries raise over what its files say."""
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of any library that reads a part of it; too little memory is no fault of the files
        told = " ".join(str(error).split())[:300]
        raise InputError(f"{folder}: not a model that can be loaded ({type(error).__name__}: {told})") from error


def load_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerBase:
    """The checkpoint's tokenizer with its chat template; raises InputError if either is missing."""
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        raise InputError(f"{folder}: no tokenizer.json in it; fetch the checkpoint's tokenizer too")
    tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
    if tokenizer.chat_template is None:
        path = folder / "chat_template.json"  # where checkpoints of 2024 keep the processor's template
        if not path.is_file():
            raise InputError(f"{folder}: the tokenizer has no chat template, so the prompt cannot be put as trained")
        tokenizer.chat_template = read_json(path)["chat_template"]
    return tokenizer


def load_model(folder: Path, dtype: str, kind: Any = AutoModelForImageTextToText) -> torch.nn.Module:
    """The checkpoint's model in evaluation mode; raises InputError if weights are missing rather than make them up.

    kind: the library's class that reads it; weights that class has no place for are left out.
    """
    weight_files(folder)
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # the library's own report lists what is left out, line by line
    try:
        options = {"dtype": getattr(torch, dtype), "attn_implementation": ATTENTION, "use_safetensors": True}
        model, report = kind.from_pretrained(folder, **options, **LOCAL, output_loading_info=True)
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
    wrong = [str(key) for part in ("missing_keys", "mismatched_keys") for key in sorted(report[part], key=str)]
    if wrong:
        raise InputError(f"{folder}: the weights lack or misshape {len(wrong)} tensors, {wrong[0]} first")
    return model.eval()


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, in order; raises InputError if there are none or a shard is missing."""
    index, names = folder / "model.safetensors.index.json", ["model.safetensors"]
    if index.is_file():
        try:
            names = sorted({str(Path(name).name) for name in read_json(index)["weight_map"].values()})
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(f"{index}: not an index of weights ({error}); fetch it again") from error
    for name in names:
        if not (folder / name).is_file():
            raise InputError(f"{folder}: weights file {name} is missing; fetch the whole checkpoint as safetensors")
    return [folder / name for name in names]


def check_memory(folder: Path, device: str, dtype: str) -> None:
    """Raise InputError unless the weights fit into the memory that is free now, of the machine and of its GPU."""
    needed = parameters(folder) * getattr(torch, dtype).itemsize
    places = {"memory": available_memory()}
    if torch.device(device).type == "cuda":
        places[f"memory on {device}"] = torch.cuda.mem_get_info(device)[0]
    for place, free in places.items():
        if needed > free:
            raise InputError(
                f"{folder}: the weights need {needed / 1e9:.1f} GB in {dtype}, and {free / 1e9:.1f} GB of {place} are "
                "free; use a smaller model or a larger machine"
            )


def parameters(folder: Path) -> int:
    """Number of weights in a checkpoint, from its files' headers alone."""
    count = 0
    for path in weight_files(folder):
        try:
            with safe_open(path, "pt") as file:
                count += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        except SafetensorError:
            raise InputError(f"{path}: not a whole safetensors file; fetch it again") from None
    return count


def available_memory() -> float:
    """Bytes of memory that programs can still have, as Linux tells it; unlimited where nothing tells."""
    told = Path("/proc/meminfo")
    found = re.search(r"MemAvailable: *(\d+) kB", told.read_text(encoding="utf-8")) if told.exists() else None
    return int(found[1]) * 1024 if found else math.inf


def identity(folder: Path) -> dict[str, object]:
    """What a checkpoint is and which libraries run it, as plain values; where it lies and its log do not matter."""
    described = [folder / name for name in DESCRIBING_FILES if (folder / name).is_file()]
    return {
        "weights": [file_hash(path) for path in weight_files(folder)],
        "configuration": fingerprint([[path.name, path] for path in described]),
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }


class CheckpointEmbedder(abc.ABC):
    """What embedders that load a checkpoint share: it is found, checked and loaded once, and described for keys.

    library: the library's class that reads it. chosen: settings that the embeddings depend on. code: of the modules
    that compute them. A class adds `read(folder)`, what of the folder it needs besides the weights.

    small: whether it is on a CPU and so small that each of its cores can have a model of its own.

    Raises InputError if the checkpoint is missing or incomplete, does not fit into memory, or its device is not there.
    """

    takes = "pixels"
    library: Any = AutoModelForImageTextToText
    chosen: tuple[str, ...] = ("batch_size",)
    code: ClassVar[dict[str, str]]
    views: tuple[str, ...]
    width: int

    def __init__(self, settings: EmbedderSettings):
        self.settings = settings
        folder = find(settings.model)
        with described_by(folder):
            self.config = read_config(folder)
            self.device, self.dtype = choose_device(settings.device, settings.dtype)
            self.read(folder)
            check_memory(folder, self.device, self.dtype)
            self.small = self.device == "cpu" and parameters(folder) <= SMALL
            self.model = load_model(folder, self.dtype, self.library).to(self.device)
        self.identity = {
            **identity(folder),
            "revision": None if local_folder(settings.model) else hub_model(settings.model)[1],
            **{name: getattr(settings, name) for name in self.chosen},
            "device": self.device,
            "dtype": self.dtype,
            "attention": ATTENTION,
            **self.code,
        }

    @abc.abstractmethod
    def read(self, folder: Path) -> None:
        """Read what of the folder is needed besides the weights."""

    @classmethod
    def untrained(cls, config: transformers.PretrainedConfig) -> torch.nn.Module:
        """A model of a configuration, its weights drawn by the library from torch's seed."""
        return cls.library.from_config(config, attn_implementation=ATTENTION).eval()

    @classmethod
    def check(cls, settings: EmbedderSettings, memory: bool = True) -> None:
        """See `ClipEmbedder.check`."""
        device, dtype = choose_device(settings.device, settings.dtype)
        if folder := local_folder(settings.model):
            weight_files(folder)
            if memory:
                check_memory(folder, device, dtype)

    @abc.abstractmethod
    def embed(self, clips: Sequence[np.ndarray], fps: float) -> dict[str, np.ndarray]:
        """See `ClipEmbedder`."""

    def embed_each(self, batches: Iterable[Sequence[np.ndarray]], fps: float) -> Iterator[dict[str, np.ndarray]]:
        """What `embed` gives of each batch of clips, one after the other as they are asked for."""
        return (self.embed(batch, fps) for batch in batches)

    def batches(self, clips: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
        """Consecutive clips, so what a clip is batched with depends on its place alone."""
        size = self.settings.batch_size
        return (clips[start : start + size] for start in range(0, len(clips), size))

    def gather(self, batches: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """view → (N, width) float32 of all batches' rows."""
        nothing = [np.zeros((0, self.width), np.float32)]
        return {view: np.concatenate([batch[view] for batch in batches] or nothing) for view in self.views}


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside `folder` and rename it to `folder` if the block succeeds; otherwise remove it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".model-", dir=folder.parent, ignore_cleanup_errors=True) as temporary:
        partial = Path(temporary) / folder.name  # made in it, as temporary folders are their owner's alone
        partial.mkdir()
        yield partial
        partial.rename(folder)


def save_checkpoint(model: torch.nn.Module, tokenizer: transformers.PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a checkpoint in the released folder layout, weights as float16 safetensors; the model is left as it was."""
    weights = {name: value.half() for name, value in model.state_dict().items()}
    model.generation_config.eos_token_id = model.config.text_config.eos_token_id
    model.generation_config.pad_token_id = model.config.text_config.pad_token_id
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
