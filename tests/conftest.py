import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
settings.register_profile("busy", deadline=None)  # a machine that is busy is no fault
settings.load_profile("busy")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings to check against; none of it belongs to the project."""
    return _folder("MBREPRO_REAL_DATA", "real")


@pytest.fixture(scope="session")
def cases() -> Path:
    """Folder of made files as labs have them, each with something that once went wrong; too large for the project."""
    return _folder("MBREPRO_CASES", "cases")


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, Path(__file__).parents[2] / "shared" / name))
    if not folder.is_dir():
        pytest.skip(f"nothing at {folder} (set {variable})")
    return folder


@pytest.fixture(autouse=True, scope="session")
def data_outside_the_users_cache(tmp_path_factory):
    """What tests fetch and parse is kept in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBREPRO_DATA", str(tmp_path_factory.mktemp("data")))
        yield
