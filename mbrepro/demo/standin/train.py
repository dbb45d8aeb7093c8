"""Train the stand-in again: `mbrepro standin`, about half an hour on two cores."""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import PreTrainedTokenizerBase

from mbrepro.artifacts import fingerprint, write_json, write_text
from mbrepro.data.tables import csv_text
from mbrepro.demo.simulated import DemoSettings, extra_recordings
from mbrepro.demo.standin.evaluate import evaluate
from mbrepro.demo.standin.examples import Example, make_examples
from mbrepro.demo.standin.learning import TrainSettings, learn
from mbrepro.demo.standin.model import stand_in_config, train_tokenizer, untrained
from mbrepro.embedding.checkpoint import save_checkpoint
from mbrepro.embedding.embedder import PROMPT

RECORDING_SECONDS = 45.0
TRAIN_ANIMALS, HELD_OUT_ANIMALS = 40, 20
LOG_EVERY = 20
# More threads gain little on so small a model, lose much on a busy machine, and change the sums' rounding.
THREADS = 1
TEMPLATE_TEXT = "You are a helpful assistant.\nsystem\nuser\nassistant\n"


def train(out: Path, settings: TrainSettings, animals: int, held_out: int, store: Path) -> None:
    """Film, learn, save and score; writes the checkpoint, its log of losses and what made it into `out`."""
    torch.set_num_threads(THREADS)
    began = time.monotonic()
    filming = DemoSettings(seconds=RECORDING_SECONDS, seed=settings.seed)
    recordings = extra_recordings("task1", animals + held_out, filming, store)  # animals that no demo recording shows
    train_recordings, test_recordings = recordings[:animals], recordings[animals:]
    examples = make_examples(train_recordings, settings.seed)
    filmed = time.monotonic()
    print(f"{len(examples)} clips of {len(train_recordings)} recordings after {filmed - began:.0f} s", flush=True)
    captions = [example.caption for example in examples]
    tokenizer = train_tokenizer([*captions, PROMPT, TEMPLATE_TEXT], settings.vocabulary)
    model = untrained(stand_in_config(tokenizer), settings.seed)
    with tempfile.TemporaryDirectory() as folder:
        twin = Path(folder)
        save_checkpoint(model, tokenizer, twin)
        log = run_steps(model, tokenizer, examples, settings, filmed)
        save_checkpoint(model, tokenizer, out)
        write_text(out / "training_log.csv", log)
        scores = evaluate({"stand-in": out, "untrained twin": twin}, test_recordings)
    write_text(out / "evaluation.csv", csv_text(scores, None))
    print(scores.to_string(), flush=True)
    made = {
        "settings": dataclasses.asdict(settings), "clips": len(examples),
        "data": fingerprint([[e.frames, e.points, e.rate, e.caption] for e in examples]),
        "animals": [recording.animal for recording in train_recordings],
        "held_out_animals": [recording.animal for recording in test_recordings],
        "parameters": sum(p.numel() for p in model.parameters()), "vocabulary": len(tokenizer),
        "torch": torch.__version__, "transformers": transformers.__version__,
        "filming_s": round(filmed - began), "total_s": round(time.monotonic() - began),
    }  # fmt: skip
    write_json(out / "training.json", made)


def run_steps(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], settings: TrainSettings,
    began: float,
) -> str:  # fmt: skip
    """Train the model in place and return the log of losses, means over `LOG_EVERY` steps, as CSV."""
    lines, recent = ["step,caption_loss,pose_loss"], []
    for step, said, posed in learn(model, tokenizer, examples, settings):
        recent.append((said, posed))
        if step % LOG_EVERY == 0 or step == settings.steps:
            lines.append("{},{:.4f},{:.4f}".format(step, *np.mean(recent, axis=0)))
            print(lines[-1], f"{time.monotonic() - began:.0f} s", flush=True)
            recent.clear()
    return "\n".join(lines) + "\n"
