import pytest

from mbrepro.data.recordings import Recording
from mbrepro.method.localizer import action_labels
from mbrepro.method.training import fit_localizer
from tests.fixtures.near_and_far import SMALL, made_recording


@pytest.fixture(scope="package")
def made() -> list[Recording]:
    return [made_recording(f"r{k}", 600, seed=k) for k in range(5)]


@pytest.fixture(scope="package")
def fitted(made):
    """A trained network, and the history of its training."""
    return fit_localizer(made[:4], [action_labels(r.labels, r.classes) for r in made[:4]], SMALL, seed=3)
