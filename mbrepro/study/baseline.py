"""Row "baseline": poses alone name every frame."""

from pathlib import Path

from mbrepro.data.recordings import Dataset, Prediction
from mbrepro.method.localizer import LocalizerSettings, localize
from mbrepro.method.networks import train_localizers
from mbrepro.study.results import Run


def baseline(
    data: Dataset, settings: LocalizerSettings, validation_fraction: float, seeds: int, folder: Path
) -> list[Run]:
    """Row "baseline": every test frame gets the class that the pose network finds most probable; a run for each seed.

    settings: of a network with as many classes as `data`. validation_fraction, folder: as of `train_localizers`.
    """
    models = train_localizers(data, settings, validation_fraction, range(seeds), folder)
    runs = []
    for seed, model in enumerate(models):
        scored = [(recording, localize(model, recording)) for recording in data.test]
        videos = tuple(Prediction(r.name, r.labels, scores.argmax(1), scores, r.fps) for r, scores in scored)
        runs.append(Run(seed, data.task, data.classes, videos))
    return runs
