"""The page of a study: one table of several runs, its charts, and the recipe. One file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plad.report.charts import WIDTH, Chart
from plad.report.numbers import Estimate, interval, percent
from plad.report.pages import render_page
from plad.report.svg import COLORS, color, draw, in_percent
from plad.report.table import PageRow


@dataclass(frozen=True)
class StudyPage:
    """What a study's page shows. `verdict` is one sentence, `note` says how the table is to be read."""

    title: str
    kicker: str
    verdict: str
    support: tuple[str, ...]
    rows: tuple[PageRow, ...]
    note: str
    charts: tuple[Chart, ...]
    recipe: str
    warnings: tuple[tuple[str, Sequence[str]], ...] = ()


@dataclass(frozen=True)
class Dot:
    """A point of a chart of quality against what it took."""

    hue: str
    label: str
    x: float
    estimate: Estimate


def render_study(page: StudyPage) -> str:
    """The whole page. Equal studies give equal pages, byte for byte."""
    return render_page("study.html.j2", title=page.title, page=page)


def quality_against(name: str, title: str, what: str, dots: Sequence[Dot], rule: float | None = None) -> Chart:
    """Shares with their 95 % intervals over what each took, on a logarithmic scale; x is above 0.

    Args:
        what: the name of x, with its unit.
        rule: a share to mark by a dashed line.
    """
    said = "; ".join(f"{dot.label} {percent(dot.estimate['value'])} % at {dot.x:,.0f}" for dot in dots)
    alt = (title, f"Against {what}: {said}.")
    svg = draw(name, alt, (WIDTH, 3.6), lambda axes: _paint(axes, what, dots, rule))
    body = tuple((dot.label, f"{dot.x:,.0f}", percent(dot.estimate["value"]), interval(dot.estimate)) for dot in dots)
    return Chart(title, svg, (), ("", what, "%", "95 % interval"), body, "Bars: 95 % intervals.")


def _paint(axes: Any, what: str, dots: Sequence[Dot], rule: float | None) -> None:
    for dot in dots:
        value, low, high = (100 * dot.estimate[key] for key in ("value", "low", "high"))
        axes.plot((dot.x, dot.x), (low, high), color=color(dot.hue), linewidth=2.2, alpha=0.45)
        axes.plot((dot.x,), (value,), color=color(dot.hue), marker="o", markersize=6.5)
        axes.annotate(dot.label, (dot.x, value), xytext=(7, 3), textcoords="offset points", fontsize=8)
    if rule is not None:
        axes.axhline(100 * rule, color=COLORS["muted"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xscale("log")
    axes.set_xlabel(what, loc="right")
    axes.margins(x=0.25)
    low, high = axes.get_xlim()
    # Over more than half a decade there is no room for every number.
    digits = "125" if high > 5 * low else "123456789"
    for which in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        which(lambda value, _: f"{value:,.0f}" if f"{value:e}"[0] in digits else "")
    axes.tick_params(axis="x", which="both", labelsize=8)
    in_percent(axes.yaxis)
    axes.locator_params(axis="y", nbins=5)
