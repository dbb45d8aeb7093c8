"""Where the study's files lie."""

import hashlib
import os
import re
from pathlib import Path

import pooch

from mbrepro.errors import InputError

OWN = "own"  # a data set of one's own
PROFILES = ("demo", "calms21", OWN)
SOURCE = Path(__file__).parents[1]


def root() -> Path:
    """The study's folder: MBREPRO_ROOT if it is set, otherwise the checkout this package is installed from."""
    return Path(os.environ.get("MBREPRO_ROOT", SOURCE))


def notebooks() -> Path:
    """Notebook sources."""
    return SOURCE / "notebooks"


def recorded() -> Path:
    """Figures that are part of the repository: of real labels, and of the demo what takes longer than the study."""
    return SOURCE / "results" / "recorded"


def data() -> Path:
    """Where downloaded data are kept, outside the study's folder: MBREPRO_DATA if set, else the user's cache."""
    return Path(os.environ.get("MBREPRO_DATA") or pooch.os_cache("mbrepro"))


def real_data() -> Path | None:
    """Real recordings to compare with, no part of the study: MBREPRO_REAL_DATA, or shared/real beside the checkout."""
    folder = Path(os.environ.get("MBREPRO_REAL_DATA") or SOURCE.parent / "shared" / "real")
    return folder if folder.is_dir() else None


def real_folder() -> Path:
    """`real_data`, where that is needed; raises InputError if there is none."""
    if folder := real_data():
        return folder
    raise InputError("there are no real recordings to compare with: set MBREPRO_REAL_DATA to their folder")


def linked_out(path: Path, folder: Path) -> Path | None:
    """Where a path in a folder, or a file in it if it is a folder itself, leads by a link out of that folder, if so."""
    home, real = Path(os.path.normpath(folder.absolute())), Path(os.path.realpath(folder))
    for file in (path, *(path.iterdir() if path.is_dir() else ())):
        leads = Path(os.path.realpath(file))
        if Path(os.path.normpath(file.absolute())).is_relative_to(home) and not leads.is_relative_to(real):
            return leads
    return None


def check_profile(profile: str) -> None:
    """Raise InputError unless `profile` is one of `PROFILES`."""
    if profile not in PROFILES:
        raise InputError(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")


def own_data() -> Path:
    """The folder with the recordings of profile "own": MBREPRO_OWN, else the one named last; InputError if none was."""
    named = os.environ.get("MBREPRO_OWN")
    if not named and (last := artifacts(OWN) / "folder.txt").exists():
        named = last.read_text(encoding="utf-8")
    if not named:
        raise InputError("profile own: name the folder of the recordings with --data, or make reproduce with DATA=")
    return Path(named)


def artifacts(profile: str) -> Path:
    """Recordings, trained models and embeddings of a profile, each file keyed by what made it."""
    check_profile(profile)
    return root() / "artifacts" / profile


def results(profile: str, run: str = "") -> Path:
    """Rows, the table, stored predictions and executed notebooks of a profile's study, or of a run of one's own.

    Each folder of recordings of profile "own" has a study of its own. Raises InputError for a run whose name is no name
    of a folder.
    """
    check_profile(profile)
    study = root() / "results" / profile
    if profile == OWN:
        folder = own_data().resolve()
        study /= f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', folder.name)}-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"
    if not run:
        return study
    if not re.fullmatch(r"\w[\w=,.+-]{0,99}", run):
        raise InputError(f"a run's name is up to 100 letters, digits and = , . + - _, not {run!r}")
    return study / "runs" / run
