"""The results table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from plad.report.table import Cell, reference_words, table_rows


def terminal_table(results: Mapping[str, Any]) -> Table:
    """The rows of results.json as a rich table: 95 % intervals dim, the best student bold."""
    rows = table_rows(results)
    table = Table(caption=_caption(results), caption_justify="left")
    table.add_column("Model", no_wrap=True)
    table.add_column("Params", justify="right", no_wrap=True)
    for cell in rows[0].cells if rows else ():
        table.add_column(cell.head, justify="right")
    for row in rows:
        # Text, because a label in a string would be read as markup.
        table.add_row(Text(row.label), row.parameters, *map(_text, row.cells))
    return table


def _text(cell: Cell) -> Text:
    text = Text(cell.text, style="bold" if cell.best else "")
    return text.append(f"\n{cell.interval}", style="not bold dim") if cell.interval else text


def _caption(results: Mapping[str, Any]) -> Text:
    words = reference_words(results)
    length = f" The human references have {words.text} words on average." if words else ""
    told = f"{results.get('n', '?')} test prompts; 95 % intervals below the values; best student bold.{length}"
    return Text("\n".join([told, *results.get("warnings", ())]))
