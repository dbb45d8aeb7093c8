"""Label files out, in the forms that annotation programs open."""

import csv
import io
from collections.abc import Sequence

from mbrepro.data.annotations.bout import Bout
from mbrepro.data.recordings import Recording

# The columns of "Export events, tabular" of BORIS 8 (olivierfriard/BORIS, export_events.py), in its order.
BORIS = (
    "Observation id", "Observation date", "Description", "Observation duration", "Observation type", "Source",
    "Time offset (s)", "Coding duration", "Media duration (s)", "FPS (frame/s)", "Subject",
    "Observation duration by subject by observation", "Behavior", "Behavioral category", "Behavior type", "Time",
    "Media file name", "Image index", "Image file path", "Comment",
)  # fmt: skip
STREAM = "-" * 29


def boris_events(recording: Recording, bouts: Sequence[Bout]) -> str:
    """BORIS's tabular events: a START and a STOP for each bout, at the times when the video shows their frames."""
    edges, seconds = recording.edges, f"{recording.edges[-1] - recording.edges[0]:.6f}"
    media = recording.video.name if recording.video else ""
    events = [(f, place, bout) for bout in bouts for f, place in ((bout.start, "START"), (bout.stop, "STOP"))]
    out = io.StringIO()
    table = csv.DictWriter(out, BORIS, restval="", lineterminator="\n")
    table.writeheader()
    for frame, status, bout in sorted(events, key=lambda event: (event[0], event[1] == "START")):
        table.writerow({
            "Observation id": recording.name, "Observation duration": seconds, "Observation type": "Media file(s)",
            "Source": f"player #1:{media}" if media else "", "Time offset (s)": "0.0", "Coding duration": seconds,
            "Media duration (s)": seconds, "FPS (frame/s)": f"{recording.fps:g}", "Subject": bout.channel,
            "Behavior": bout.behaviour, "Behavior type": status, "Time": f"{edges[frame]:.6f}",
            "Media file name": media, "Image index": frame,
        })  # fmt: skip
    return out.getvalue()


def caltech_annotations(bouts: Sequence[Bout], behaviours: Sequence[str]) -> str:
    """A file of the Caltech Behavior Annotator with one stream; bouts must cover every frame, one after another.

    behaviours: all that there are, one word each; the key of each is its number. Frames count from 1, up to the last.
    """
    known = "".join(f"{name}\t{key}\n" for key, name in enumerate(behaviours))
    rows = "".join(f"   \t{bout.start + 1}\t{bout.stop}\t{bout.behaviour}\n" for bout in bouts)
    head = f"Caltech Behavior Annotator - Annotation File\n\nConfiguration file:\n{known}\n"
    return f"{head}S1:\tstart\tend\ttype\n{STREAM}\n{rows}"
