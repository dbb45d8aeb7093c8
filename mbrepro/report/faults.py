"""What was done to the project to break it, how often, and what came of it."""

import pandas as pd

from mbrepro.report import page
from mbrepro.study import recorded

PAGE, MUTANTS, FUZZ = "faults", "mutants", "fuzz"


def kills_table() -> str:
    """The last run of `mbrepro soak` of each work, as HTML."""
    rows = {what: row for what, row in recorded.read(PAGE)["figures"].items() if "kills" in row}
    told = {
        what: {"killed": f"{row['kills']} times", **{k: row[k] for k in ("outcome", "day")}}
        for what, row in rows.items()
    }
    return page.table(pd.DataFrame(told).T, "what", words=True).data


def fuzz_table() -> str:
    """The last run of `make fuzz` of each reader, as HTML."""
    rows = {what: row for what, row in recorded.read(PAGE)["figures"].items() if "files" in row}
    told = {
        what.partition(" ")[2]: {k: row[k] for k in ("files", "read", "refused", "outcome", "day")}
        for what, row in rows.items()
    }
    return page.table(pd.DataFrame(told).T, "reader", words=True).data


def mutants_table() -> str:
    """The last run of `make mutants` by module, as HTML."""
    told = pd.DataFrame(recorded.read(MUTANTS)["figures"]).T[["mutants", "killed"]].astype(int)
    told.loc["all"] = told.sum()
    told["share"] = told["killed"] / told["mutants"]
    return page.table(told, "module", words=True).data
