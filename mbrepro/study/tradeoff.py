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

PAGE = "tradeoff"


def made_from() -> dict[str, object]:
    """What recorded figures depend on: versions of simulator and judges, recordings, and the changes."""
    return {
        **versions(simulated, boosting, features, localizer),
        "recordings": fingerprint(DemoSettings(), schedule.STATISTICS, judges.LEARNED, judges.HELD_OUT),
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
