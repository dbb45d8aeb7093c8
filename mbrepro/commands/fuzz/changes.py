"""Ways in which a file is changed by a bad disk, a bad editor, another program, or somebody who means harm."""

import contextlib
import json
import random
import re
from collections.abc import Callable
from typing import Any

NUMBERS = (
    b"-1",
    b"0",
    b"1",
    b"1e308",
    b"1e999",
    b"nan",
    b"-inf",
    b"1000000000",
    b"9" * 20,
    b"1" * 5000,
    b"0x1f",
    b"1.5.2",
)
ODD = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b'"', b"'", b"\n", b"\r", b"\t", b",", b";", b":", b"=1+1", b"../",
    b"<script>", b"null", b"true", b"[" * 5000, b'{"a":' * 5000, b"&a [*a, *a]", b"!!python/name:os.system", b"%s",
    b"2001-99-99", "\u202e\U0001f42d".encode(), b"#", b"-", b"x" * 200_000,
)  # fmt: skip
VALUES = (None, True, -1, 0, 0.5, 1e308, 2**70, float("nan"), "", "a", "\0", "../a", [], [[]], {}, {"": None}, [1, "a"])
CODES = ("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp037")
Rng = random.Random


def changed(whole: bytes, rng: Rng) -> bytes:
    """A file's bytes with one to three of `CHANGES`."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        whole = rng.choice(CHANGES)(whole, rng)
    return whole


def _span(whole: bytes, rng: Rng) -> tuple[int, int]:
    start = rng.randrange(len(whole) + 1)
    return start, min(len(whole), start + rng.choice((1, 4, 64, 4096)))


def _flip(whole: bytes, rng: Rng) -> bytes:
    made = bytearray(whole)
    for _ in range(rng.choice((1, 8)) if made else 0):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def _cut(whole: bytes, rng: Rng) -> bytes:
    return whole[: rng.randrange(len(whole) + 1)]


def _again(whole: bytes, rng: Rng) -> bytes:
    start, stop = _span(whole, rng)
    return whole[:stop] + whole[start:stop] * rng.choice((1, 1, 20)) + whole[stop:]


def _gone(whole: bytes, rng: Rng) -> bytes:
    start, stop = _span(whole, rng)
    return whole[:start] + whole[stop:]


def _zeros(whole: bytes, rng: Rng) -> bytes:
    start, stop = _span(whole, rng)
    return whole[:start] + bytes([rng.choice((0, 255))]) * (stop - start) + whole[stop:]


def _odd(whole: bytes, rng: Rng) -> bytes:
    start, _ = _span(whole, rng)
    return whole[:start] + rng.choice(ODD) + whole[start:]


def _number(whole: bytes, rng: Rng) -> bytes:
    """Another number in the place of one; of as many digits half of the time, as lengths are told in some files."""
    if not (found := list(re.finditer(rb"-?\d+(?:\.\d+)?", whole))):
        return _flip(whole, rng)
    start, stop = rng.choice(found).span()
    same = b"".join(b"%d" % rng.randrange(10) for _ in range(stop - start))
    return whole[:start] + rng.choice((same, rng.choice(NUMBERS))) + whole[stop:]


def _encoded(whole: bytes, rng: Rng) -> bytes:
    with contextlib.suppress(UnicodeError):
        return whole.decode().encode(rng.choice(CODES))
    return _zeros(whole, rng)


def _columns(whole: bytes, rng: Rng) -> bytes:
    """Two columns of a table in each other's place, or one gone, in every line that has them."""
    mark = max((b",", b"\t", b";", b":", b" "), key=whole.count)
    lines = [line.split(mark) for line in whole.split(b"\n")]
    one, other = (rng.randrange(max(map(len, lines))) for _ in range(2))
    for cells in (cells for cells in lines if len(cells) > max(one, other)):
        if one == other:
            del cells[one]
        else:
            cells[one], cells[other] = cells[other], cells[one]
    return b"\n".join(map(mark.join, lines))


def _line(whole: bytes, rng: Rng) -> bytes:
    lines = whole.split(b"\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    line = lines.pop(at)
    return b"\n".join(lines[:to] + rng.choice(([], [line], [line, line])) + lines[to:])


def _node(whole: bytes, rng: Rng) -> bytes:
    """JSON in which an entry is gone or has another value."""
    try:
        tree = json.loads(whole)
    except (ValueError, RecursionError):
        return _line(whole, rng)
    places = list(_places(tree))
    if places:
        inside, key = rng.choice(places)
        if rng.random() < 0.3:
            del inside[key]
        else:
            inside[key] = rng.choice(VALUES)
    return json.dumps(tree).encode()


def _places(tree: Any) -> Any:
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys)[:50]:
        yield tree, key
        yield from _places(tree[key])


CHANGES: tuple[Callable[[bytes, Rng], bytes], ...] = (
    _flip, _cut, _again, _gone, _zeros, _odd, _odd, _number, _number, _encoded, _columns, _line, _node, _node,
)  # fmt: skip
