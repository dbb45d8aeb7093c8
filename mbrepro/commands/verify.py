"""`mbrepro verify`: do table, predictions and book say the same?"""

from mbrepro.commands import book
from mbrepro.commands.options import Data, Profile, Run, use_profile
from mbrepro.study import results


def command(profile: Profile = "demo", data: Data = None, run: Run = "") -> None:
    """Score the stored predictions again and compare them with the table, and the table with the book."""
    use_profile(profile, data=data, poses=True)
    print(f"{len(results.verify(profile, run))} rows score as the table says")
    print(f"{book.verify(profile, run)} places of the book's pages say the same")
