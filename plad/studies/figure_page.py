"""A study's figure drawn: as an SVG file, and on a page with its numbers."""

from __future__ import annotations

from plad.report.charts import Chart
from plad.report.figure import Series, figure_chart, standalone, x_label
from plad.report.numbers import MISSING, interval, percent
from plad.report.study import StudyPage, render_study
from plad.report.table import Cell, PageRow
from plad.studies.figures import Figure, Point, places


def draw_page(figure: Figure, recipe: str) -> tuple[str, str]:
    """The SVG, and the page in HTML."""
    chart = chart_of(figure)
    page = StudyPage(
        title=figure.title,
        kicker=f"study {figure.name} · seeds {', '.join(map(str, figure.seeds))}",
        verdict=figure.note,
        support=(),
        rows=tuple(_row(figure, line) for line in _series(figure)),
        note="In per cent; small figures are 95 % intervals, which have the spread between seeds in them.",
        charts=(chart,),
        recipe=recipe,
    )
    return standalone(chart), render_study(page)


def chart_of(figure: Figure) -> Chart:
    """The drawing, with its numbers."""
    return figure_chart(f"chart-{figure.name}", figure.title, figure.x_name, _series(figure), figure.rule)


def _series(figure: Figure) -> list[Series]:
    found: dict[str, list[Point]] = {}
    for point in figure.points:
        found.setdefault(point.series, []).append(point)
    return [Series(label, some[0].hue, tuple((p.x, p.estimate) for p in some)) for label, some in found.items()]


def _row(figure: Figure, line: Series) -> PageRow:
    by_place = dict(line.points)
    cells = [
        Cell(x_label(x), *((percent(by_place[x]["value"]), interval(by_place[x])) if x in by_place else (MISSING,)))
        for x in places(figure)
    ]
    return PageRow(line.label, line.hue, tuple(cells))
