"""Which clips a protocol takes from a dataset, and what the model makes of them: for pages that look at all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Dataset, Recording
from mbrepro.embedding import load_embedder
from mbrepro.embedding.captions import caption_recording
from mbrepro.embedding.embedder import POSES, ClipEmbedder
from mbrepro.embedding.twin import untrained_twin
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import clip_starts, embed, localize_action, propose, propose_for_head
from mbrepro.method.proposals import Proposal
from mbrepro.method.protocols import Protocol
from mbrepro.method.together import embed_together
from mbrepro.study.language import agreement, category, named_behaviours


@dataclass(frozen=True, eq=False)
class FoundClips:
    """Clips of one recording. starts: (N,) first frames. labels: (N,) class index of each clip's proposal."""

    recording: Recording
    split: str
    starts: np.ndarray
    labels: np.ndarray
    proposals: tuple[Proposal, ...] = ()

    def taken(self, kept: np.ndarray) -> "FoundClips":
        """Some of the clips: a mask or indices (N,)."""
        proposals = tuple(np.array(self.proposals, object)[kept]) if self.proposals else ()
        return replace(self, starts=self.starts[kept], labels=self.labels[kept], proposals=proposals)


def find_clips(data: Dataset, protocol: Protocol, folder: Path) -> list[FoundClips]:
    """The clips of a protocol's first seed: what its head is trained on in the train split, its proposals in the test
    split, of recordings with video. They are those `two_stages` embeds, so its stored embeddings are used again.

    Of a head that learns from the labelled bouts and from what stage 1 localizes, which overlap, the bouts are taken.
    """
    filmed = data.filmed()
    if protocol.head_clips == "both":
        protocol = replace(protocol, head_clips="labelled")
    (model,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
    by_split = [("train", propose_for_head(r, model, protocol)) for r in filmed.train]
    by_split += [("test", propose(r, localize_action(model, r), protocol)) for r in filmed.test]
    return [FoundClips(p.recording, split, p.starts, p.labels, p.proposals) for split, p in by_split]


def moved(found: Sequence[FoundClips], protocol: Protocol, seconds: float) -> list[FoundClips]:
    """The clips of the same proposals at another length, where the protocol's anchor puts them."""
    longer = replace(protocol, clips=replace(protocol.clips, seconds=seconds))
    return [replace(f, starts=clip_starts(f.proposals, f.recording, longer)) for f in found]


def spread(found: Sequence[FoundClips], most: int) -> list[FoundClips]:
    """At most `most` of the clips, the same share of each class, evenly over recordings and time; 0 takes all."""
    kept = spread_of(np.concatenate([f.labels for f in found]), most)
    if kept.all():
        return list(found)
    edges = np.cumsum([len(f.labels) for f in found])[:-1]
    return [f.taken(part) for f, part in zip(found, np.split(kept, edges), strict=True)]


def spread_of(labels: np.ndarray, most: int) -> np.ndarray:
    """(N,) bool, which of the labelled (N,) `spread` takes."""
    if not 0 < most < len(labels):
        return np.ones(len(labels), bool)
    kept = np.zeros(len(labels), bool)
    by_class = np.argsort(labels, kind="stable")
    kept[by_class[np.linspace(0, len(labels) - 1, most).round().astype(int)]] = True
    return kept


def clip_frame(found: Sequence[FoundClips]) -> pd.DataFrame:
    """One line a clip: recording, animal, split, class, minute (of its start) and start (frame)."""
    lines = []
    for f in found:
        r = f.recording
        for start, label in zip(f.starts.tolist(), f.labels, strict=True):
            lines.append((r.name, r.animal, f.split, r.classes[label], start / r.fps / 60, start))
    return pd.DataFrame(lines, columns=["recording", "animal", "split", "class", "minute", "start"])


def embeddings_of(found: Sequence[FoundClips], protocol: Protocol, embedder: ClipEmbedder, folder: Path) -> np.ndarray:
    """(N, D) embeddings of the clips in the protocol's view, in order."""
    embed_together(found, protocol.clips, embedder, folder)
    return np.concatenate([embed(f, protocol, embedder, folder) for f in found])


def spaces(
    found: Sequence[FoundClips], protocol: Protocol, folder: Path, twin_seed: int | None = 0
) -> dict[str, np.ndarray]:
    """The clips in the spaces that are compared, (N, D) each: the model's, its untrained twin's, and the poses' own.

    twin_seed: of the twin's weights; None leaves the twin out, which takes as much disk and time as the model.
    """
    protocols = compared(protocol, folder, twin_seed)
    return {name: embeddings_of(found, p, load_embedder(p.embedder), folder) for name, p in protocols.items()}


def compared(protocol: Protocol, folder: Path, twin_seed: int | None = 0) -> dict[str, Protocol]:
    """The protocol with each embedder of `spaces`, by its name there."""
    model = protocol.embedder.model
    found = {Path(model).name: protocol}
    if twin_seed is not None:
        found["untrained twin"] = protocol.with_model(str(untrained_twin(model, folder, twin_seed)))
    return found | {POSES: protocol.with_model(POSES, "pose")}


def captions_of(
    found: Sequence[FoundClips], clip_settings: ClipSettings, embedder: ClipEmbedder, folder: Path,
    max_new_tokens: int = 80,
) -> pd.DataFrame:  # fmt: skip
    """`clip_frame` with each clip's caption, its category, the behaviours it names and whether they are its class."""
    frame, said = clip_frame(found).assign(seconds=float(clip_settings.seconds)), []
    for f in found:
        starts = f.starts.tolist()
        said += caption_recording(f.recording, starts, clip_settings, embedder, max_new_tokens, folder)
    frame["caption"] = said
    frame["category"] = frame["caption"].map(category)
    frame["names"] = frame["caption"].map(named_behaviours)
    classes = found[0].recording.classes if found else ()
    pairs = zip(frame["names"], frame["class"], strict=True)
    frame["agreement"] = [agreement(names, label, classes) for names, label in pairs]
    return frame


def captions_by_length(
    found: Sequence[FoundClips], protocol: Protocol, lengths: Sequence[float], embedder: ClipEmbedder, folder: Path,
    most: int = 0, max_new_tokens: int = 80,
) -> pd.DataFrame:  # fmt: skip
    """`captions_of` the clips of the same proposals at each length (s), at most `most` a split and length."""
    parts = []
    for seconds, split in product(lengths, ("train", "test")):
        clips = spread([f for f in moved(found, protocol, seconds) if f.split == split], most)
        longer = replace(protocol.clips, seconds=seconds)
        parts.append(captions_of(clips, longer, embedder, folder, max_new_tokens))
    return pd.concat(parts, ignore_index=True)


def captions_at_the_end(
    recordings: Sequence[Recording], seconds_left: Sequence[float], clip_settings: ClipSettings, embedder: ClipEmbedder,
    folder: Path, max_new_tokens: int = 80,
) -> pd.DataFrame:  # fmt: skip
    """`captions_of` clips that start so long before their recording's end and are cut short by it; column `left`, s."""
    parts = []
    for left in seconds_left:
        starts = [np.array([max(0, len(r) - max(1, round(left * r.fps)))]) for r in recordings]
        found = [FoundClips(r, "test", s, r.true[s]) for r, s in zip(recordings, starts, strict=True)]
        parts.append(captions_of(found, clip_settings, embedder, folder, max_new_tokens).assign(left=left))
    return pd.concat(parts, ignore_index=True)
