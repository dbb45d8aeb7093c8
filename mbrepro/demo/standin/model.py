"""The stand-in's parts: a byte-level tokenizer trained on its own captions, and a Qwen2.5-VL made small."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from mbrepro.embedding.standin import STAND_IN_WEIGHTS

END_OF_TEXT, END_OF_TURN, VIDEO_PAD = "<|endoftext|>", "<|im_end|>", "<|video_pad|>"
SPECIAL_TOKENS = (
    END_OF_TEXT, "<|im_start|>", END_OF_TURN, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", VIDEO_PAD,
)  # fmt: skip
# ChatML with a place for a video, as Qwen's checkpoints write it.
CHAT_TEMPLATE = (STAND_IN_WEIGHTS / "chat_template.jinja").read_text(encoding="utf-8")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Qwen2Tokenizer:
    """Train a byte-level BPE of at most `vocabulary` tokens with Qwen2's splitting rule, special tokens included."""
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False)
    to_bytes = pre_tokenizers.ByteLevel(use_regex=False, add_prefix_space=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    bpe.decoder = decoders.ByteLevel()
    alphabet, room = sorted(pre_tokenizers.ByteLevel.alphabet()), vocabulary - len(SPECIAL_TOKENS)
    trainer = trainers.BpeTrainer(vocab_size=room, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(texts, trainer)
    learned = json.loads(bpe.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]], eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT, unk_token=END_OF_TEXT, padding_side="left", chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
    )  # fmt: skip
    tokenizer.add_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS], special_tokens=True)
    return tokenizer


def special_ids(tokenizer: Qwen2Tokenizer) -> dict[str, int]:
    """The configuration entries that name special tokens."""
    names = {"image_token_id": "<|image_pad|>", "video_token_id": VIDEO_PAD}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return {entry: tokenizer.convert_tokens_to_ids(token) for entry, token in names.items()}


def text_config(tokenizer: Qwen2Tokenizer, hidden: int, layers: int, heads: int) -> dict[str, object]:
    """A language model `hidden` wide; the rotary halves are shared as in the released models, 1 : 1.5 : 1.5."""
    half = hidden // heads // 2
    time = half // 4
    height = (half - time) // 2
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [time, height, half - time - height]}
    end_of_text, end_of_turn = tokenizer.convert_tokens_to_ids([END_OF_TEXT, END_OF_TURN])
    return {
        "vocab_size": len(tokenizer), "hidden_size": hidden, "intermediate_size": 4 * hidden,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": max(1, heads // 2),
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_parameters": rope,
        "bos_token_id": end_of_text, "eos_token_id": end_of_turn, "pad_token_id": end_of_text,
    }  # fmt: skip


def vision_config(hidden: int, out: int, depth: int, heads: int) -> dict[str, object]:
    """A vision tower with windowed attention in all blocks but the last, and two position steps a second."""
    return {
        "depth": depth, "hidden_size": hidden, "intermediate_size": 3 * hidden, "num_heads": heads,
        "out_hidden_size": out, "tokens_per_second": 2, "window_size": 112, "fullatt_block_indexes": [depth - 1],
    }  # fmt: skip


def stand_in_config(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    """The stand-in's shape: 4 vision blocks of width 96, 4 language layers of width 128, tied output layer."""
    text = text_config(tokenizer, hidden=128, layers=4, heads=4)
    vision = vision_config(hidden=96, out=128, depth=4, heads=4)
    parts = {"text_config": text, "vision_config": vision, "tie_word_embeddings": True}
    return Qwen2_5_VLConfig(**parts, **special_ids(tokenizer))


# The released models' shapes, by their names on the hub: configuration class, language model, vision tower.
RELEASED = json.loads(Path(__file__).with_name("released.json").read_text(encoding="utf-8"))
_ROPE = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}


def released_config(
    tokenizer: Qwen2Tokenizer, name: str = "Qwen2.5-VL-3B", **smaller: int
) -> transformers.PretrainedConfig:
    """A shape of `RELEASED`, for measuring speed.

    smaller: values in place of the language model's own, for a trial on a small machine, with two vision blocks.
    """
    kind, text, vision = RELEASED[name].values()
    shared = {"num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True, "rope_parameters": {**_ROPE}}
    vision = vision | ({"depth": 2, "fullatt_block_indexes": [1]} if smaller else {})
    parts = {"text_config": text | shared | smaller, "vision_config": vision, "tie_word_embeddings": True}
    return getattr(transformers, kind)(**parts, **special_ids(tokenizer))


def untrained(config: Qwen2_5_VLConfig, seed: int) -> Qwen2_5_VLForConditionalGeneration:
    """A model with random weights drawn from `seed`: where training starts, and the twin it is compared with."""
    torch.manual_seed(seed)
    return Qwen2_5_VLForConditionalGeneration(config).eval()
