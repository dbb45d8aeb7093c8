"""The two protocols: what the poster did, and the same idea done right. Every setting of a run is in one of them."""

from dataclasses import dataclass, replace

from mbrepro.data.clips import ClipSettings
from mbrepro.embedding.embedder import PROMPT, EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method.heads import HeadSettings, head_settings
from mbrepro.method.localizer import LOCALIZER, LocalizerSettings
from mbrepro.method.proposals import HysteresisRule, PosterRule

ASSUMED_FPS = 60.0  # the poster's cutting code divides frames by 60; CalMS21 was filmed at 30 frames per second

CHOICES = {
    "anchor": ("start", "middle"),
    "head_clips": ("localized", "labelled", "both"),
    "written": ("action", "all"),
}


@dataclass(frozen=True)
class Protocol:
    """Settings of both stages.

    validation_fraction: share of the train animals first held out to choose the number of epochs; 0 takes them all.
    anchor: where in a proposal its clip lies, "start" or "middle".
    head_clips: what the head is trained on, clips "localized" by stage 1 in the train recordings, clips of the bouts
    that were "labelled" there, or "both".
    counter_examples: whether clips that hold no behaviour are among them, so that the head can say other.
    view: which of the embedder's views is a clip's embedding; "auto" for the one that is best on held-out train animals
    (`two_stages.with_view`).
    written: which of its frames get a proposal's class, "action" those stage 1 called action, "all" every one.

    Raises InputError naming the setting that makes no sense.
    """

    name: str
    localizer: LocalizerSettings
    rule: PosterRule | HysteresisRule
    clips: ClipSettings
    embedder: EmbedderSettings
    head: HeadSettings
    validation_fraction: float
    anchor: str
    head_clips: str
    counter_examples: bool
    view: str
    written: str

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"protocol setting {name} must be {' or '.join(known)}, not {getattr(self, name)!r}")
        if not self.view:
            raise InputError("protocol setting view is empty: name one of the embedder's views, or auto")
        if not 0 <= self.validation_fraction < 1:
            raise InputError(f"validation_fraction must lie from 0 to below 1, not {self.validation_fraction}")

    def with_model(self, model: str, view: str = "") -> "Protocol":
        """The same protocol with another model, and with its view if one is named."""
        return replace(self, embedder=replace(self.embedder, model=model), view=view or self.view)


def published(embedder: EmbedderSettings, epochs: int = 15, assumed_fps: float = ASSUMED_FPS) -> Protocol:
    """What the poster did, bug for bug where its public code shows it.

    Clips are cut as if the video ran at 60 frames per second (`assumed_fps`; 0 for its own times), the model is shown 4
    frames, the embedding is the last token's last hidden state, the last epoch is kept and no recording is held out
    (Douglas 2025, poster and code).
    """
    return Protocol(
        name="published",
        localizer=replace(LOCALIZER, epochs=epochs),
        rule=PosterRule(),
        clips=ClipSettings(seconds=5.0, sampled_fps=0.1, min_frames=4, assumed_fps=assumed_fps or None),
        embedder=replace(embedder, prompt=PROMPT),
        head=HeadSettings(kind="linear"),
        validation_fraction=0.0,
        anchor="start",
        head_clips="localized",
        counter_examples=False,
        view="last_100",
        written="action",
    )


def corrected(
    embedder: EmbedderSettings,
    epochs: int = 15,
    clip_seconds: float = 2.0,
    sampled_fps: float = 8.0,
    crop: str = "mice",
    view: str = "video_100",
    head: str = "linear",
) -> Protocol:
    """The same two stages done right: true frame times, short clips round both mice, validation on train animals."""
    return Protocol(
        name="corrected",
        localizer=replace(LOCALIZER, epochs=epochs),
        rule=HysteresisRule(max_s=max(clip_seconds, HysteresisRule.min_s)),
        clips=ClipSettings(seconds=clip_seconds, sampled_fps=sampled_fps, crop=crop),
        embedder=replace(embedder, prompt=PROMPT),
        head=head_settings(head),
        validation_fraction=0.25,
        anchor="middle",
        head_clips="both",  # held-out train animals: F1 .631, labelled bouts alone .621 (sd over seeds .009)
        counter_examples=True,
        view=view,
        written="all",
    )


def published_few_shot(embedder: EmbedderSettings, epochs: int = 15) -> Protocol:
    """The published protocol with the nearest neighbour as head (k = 1 in the poster's code)."""
    return replace(published(embedder, epochs), head=HeadSettings(kind="knn", neighbours=1))


def corrected_few_shot(embedder: EmbedderSettings, *settings: object) -> Protocol:
    """As `corrected`, the head trained on what stage 1 localizes alone."""
    return replace(corrected(embedder, *settings), head_clips="localized")
