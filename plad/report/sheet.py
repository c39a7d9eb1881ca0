"""Tables for a spreadsheet, in which no text is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection")."""


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV. A text that a spreadsheet would compute gets an apostrophe before it; numbers stay numbers."""
    return "".join(_line([_harmless(cell) for cell in row]) for row in rows)


def _line(cells: Sequence[Any]) -> str:
    file = io.StringIO()
    # The writer quotes a text for the characters of its line end alone; readers end a line at a lone \r too.
    csv.writer(file, lineterminator="\r\n").writerow(cells)
    return file.getvalue().removesuffix("\r\n") + "\n"


def _harmless(cell: Any) -> Any:
    risky = isinstance(cell, str) and (cell.startswith(FORMULA) or cell.lstrip().startswith(FORMULA))
    return f"'{cell}" if risky else cell
