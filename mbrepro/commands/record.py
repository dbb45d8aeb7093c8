"""`mbrepro record`: the figures of CalMS21's real labels, for pages 08 and 09."""

from mbrepro.study import recorded


def command() -> None:
    """Record every page; needs the real labels (MBREPRO_REAL_DATA, or a fetched CalMS21)."""
    for page in recorded.PAGES:
        print(recorded.record(page))
