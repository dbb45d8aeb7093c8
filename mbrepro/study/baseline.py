"""Row "baseline": poses alone name every frame."""

from pathlib import Path

from mbrepro.data.recordings import Dataset
from mbrepro.method.localizer import LocalizerSettings
from mbrepro.method.pipeline import (
    predict_frames,
    train_localizers,
)
from mbrepro.study.results import Run


def baseline(
    data: Dataset, settings: LocalizerSettings, validation_fraction: float, seeds: int, folder: Path
) -> list[Run]:
    """Row "baseline": the pose network names every frame's class, no video looked at."""
    models = train_localizers(data, settings, validation_fraction, range(seeds), folder)
    runs = []
    for seed, model in enumerate(models):
        runs.append(Run(seed, data.task, data.classes, tuple(predict_frames(model, r) for r in data.test)))
    return runs
