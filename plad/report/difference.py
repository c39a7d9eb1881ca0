"""Two runs beside each other in the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from plad.report.example import visible
from plad.report.numbers import MISSING, interval, parameters, percent, plain


def difference_tables(told: Mapping[str, Any]) -> list[Table]:
    """The tables of what `plad.difference.Difference.to_json` gives; those without a row are left out."""
    tables = [_changes("Recipe", told["recipe"]), _changes("Versions", told["versions"]), _models(told["models"])]
    return [table for table in tables if table.row_count]


def _changes(title: str, found: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(title, "A", "B")
    for change in found:
        table.add_row(Text(visible(change["key"])), *(Text(_value(change[side])) for side in "ab"))
    return table


def _value(value: Any) -> str:
    return (
        MISSING
        if value is None
        else visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    )


def _models(rows: Sequence[Mapping[str, Any]]) -> Table:
    heads = ("Params", "Wins vs. reference, A", "B, %", "B − A, points", "B's answers over A's, %")
    table = _table("Results", *heads, right=True)
    for row in rows:
        a, b = row["a"] or {}, row["b"] or {}
        sizes = dict.fromkeys(parameters(side.get("parameters")) for side in (a, b) if side)
        won = (row["versus"] or {}).get("win_rate")
        cells = [_share(a.get("win_rate")), _share(b.get("win_rate")), _points(row["difference"]), _share(won)]
        table.add_row(Text(visible(row["label"])), " → ".join(sizes), *cells)
    return table


def _table(first: str, *heads: str, right: bool = False) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold", no_wrap=right)
    for head in heads:
        table.add_column(head, justify="right" if right else "left", overflow="fold")
    return table


def _share(estimate: Mapping[str, Any] | None) -> Text:
    if not estimate:
        return Text(MISSING)
    return Text(percent(estimate["value"])).append(f"\n{interval(estimate)}", "dim")


def _points(estimate: Mapping[str, Any] | None) -> Text:
    if not estimate:
        return Text(MISSING)
    low, high = (plain(100 * estimate[end]) for end in ("low", "high"))
    return Text(f"{100 * estimate['value']:+.1f}").append(f"\n{low} to {high}", "dim")
