"""`mbrepro crate`: the study's results as a research object that other tools can read."""

from mbrepro import paths
from mbrepro.commands import provenance
from mbrepro.commands.options import Data, Profile, Run, use_profile
from mbrepro.errors import InputError


def command(profile: Profile = "demo", data: Data = None, run: Run = "") -> None:
    """Describe the results folder as an RO-Crate (Process Run Crate) and print the metadata file."""
    use_profile(profile, data=data, poses=True)
    folder = paths.results(profile, run)
    if not (folder / "notebooks").is_dir():
        raise InputError(f"{folder} holds no study: run make reproduce first")
    print(provenance.write_crate(folder, f"mbrepro, {profile}{', run ' + run if run else ''}"))
