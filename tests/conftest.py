import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings to check against; none of it belongs to the project."""
    default = Path(__file__).parents[2] / "shared" / "real"
    folder = Path(os.environ.get("MBREPRO_REAL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder} (set MBREPRO_REAL_DATA)")
    return folder


@pytest.fixture(autouse=True, scope="session")
def data_outside_the_users_cache(tmp_path_factory):
    """What tests fetch and parse is kept in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBREPRO_DATA", str(tmp_path_factory.mktemp("data")))
        yield
