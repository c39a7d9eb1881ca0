"""The settings beyond the paper as a table: Markdown, CSV, and a page with the figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from plad.report.numbers import MISSING, count, interval, percent, plain
from plad.studies.figures import Figure

Rows = Sequence[Mapping[str, Any]]
SHARES = {
    "against_initial": "Wins vs. initial",
    "against_plain": "Wins vs. plain",
    "win_rate": "RM WR",
    "rougeL": "R-L",
}
COUNTS = {"steps": "Steps", "answers": "Answers"}


def markdown_rows(figure: Figure, verdict: str, rows: Rows) -> str:
    """One row a setting."""
    heads = ["Setting", *(head for head, *_ in _cells(rows[0]))]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    lines += [
        [row["setting"], *(f"{text} ({low_high})" if low_high else text for _, text, low_high in _cells(row))]
        for row in rows
    ]
    table = [f"| {' | '.join(line)} |" for line in lines]
    seeds = ", ".join(map(str, figure.seeds))
    return "\n".join([f"**{figure.title}** · seeds {seeds}", "", *table, "", verdict, "", figure.note]) + "\n"


def csv_rows(rows: Rows) -> str:
    """One row a setting; every estimate with its interval in columns of its own."""
    keys = [*SHARES, "words"]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["arm", "setting", *(f"{key}{end}" for key in keys for end in ("", "_low", "_high")), *COUNTS])
    for row in rows:
        values = [(row[key] or {}).get(part, "") for key in keys for part in ("value", "low", "high")]
        writer.writerow([row["arm"], row["setting"], *values, *(row[key] for key in COUNTS)])
    return file.getvalue()


def draw_rows(figure: Figure, verdict: str, rows: Rows, recipe: str) -> tuple[str, str]:
    """The SVG, and the page in HTML."""
    # Drawing needs matplotlib, which takes most of a second to import.
    from plad.report.figure import standalone
    from plad.report.study import StudyPage, render_study
    from plad.report.table import Cell, PageRow
    from plad.studies.figure_page import chart_of

    chart = chart_of(figure)
    page = StudyPage(
        title=figure.title,
        kicker=f"study {figure.name} · seeds {', '.join(map(str, figure.seeds))}",
        verdict=verdict,
        support=(),
        rows=tuple(PageRow(row["setting"], "plad", tuple(Cell(*cell) for cell in _cells(row))) for row in rows),
        note=f"Shares in per cent; small figures are 95 % intervals. {figure.note}",
        charts=(chart,),
        recipe=recipe,
    )
    return standalone(chart), render_study(page)


def _cells(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The heading, the number and its interval of each column."""
    found = [
        (head, *((percent(row[key]["value"]), interval(row[key])) if row[key] else (MISSING, "")))
        for key, head in SHARES.items()
    ]
    found.append(("Words", plain(row["words"]["value"]), interval(row["words"], share=False)))
    return [*found, *((head, count(round(row[key])), "") for key, head in COUNTS.items())]
