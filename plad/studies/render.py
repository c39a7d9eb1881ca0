"""A study's table as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from plad.report.numbers import MISSING, interval, percent, plain

SHARES = {"rouge1": "R-1", "rouge2": "R-2", "rougeL": "R-L", "win_rate": "RM WR"}


def markdown_table(table: Mapping[str, Any]) -> str:
    """The paper's columns, then each method beside the subject, and the time its training took."""
    subject = next(row["label"] for row in table["rows"] if row["name"] == table["subject"])
    heads = ["Method", "Words", *SHARES.values(), f"RM WR − {_inline(subject)}'s", "Training, s", "Tokens"]
    lines = [_header(table), "", _line(heads), _line(["---", *["--:"] * (len(heads) - 1)])]
    return "\n".join([*lines, *(_line(_cells(row)) for row in table["rows"]), "", NOTE]) + "\n"


NOTE = (
    "In per cent but for words and seconds. RM WR: wins over the human reference by the run's judge, ties half. In "
    "brackets 95 % intervals, a bootstrap over the prompts of all seeds; how seeds differ beyond that they do not say. "
    "Differences are paired by seed and prompt; a star marks those whose interval leaves out 0, with no correction for "
    "their number. Tokens are those of the student's training, without what a teacher reads or what is drawn meanwhile."
)


def csv_table(table: Mapping[str, Any]) -> str:
    """One row a method; every number with its interval in columns of its own."""
    keys = ["words", *SHARES, "against_subject"]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["name", "label", *(f"{k}{end}" for k in keys for end in ("", "_low", "_high")), "seconds", "tokens"]
    )
    for row in table["rows"]:
        values = [(row[key] or {}).get(part, "") for key in keys for part in ("value", "low", "high")]
        writer.writerow([row["name"], row["label"], *values, row["seconds"], row["tokens"]])
    return file.getvalue()


def _header(table: Mapping[str, Any]) -> str:
    gap, seeds = table["teacher_student"], ", ".join(map(str, table["seeds"]))
    told = f"T-S WR {percent(gap['value'])} ({interval(gap)})"
    return f"**{told}** · {table['n']:,} test prompts in all · seeds {seeds} · judge {table['scorer']['name']}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    words = f"{plain(row['words']['value'])} ({interval(row['words'], share=False)})"
    shares = [f"{percent(row[key]['value'])} ({interval(row[key])})" for key in SHARES]
    cost = [MISSING if row[key] is None else f"{row[key]:,.0f}" for key in ("seconds", "tokens")]
    return [_inline(row["label"]), words, *shares, _difference(row["against_subject"]), *cost]


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return MISSING
    value, low, high = (f"{100 * found[key]:+.1f}" for key in ("value", "low", "high"))
    star = r"\*" if found["significant"] else ""
    return f"{value} ({low} to {high}){star}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inline(text: str) -> str:
    return text.replace("|", "\\|")
