"""Text tables as programs and spreadsheets write them."""

from pathlib import Path

from mbrepro.errors import InputError

SEPARATORS = (",", "\t", ";")


def header_cells(text: str) -> list[str]:
    """Cells of a text's first line in small letters, whatever the separator is."""
    head = text.lstrip("\ufeff").split("\n", 1)[0]
    return [cell.strip(' \r"').lower() for cell in head.split(_separator(head))]


def _separator(head: str) -> str:
    return max(SEPARATORS, key=head.count)


def comma_lines(path: Path) -> list[str]:
    """Lines of a table of numbers, with their ends, as if separated by commas; empty ones at the end are left out.

    A table of tabs or semicolons may have decimal commas, as German Excel writes them. Raises InputError for no text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a csv file, as it is no text ({error}); export it again") from error
    separator = _separator(text.split("\n", 1)[0])
    if separator != ",":
        text = text.replace(",", ".").replace(separator, ",")
    lines = text.splitlines(keepends=True)
    while lines and not lines[-1].strip(", \r\n"):
        lines.pop()
    return lines
