"""`mbrepro verify`: do table, predictions and book say the same?"""

from mbrepro import paths
from mbrepro.commands import book
from mbrepro.commands.options import Profile, Run
from mbrepro.study import results


def command(profile: Profile = "demo", run: Run = "") -> None:
    """Score the stored predictions again and compare them with the table, and the table with the book."""
    paths.check_profile(profile)
    print(f"{len(results.verify(profile, run))} rows score as the table says")
    print(f"{book.verify(profile, run)} places of the book's pages say the same")
