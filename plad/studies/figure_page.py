"""A study's figure drawn: as an SVG file, and on a page with its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plad.report.charts import Chart
from plad.report.figure import Series, figure_chart, standalone, x_label
from plad.report.numbers import MISSING, interval, percent, with_interval
from plad.report.study import StudyPage, render_study
from plad.report.table import Cell, PageRow
from plad.studies.figures import Figure, Point, places

SMALL = "In per cent; small figures are 95 % intervals, which have the spread between seeds in them."


def draw_page(figure: Figure, recipe: str) -> tuple[str, str]:
    """The SVG, and the page in HTML."""
    chart = chart_of(figure)
    page = StudyPage(
        title=figure.title,
        kicker=f"study {figure.name} · seeds {', '.join(map(str, figure.seeds))}",
        verdict=finding(figure),
        support=(),
        rows=tuple(_row(figure, line) for line in _series(figure)),
        note=f"{figure.note} {SMALL}",
        charts=(chart,),
        recipe=recipe,
    )
    return standalone(chart), render_study(page)


def finding(figure: Figure) -> str:
    """Where the figure is highest and lowest: PLaD's places, or the series where there is one place for all."""
    series = _series(figure)
    if len(places(figure)) == 1:
        least, *_, most = sorted(((line.points[0][1], line.label) for line in series), key=lambda one: one[0]["value"])
        return f"Most for {_at(*most)}, least for {_at(*least)}{_apart(least[0], most[0])}."
    line = next((line for line in series if line.hue == "plad"), series[-1])
    named = [(estimate, f"{figure.x_name} {x_label(x)}") for x, estimate in line.points]
    least, most = (choose(named, key=lambda one: one[0]["value"]) for choose in (min, max))
    return f"{line.label}: most at {_at(*most)}, least at {_at(*least)}{_apart(least[0], most[0])}."


def chart_of(figure: Figure) -> Chart:
    """The drawing, with its numbers."""
    return figure_chart(f"chart-{figure.name}", figure.title, figure.x_name, _series(figure), figure.rule)


def _series(figure: Figure) -> list[Series]:
    found: dict[str, list[Point]] = {}
    for point in figure.points:
        found.setdefault(point.series, []).append(point)
    return [Series(label, some[0].hue, tuple((p.x, p.estimate) for p in some)) for label, some in found.items()]


def _at(estimate: Mapping[str, Any], name: str) -> str:
    return f"{name}, {with_interval(estimate)}"


def _apart(least: Mapping[str, Any], most: Mapping[str, Any]) -> str:
    return "" if least["high"] < most["low"] else "; the intervals overlap, so that this order may be chance"


def _row(figure: Figure, line: Series) -> PageRow:
    by_place = dict(line.points)
    cells = [
        Cell(x_label(x), *((percent(by_place[x]["value"]), interval(by_place[x])) if x in by_place else (MISSING,)))
        for x in places(figure)
    ]
    return PageRow(line.label, line.hue, tuple(cells))
