"""The study's vision-language model fine-tuned on clips of its own train recordings."""

from pathlib import Path

import numpy as np

from mbrepro.data.clips import cut_clips, frame_count, sampled_rate
from mbrepro.data.recordings import Dataset, other_index
from mbrepro.embedding.lora import LabelledClip, LoraSettings, check_start, fine_tune
from mbrepro.method import protocols
from mbrepro.method.pipeline import propose
from mbrepro.method.protocols import Protocol
from mbrepro.study.profiles import embedder_settings, load_dataset


def finetune(profile: str, folder: Path, settings: LoraSettings, scale: float = 1.0) -> Path:
    """Fine-tune the corrected protocol's model on the labelled clips of Task 1's train animals; see `fine_tune`.

    The clips are those its head is trained on, so stage 1 is not needed. scale: demo, times the number of recordings.
    Returns `folder`, a checkpoint to give as the model of a study. Raises InputError as `fine_tune` and readers do.
    """
    protocol = protocols.corrected(embedder_settings(profile, "corrected"))
    check_start(folder, protocol.embedder)
    data = load_dataset("task1", profile, scale).filmed()
    rate = sampled_rate(protocol.clips, frame_count(protocol.clips))
    return fine_tune(protocol.embedder, labelled_clips(data, protocol), len(data.classes), rate, folder, settings)


def labelled_clips(data: Dataset, protocol: Protocol) -> list[LabelledClip]:
    """The clips round the labelled bouts of the train recordings, with their classes; those labelled other left out."""
    clips, other = [], other_index(data.classes)
    for recording in data.train:
        proposed = propose(recording, recording.action.astype(np.float32), protocol)
        cut = zip(cut_clips(recording, proposed.starts.tolist(), protocol.clips), proposed.true.tolist(), strict=True)
        clips += [LabelledClip(frames, label, recording.animal) for frames, label in cut if label != other]
    return clips
