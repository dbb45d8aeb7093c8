"""`mbrepro record`: the figures of real animals, for pages 08, 09 and 11."""

from mbrepro.study import recorded


def command() -> None:
    """Record every page; needs the real data (MBREPRO_REAL_DATA; labels also from a fetched CalMS21)."""
    for page in recorded.PAGES:
        print(recorded.record(page))
