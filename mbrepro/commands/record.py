"""`mbrepro record`: the figures of real animals, for pages 08, 09 and 11."""

from typing import Annotated

import typer

from mbrepro.errors import InputError
from mbrepro.study import recorded


def command(
    pages: Annotated[
        list[str] | None, typer.Argument(help="which; without any, all: rats trains for an hour", show_default=False)
    ] = None,
) -> None:
    """Record pages; needs the real data (MBREPRO_REAL_DATA; labels also from a fetched CalMS21)."""
    unknown = [page for page in pages or () if page not in recorded.PAGES]
    if unknown:
        raise InputError(f"no figures are recorded of {unknown[0]!r}, only of {', '.join(recorded.PAGES)}")
    for page in pages or recorded.PAGES:
        print(recorded.record(page))
