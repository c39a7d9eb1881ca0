"""Quality against compute as Markdown, CSV, and a page with its drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.report.charts import Chart
from plad.report.numbers import MISSING, interval, percent, plain
from plad.report.sheet import csv_text

Rows = Sequence[Mapping[str, Any]]
ESTIMATES = ("against_initial", "against_plad", "rougeL", "words")
COSTS = ("flops", "generated")


def csv_rows(rows: Rows) -> str:
    """One row a method and budget; every estimate with its interval in columns of its own."""
    ends = ("value", "low", "high")
    head = ["label", "budget", *(f"{key}_{end}" for key in ESTIMATES for end in ends), *COSTS]
    lines = [
        [
            row["label"],
            row["budget"],
            *((row[key] or {}).get(end, "") for key in ESTIMATES for end in ends),
            *(row[key] for key in COSTS),
        ]
        for row in rows
    ]
    return csv_text([head, *lines])


def markdown_rows(found: Mapping[str, Any]) -> str:
    """One row a method: its wins over the initial student on each budget, and over PLaD on the largest."""
    heads = ["Method", *(f"{told(budget)} TFLOP" for budget in found["budgets"]), "Wins vs. PLaD", "R-L", "Words"]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for label, cells in _cells(found):
        lines.append([label, *(f"{text} ({low_high})" if low_high else text for text, low_high in cells)])
    table = [f"| {' | '.join(line)} |" for line in lines]
    seeds = ", ".join(map(str, found["seeds"]))
    last = "The last three columns are those of the largest budget."
    text = [f"**{TITLE}** · seeds {seeds}", "", *table, "", found["verdict"], "", f"{found['note']} {last}"]
    return "\n".join(text) + "\n"


TITLE = "Wins over the initial student by compute"


def draw_page(found: Mapping[str, Any], recipe: str) -> tuple[dict[str, str], str]:
    """The drawings as SVG files by their names, and the page in HTML."""
    # Drawing needs matplotlib, which takes most of a second to import.
    from plad.report.figure import standalone
    from plad.report.study import StudyPage, render_study
    from plad.report.table import Cell, PageRow

    heads = [*(f"{told(budget)} TFLOP, %" for budget in found["budgets"]), "Wins vs. PLaD, %", "R-L, %", "Words"]
    charts = _charts(found)
    page = StudyPage(
        title=TITLE,
        kicker=f"study compute · seeds {', '.join(map(str, found['seeds']))}",
        verdict=found["verdict"],
        support=(),
        rows=tuple(
            PageRow(
                label, _hue(found, label), tuple(Cell(head, *cell) for head, cell in zip(heads, cells, strict=True))
            )
            for label, cells in _cells(found)
        ),
        note=f"Small figures are 95 % intervals. {found['note']} The last three columns are of the largest budget.",
        charts=tuple(charts.values()),
        recipe=recipe,
    )
    return {name: standalone(chart) for name, chart in charts.items()}, render_study(page)


def told(budget: float) -> str:
    """A budget in TFLOP."""
    return f"{budget / 1e12:g}"


def _charts(found: Mapping[str, Any]) -> dict[str, Chart]:
    """Losses on one answer each, and forms of several answers or rounds; too many lines for one drawing."""
    from plad.report.figure import Series, figure_chart

    charts = {}
    drawn = {
        "compute-losses": ("Methods that learn from one answer of each model", lambda row: not row["form"]),
        "compute-forms": ("Rounds and several answers", lambda row: row["form"] or row["against_plad"] is None),
    }
    for name, (title, wanted) in drawn.items():
        rows = [row for row in found["rows"] if wanted(row)]
        labels = list(dict.fromkeys(row["label"] for row in rows))
        hues = _distinct(rows, labels)
        series = [
            Series(
                label,
                hues[label],
                tuple((row["budget"] / 1e12, row["against_initial"]) for row in rows if row["label"] == label),
            )
            for label in labels
        ]
        charts[name] = figure_chart(f"chart-{name}", title, "TFLOP a method, answers included", series)
    return charts


def _distinct(rows: Rows, labels: Sequence[str]) -> dict[str, str]:
    """PLaD's own colour for PLaD, and the others in turn: forms of PLaD are told apart here."""
    from plad.report.read import HUES

    plain = next((row["label"] for row in rows if row["against_plad"] is None), None)
    others = [label for label in labels if label != plain]
    return {label: "plad" if label == plain else HUES[others.index(label) % len(HUES)] for label in labels}


def _hue(found: Mapping[str, Any], label: str) -> str:
    return str(next(row["hue"] for row in found["rows"] if row["label"] == label))


def _cells(found: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Of each method the numbers with their intervals, in the order of the heads."""
    lines = []
    for label in dict.fromkeys(row["label"] for row in found["rows"]):
        rows = {row["budget"]: row for row in found["rows"] if row["label"] == label}
        last = rows[max(rows)]
        estimates = [rows[budget]["against_initial"] for budget in found["budgets"]] + [last["against_plad"]]
        cells = [(percent(one["value"]), interval(one)) if one else (MISSING, "") for one in estimates]
        cells.append((percent(last["rougeL"]["value"]), interval(last["rougeL"])))
        cells.append((plain(last["words"]["value"]), interval(last["words"], share=False)))
        lines.append((label, cells))
    return lines
