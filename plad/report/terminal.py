"""The results table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from plad.report.table import Cell, Row, reference_words, table_rows

NARROW = 10
"""Letters of a heading's line."""


ALWAYS = 4
"""Columns that are shown however narrow the terminal is: the win rates and the first measure of overlap."""


def terminal_table(results: Mapping[str, Any], width: int = 120) -> Table:
    """The rows of results.json as a rich table: 95 % intervals dim, the best student bold.

    Args:
        width: of the terminal. Measures that it has no room for are left to the report, rather than cut in the middle.
    """
    rows = table_rows(results)
    heads = [cell.head for cell in rows[0].cells] if rows else []
    shown = _that_fit(rows, width)
    left = [head.removesuffix(", %") for n, head in enumerate(heads) if n not in shown]
    table = Table(caption=_caption(results, left), caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("Model", no_wrap=True)
    table.add_column("Params", justify="right", no_wrap=True)
    for n in shown:
        table.add_column(fill(heads[n], NARROW), justify="right", no_wrap=True)
    for row in rows:
        # Text, because a label in a string would be read as markup.
        table.add_row(Text(row.label), row.parameters, *(_text(row.cells[n]) for n in shown))
    return table


def _that_fit(rows: Sequence[Row], width: int) -> list[int]:
    """Places of the columns for which there is room, in their order."""
    if not rows:
        return []
    room = width - max(len(row.label) for row in rows) - max(len(row.parameters) for row in rows) - 8
    shown = []
    for n in range(len(rows[0].cells)):
        room -= 2 + max(NARROW, *(len(row.cells[n].interval) for row in rows))
        if n < ALWAYS or room >= 0:
            shown.append(n)
    return shown


def _text(cell: Cell) -> Text:
    text = Text(cell.text, style="bold" if cell.best else "")
    return text.append(f"\n{cell.interval}", style="not bold dim") if cell.interval else text


def _caption(results: Mapping[str, Any], left: Sequence[str]) -> Text:
    words = reference_words(results)
    length = f" The human references have {words.text} words on average." if words else ""
    told = f"{results.get('n', '?')} test prompts; 95 % intervals below the values; best student bold.{length}"
    more = [f"Columns that have no room here, and are in the report: {', '.join(left)}."] if left else []
    return Text("\n".join([told, *more, *results.get("warnings", ())]))
