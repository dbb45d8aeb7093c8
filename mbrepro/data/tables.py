"""Text tables as programs and spreadsheets write them."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from mbrepro.errors import InputError

SEPARATORS = (",", "\t", ";")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # how a text begins that a spreadsheet computes, or one that was marked


def csv_text(table: pd.DataFrame, digits: str | None = "%.6f") -> str:
    """A table as csv, texts and heads `marked`; every csv that the package writes is made here or of marked cells."""
    written = table.rename(columns=marked)
    for place, (_, column) in enumerate(table.items()):
        if not pd.api.types.is_numeric_dtype(column):
            written.isetitem(place, column.map(marked))
    return written.to_csv(index=False, float_format=digits)


def marked(cell: Any) -> Any:
    """A cell that a spreadsheet shows as it is: an apostrophe stands before a text that it would take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def unmarked(cell: str) -> str:
    """The text that was `marked`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


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
