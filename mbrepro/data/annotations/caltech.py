"""Files of the Caltech Behavior Annotator (Piotr's toolbox) and of Bento, its successor (github.com/neuroethology).

Both count frames from 1 and include the last one of a bout. Bento's newer files hold seconds instead, told by their
decimal points; a bout then ends with the frame that its last second falls on. Bento's files of frames are written too.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from mbrepro.artifacts import write_text
from mbrepro.data.annotations.bout import Bout, Extent, check_ends
from mbrepro.data.recordings import Clock, frame_at
from mbrepro.errors import InputError


def read_caltech(path: Path, text: str, clock: Clock, *_: object) -> list[Bout]:
    """Bouts of all streams; the channel is the stream, S1, S2 and so on.

    Raises InputError if a line is damaged, names a behaviour that the head does not, or if streams end at different
    frames, as in a file that was cut short.
    """
    known, bouts, stream, ends = set(), [], "", {}
    for number, line in _lines(text):
        fields = line.split()
        if opened := re.match(r"(S\d+):\s+start\s+end\s+type$", line):
            stream = opened[1]
            ends[stream] = 0
        elif stream and not line.startswith("-"):
            if len(fields) != 3 or (known and fields[2] not in known):
                raise _damaged(path, number, line)
            start, ends[stream] = _span(path, number, fields)
            bouts.append(Bout(fields[2], start, ends[stream], stream))
        elif len(fields) == 2 and not line.endswith(":"):
            known.add(fields[0])  # and the key that it was typed with
    if len(set(ends.values())) != 1:
        told = ", ".join(f"{name} at frame {stop}" for name, stop in ends.items()) or "nowhere"
        raise InputError(f"{path}: its streams end at different frames ({told}); the file is not whole")
    return bouts


def read_bento(path: Path, text: str, clock: Clock, *_: object) -> list[Bout]:
    """Bouts of all channels. Raises InputError if a line is damaged."""
    rows, channel, behaviour = [], None, ""
    for number, line in _lines(text):
        if opened := re.match(r"(.*?)-{3,}$", line):
            channel, behaviour = opened[1], ""
        elif line.startswith(">"):
            behaviour = line[1:]
        elif channel is not None and not line.lower().startswith("start"):
            if not behaviour or len(line.split()) != 3:  # first, last, duration
                raise _damaged(path, number, line)
            rows.append((number, channel, behaviour, line.split()))
    rate = clock if any("." in value for *_, fields in rows for value in fields) else None
    return [Bout(name, *_span(path, number, fields, rate), channel) for number, channel, name, fields in rows]


def extent_of_bento(path: Path, text: str) -> Extent:
    """What the head tells, if it does."""
    told = dict(re.findall(r"^Annotation (framerate|stop frame): *(\d{1,9}(?:\.\d*)?) *$", text, re.MULTILINE))
    rate, frames = float(told.get("framerate", 0)), float(told.get("stop frame", 0))
    return Extent(rate or None, int(frames) or None)


def write_bento(path: Path, bouts: Sequence[Bout], frames: int, fps: float, media: str = "") -> None:
    """Write bouts as Bento's annot, frames from 1 and the last one included; bouts without a channel are in Ch1.

    frames, fps: of the recording; a rate that varies is told as its mean. media: the video's name. The layout is that
    of MARS' output (neuroethology/MARS, dump_labels_bento). Raises InputError if a bout ends after the last frame.
    """
    check_ends(path, bouts, frames)
    rows = sorted((bout.channel or "Ch1", bout.behaviour, bout.start + 1, bout.stop) for bout in bouts)
    lists = {"channels": sorted({row[0] for row in rows}) or ["Ch1"], "annotations": sorted({row[1] for row in rows})}
    lines = ["Bento annotation file", f"Movie file(s): {media}", "", "Stimulus name:", "Annotation start frame: 1"]
    lines += [f"Annotation stop frame: {frames}", f"Annotation framerate: {fps:.6f}"]
    for title, names in lists.items():
        lines += ["", f"List of {title}:", *names]
    for channel in lists["channels"]:
        lines += ["", f"{channel}----------"]
        for behaviour, spans in groupby((row for row in rows if row[0] == channel), key=lambda row: row[1]):
            lines += [f">{behaviour}", "Start\tStop\tDuration"]
            lines += [f"{first}\t{last}\t{last - first + 1}" for *_, first, last in spans] + [""]
    write_text(path, "\n".join(lines) + "\n")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbers, from 1, and content of the lines that are not blank."""
    return ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _span(path: Path, number: int, fields: list[str], clock: Clock | None = None) -> tuple[int, int]:
    try:
        first, last = float(fields[0]), float(fields[1])
        whole = (int(first) - 1, int(last))
        start, stop = whole if clock is None else (frame_at(first, clock), frame_at(last, clock) + 1)
    except (ValueError, OverflowError):
        raise _damaged(path, number, " ".join(fields)) from None
    if not 0 <= start < stop or (clock is None and (first % 1 or last % 1)):
        raise _damaged(path, number, " ".join(fields))
    return start, stop


def _damaged(path: Path, number: int, line: str) -> InputError:
    return InputError(f"{path}: line {number} is no bout of a known behaviour ({line[:60]!r}); export it again")
