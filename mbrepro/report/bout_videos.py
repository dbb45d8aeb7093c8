"""Bouts as small videos with poses and scores drawn: of each behaviour the one named best and the one named worst."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from IPython.display import HTML

from mbrepro.data.recordings import OTHER, Prediction, Recording
from mbrepro.data.video import decode_frames, probe
from mbrepro.metrics.bouts import bouts
from mbrepro.report.labelled_video import write_labelled_video
from mbrepro.report.page import line, webp
from mbrepro.study.results import Run

BESIDE_S, LONGEST_S, WIDTH = 0.5, 3.0, 320  # s shown before and after a bout, s of a video at most, px of it at most
CONTROLS = 96  # px of room below a picture for the player's controls, which would cover the scores


def best_and_worst(run: Run, recordings: Sequence[Recording]) -> HTML:
    """Of each behaviour's true bouts the one with the largest and the one with the smallest share of frames named so.

    Of equal ones the first; where all are equal it is the best. Only filmed recordings count, whose predictions are of
    every frame.
    """
    filmed, figures = {r.name: r for r in recordings if r.video is not None}, []
    for value, name in enumerate(run.classes):
        spans = [(v, *span) for v in run.videos if v.name in filmed for span in bouts(v.true, value).tolist()]
        shares = [float((v.labels[start:stop] == value).mean()) for v, start, stop in spans]
        if name == OTHER or not spans:
            continue
        places = {shares.index(min(shares)): "worst"} | {shares.index(max(shares)): "best"}
        for place, word in sorted(places.items(), key=lambda item: item[1]):
            video, start, stop = spans[place]
            told = f"{name}, {word}: {shares[place]:.0%} of frames {start} to {stop - 1} of {video.name} are named so"
            figures.append(_figure(filmed[video.name], video, (start, stop), run.classes, told))
    if not figures:
        return HTML(line("No test recording with a behaviour in it has video here."))
    return HTML(f'<div class="mb-gallery">{"".join(figures)}</div>')


def _figure(
    recording: Recording, video: Prediction, bout: tuple[int, int], classes: Sequence[str], told: str
) -> str:  # fmt: skip
    around = round(BESIDE_S * recording.fps)
    first = max(0, bout[0] - around)
    frames = slice(first, min(bout[1] + around, first + round(LONGEST_S * recording.fps)))
    part = recording.at(frames, video_start=recording.video_start + first)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bout.mp4"
        write_labelled_video(path, part, classes, video.labels[frames], video.scores[frames], (WIDTH, WIDTH))
        data = base64.b64encode(path.read_bytes()).decode()
        (still,) = decode_frames(path, [probe(path).frames // 2])
    said = html.escape(told)
    height, width, _ = still.shape
    given = f'width="{WIDTH}" style="aspect-ratio: {width} / {height + CONTROLS}" aria-label="{said}"'
    source = f'src="data:video/mp4;base64,{data}"'
    return (
        f'<figure><video controls loop muted playsinline preload="metadata" {given} {source}>'
        f'</video><img class="mb-still" src="{webp(still)}" alt="{said}"><figcaption>{said}</figcaption></figure>'
    )
