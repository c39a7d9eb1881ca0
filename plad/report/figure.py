"""A figure of a study: series of estimates over a number or over names, as a chart of a page and as a file alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plad.report.charts import WIDTH, Chart
from plad.report.numbers import Estimate, interval, percent
from plad.report.pages import asset
from plad.report.svg import COLORS, color, draw, in_percent

LINES, MARKERS = ("-", "--", ":"), ("o", "s", "^")
MANY = 6
"""Series beyond which the legend stands beside the drawing."""


@dataclass(frozen=True)
class Series:
    """One line: its points as (x, estimate), x a number or a name."""

    label: str
    hue: str
    points: tuple[tuple[float | str, Estimate], ...]


def figure_chart(name: str, title: str, x_name: str, series: Sequence[Series], rule: float | None = 0.5) -> Chart:
    """Shares with their 95 % intervals; the legend is in the drawing. Where x is a name the points are not joined.

    Args:
        rule: a share to mark by a dashed line.
    """
    said = "; ".join(f"{one.label} {', '.join(_said(x, row) for x, row in one.points)}" for one in series)
    svg = draw(name, (title, f"By {x_name}: {said}."), (WIDTH, 3.2), lambda axes: _paint(axes, x_name, series, rule))
    body = tuple(
        (one.label, x_label(x), percent(row["value"]), interval(row)) for one in series for x, row in one.points
    )
    return Chart(title, svg, (), ("", x_name, "%", "95 % interval"), body, "Bars: 95 % intervals.")


def standalone(chart: Chart) -> str:
    """The drawing as a file of its own: with the report's light colours, and a legend in words."""
    found = re.search(r":root \{(.*?)\}", asset("report.css"), flags=re.S)
    assert found is not None
    light = re.sub(r"light-dark\((.*?), .*?\)", r"\1", " ".join(found[1].split()))
    style = f"<style>svg{{{light} background:#fff; font-family:var(--sans)}}</style>"
    return str(chart.svg).replace("<title", f"{style}<title", 1) + "\n"


def x_label(x: float | str) -> str:
    """How a place on the x axis is written."""
    return x if isinstance(x, str) else f"{x:g}"


def _said(x: float | str, row: Estimate) -> str:
    return f"{percent(row['value'])} % at {x_label(x)}"


def _paint(axes: Any, x_name: str, series: Sequence[Series], rule: float | None) -> None:
    names = list(dict.fromkeys(x for one in series for x, _ in one.points if isinstance(x, str)))
    for place, one in enumerate(series):
        # Side by side where they would lie upon one another.
        shift = 0.5 * ((place + 0.5) / len(series) - 0.5) if names else 0.0
        xs = [(names.index(x) if isinstance(x, str) else x) + shift for x, _ in one.points]
        # There are fewer colours than a figure may have series.
        again = sum(other.hue == one.hue for other in series[:place])
        look = {"color": color(one.hue), "linestyle": "" if names else LINES[again % len(LINES)], "linewidth": 1.8}
        look["marker"] = MARKERS[again % len(MARKERS)]
        axes.plot(xs, [100 * row["value"] for _, row in one.points], **look, markersize=5, label=one.label)
        for x, (_, row) in zip(xs, one.points, strict=True):
            axes.plot((x, x), (100 * row["low"], 100 * row["high"]), color=color(one.hue), alpha=0.4, linewidth=2)
    if rule is not None:
        axes.axhline(100 * rule, color=COLORS["muted"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    if names:
        # Long names would run into one another.
        turned = {"rotation": 20, "ha": "right", "rotation_mode": "anchor"} if sum(map(len, names)) > 40 else {}
        axes.set_xticks(range(len(names)), names, **turned)
    axes.set_xlabel(x_name, loc="right")
    in_percent(axes.yaxis)
    axes.locator_params(axis="y", nbins=6)
    if len(series) > 1:
        # So many would lie upon the lines.
        beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if len(series) > MANY else {}
        axes.legend(frameon=False, fontsize=8, labelcolor=COLORS["ink"], **beside)
