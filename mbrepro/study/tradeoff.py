"""Why judges of the demo miss their targets: one change of the simulator at a time, on held-out train recordings.

`mbrepro judges --record` measures and records them; 00_dataset shows them.
"""

from pathlib import Path

import pandas as pd

from mbrepro.artifacts import fingerprint, versions, write_json
from mbrepro.data.calms21.network import find_network
from mbrepro.demo import judges, simulated
from mbrepro.demo.simulated import DemoSettings, schedule
from mbrepro.method import boosting, features, localizer
from mbrepro.method.official import load_official
from mbrepro.study import recorded
from mbrepro.study.ladder import BOUND_OF_TWO, PUBLISHED

PAGE, AS_IS = "tradeoff", judges.AS_IS
# Targets of F1: near what is published of real mice, or at least so much; true poses above raw as video is on mice.
AROUND = {
    "raw": (PUBLISHED[judges.RAW]["f1"], 0.03),
    "action": (PUBLISHED["localization"]["f1"], BOUND_OF_TWO),
}
LEAST = {"official": 0.65, "official attack": 0.4}
VIDEO = 0.05


def made_from() -> dict[str, object]:
    """What recorded figures depend on: versions of simulator and judges, recordings, and the changes."""
    return {
        **versions(simulated, boosting, features, localizer),
        "recordings": fingerprint(DemoSettings(), schedule.STATISTICS, judges.LEARNED, judges.HELD_OUT),
        "boosting": fingerprint(judges.EIGHTH),
        "changes": fingerprint(*judges.CHANGES.values()),
    }


def record() -> Path:
    """Measure every change and record them (half an hour on one core); returns the file.

    Raises InputError where this machine has no copy of the official network.
    """
    network, rows, fits = load_official(find_network()), [], {}
    for name, change in judges.CHANGES.items():
        found = {key: round(value, 4) for key, value in judges.tried(change, network, DemoSettings(), fits).items()}
        rows.append({"change": name, **found})
        print(rows[-1], flush=True)
    told = f"simulated train recordings, {judges.LEARNED} learned from and {judges.HELD_OUT} held out"
    provenance = {"data": told, "computed_by": "mbrepro judges --record", "made_from": made_from(), "seeds": 1}
    write_json(recorded.path_of(PAGE), {"provenance": provenance, "figures": {"table": rows}})
    return recorded.path_of(PAGE)


def recorded_changes() -> tuple[pd.DataFrame, dict[str, object]]:
    """What judges found after each change, a row a change, and its provenance. Raises InputError if there is none."""
    content = recorded.read(PAGE)
    return pd.DataFrame(content["figures"]["table"]).set_index("change"), content["provenance"]


def shortfalls(table: pd.DataFrame) -> pd.DataFrame:
    """By how much F1 each change (row) misses each target (column); 0 or less where it is met.

    table: as of `recorded_changes`. Real figures are those of `ladder.PUBLISHED`; action by boosting stands for the
    localizer, which is not trained again for each change.
    """
    off = {name: (table[name] - middle).abs() - reach for name, (middle, reach) in AROUND.items()}
    below = {name: least - table[name] for name, least in LEAST.items()}
    return pd.DataFrame(
        {
            f"raw within {AROUND['raw'][1]} of {AROUND['raw'][0]}": off["raw"],
            "smoothed above raw": table["raw"] - table["smoothed"],
            f"true poses {VIDEO} above raw": table["raw"] + VIDEO - table["true poses"],
            f"action within {AROUND['action'][1]} of {AROUND['action'][0]}": off["action"],
            **{f"{name} at least {least}": below[name] for name, least in LEAST.items()},
        }
    )


def changed(table: pd.DataFrame) -> pd.DataFrame:
    """The lines that are not redraws of the recordings."""
    return table.drop(list(judges.REDRAWN))


def chance(table: pd.DataFrame) -> pd.Series:
    """By how much at most a redraw of the recordings moves each column."""
    return (table.loc[list(judges.REDRAWN)] - table.loc[AS_IS]).abs().max()


def nearest(table: pd.DataFrame) -> pd.DataFrame:
    """Of each target how far it is missed as the demo is, how far redraws move that, and after which change least."""
    every = shortfalls(table)
    missed = changed(every)
    told = missed.map(lambda value: f"missed by {value:.3f}" if value > 0 else f"met by {-value:.3f}")
    columns = {"as the demo is": told.loc[AS_IS], "redraws move it by": chance(every).map("{:.3f}".format)}
    columns["nearest after"] = missed.idxmin()
    return pd.DataFrame({**columns, "then": [told.loc[missed[name].idxmin(), name] for name in missed]})


def real_nose() -> float:
    """The median of `judges.NOSE` in the windows of real mice, px."""
    return schedule.real_statistics()["poses"]["percentiles"][judges.NOSE]["p50"]
