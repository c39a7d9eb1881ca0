"""The tables of `plad evaluate --model A --model B` in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from plad.report.numbers import interval, percent, plain
from plad.report.quality import p_value


def comparison_tables(result: Mapping[str, Any]) -> list[Table]:
    """Each pair of models, then each model by itself; 95 % intervals in brackets."""
    heads = ("A", "B", "A wins, %", "wins", "ties", "losses", "sign test", "at equal length, %")
    pairs = _table(f"{result['n']} prompts, judged by {result['scorer']}", heads)
    for row in result["pairs"]:
        counts = [str(row[name]) for name in ("wins", "ties", "losses")]
        cells = [_share(row["win_rate"]), *counts, p_value(row["p"]), _share(row["at_equal_length"])]
        pairs.add_row(Text(row["a"]), Text(row["b"]), *cells)
    referenced = any(row["win_rate"] for row in result["models"])
    models = _table("", ("Model", "Words", *(("Wins vs. reference, %",) if referenced else ())))
    for row in result["models"]:
        words = f"{plain(row['words']['value'])} ({interval(row['words'], share=False)})"
        models.add_row(Text(row["name"]), words, *((_share(row["win_rate"]),) if referenced else ()))
    return [pairs, models]


def _table(caption: str, heads: tuple[str, ...]) -> Table:
    table = Table(caption=Text(caption), caption_justify="left")
    for place, head in enumerate(heads):
        # Folded: two long paths that are cut alike could not be told apart.
        named = place == 0 or head == "B"
        table.add_column(head, justify="left" if named else "right", overflow="fold", no_wrap=not named)
    return table


def _share(estimate: Mapping[str, Any]) -> str:
    return f"{percent(estimate['value'])} ({interval(estimate)})"
