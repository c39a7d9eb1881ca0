"""The results table, once, for HTML, Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plad.report.numbers import MISSING, interval, is_number, parameters, percent, plain


@dataclass(frozen=True)
class Column:
    """One measure: its key in results.json and how it is headed and written."""

    key: str
    head: str
    share: bool = True
    # Whether more is better. The best student of such a column is set in bold.
    ranked: bool = True


COLUMNS = (
    Column("win_rate", "Wins vs. reference, %"),
    Column("against_initial", "Wins vs. initial, %"),
    Column("against_initial_at_equal_length", "At equal length, %"),
    Column("rouge1", "ROUGE-1, %"),
    Column("rouge2", "ROUGE-2, %"),
    Column("rougeL", "ROUGE-L, %"),
    Column("words", "Words", share=False, ranked=False),
    Column("finished", "Finished, %", ranked=False),
)


@dataclass(frozen=True)
class Cell:
    """One value of the table: `text`, its 95 % interval or nothing, and whether it is the best student's."""

    head: str
    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One model of the table."""

    name: str
    label: str
    parameters: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PageRow:
    """A row as a page shows it.

    `hue` is a colour of the report or nothing; `aside` marks what is no candidate; `beneath` is small print.
    """

    label: str
    hue: str
    cells: tuple[Cell, ...]
    aside: bool = False
    beneath: str = ""


def table_rows(results: Mapping[str, Any]) -> list[Row]:
    """The rows of results.json as they are shown; columns that no row fills are left out."""
    rows = results.get("rows", ())
    columns = [column for column in COLUMNS if any(_value(row, column) is not None for row in rows)]
    best = {column.key: _best(rows, column) for column in columns}
    return [
        Row(
            name=row["name"],
            label=row.get("label") or row["name"],
            parameters=parameters(row.get("parameters")),
            cells=tuple(_cell(row, column, best[column.key]) for column in columns),
        )
        for row in rows
    ]


def reference_words(results: Mapping[str, Any]) -> Cell | None:
    """How long the human's answers are, to set beside the models'."""
    estimate = results.get("reference_words") or {}
    if not is_number(estimate.get("value")):
        return None
    return Cell("Words", plain(estimate["value"]), interval(estimate, share=False))


def _cell(row: Mapping[str, Any], column: Column, best: str | None) -> Cell:
    value = _value(row, column)
    if value is None:
        return Cell(column.head, MISSING)
    text = _write(value, column)
    # Compared as written: two students that read the same are both best.
    is_best = text == best and row["name"] != "teacher"
    return Cell(column.head, text, interval(row[column.key], share=column.share), is_best)


def _best(rows: list[Mapping[str, Any]], column: Column) -> str | None:
    values = [value for row in rows if row["name"] != "teacher" and (value := _value(row, column)) is not None]
    # The best of one is no news.
    return _write(max(values), column) if column.ranked and len(values) > 1 else None


def _write(value: float, column: Column) -> str:
    return percent(value) if column.share else plain(value)


def _value(row: Mapping[str, Any], column: Column) -> float | None:
    value = (row.get(column.key) or {}).get("value")
    return value if is_number(value) else None
