"""The charts of the report: intervals of win rates, and training curves. Each comes with its numbers as a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from plad.report.curves import Series, points_of, running_mean, thinned
from plad.report.download import Download, csv_file
from plad.report.numbers import Estimate, count, interval, is_number, percent
from plad.report.read import RunFiles
from plad.report.svg import COLORS, color, draw, in_percent, variable

WIDTH = 4.8  # inches; two stand side by side on a desktop, one fills a phone
DRAWN = 400
"""Points of a curve at the most; a screen has no more."""


@dataclass(frozen=True)
class Chart:
    """A drawing with its heading, its legend as (label, CSS variable, dashed) and its data as a table.

    `points` are what was drawn where the table shows only some of it.
    """

    title: str
    svg: Markup
    legend: tuple[tuple[str, str, bool], ...]
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    note: str = ""
    points: tuple[tuple[str, ...], ...] = ()

    @property
    def file(self) -> Download:
        """All of the numbers as a CSV file."""
        name = re.sub(r"\W+", "-", self.title.lower()).strip("-")
        return csv_file(name, self.head, self.points or self.body)


def win_rate_charts(run: RunFiles) -> list[Chart]:
    """One chart against the human reference, one against the initial student."""
    rows = (run.results or {}).get("rows", ())
    kinds = (
        ("win_rate", "Win rate against the human reference"),
        ("against_initial", "Win rate against the initial student"),
    )
    charts = []
    for key, title in kinds:
        found = [(run.hue(row["name"]), run.label(row["name"]), row[key]) for row in rows if _has_value(row.get(key))]
        if found:
            charts.append(interval_chart(f"chart-{key.replace('_', '-')}", title, found))
    return charts


def scorer_chart(run: RunFiles) -> Chart | None:
    """How often the scorer is right, for each kind of held-out pair."""
    rows = ((run.results or {}).get("scorer") or {}).get("accuracy", ())
    found = [("ink", str(row["kind"]).replace("_", " "), row) for row in rows if _has_value(row)]
    return interval_chart("chart-scorer", "Scorer accuracy on held-out pairs", found) if found else None


def interval_chart(name: str, title: str, rows: Sequence[tuple[str, str, Estimate]]) -> Chart:
    """Dots with 95 % intervals, one line a row, and a dashed line at 50 %."""
    said = "; ".join(f"{label} {percent(row['value'])} % ({interval(row)})" for _, label, row in rows)
    alt = (title, f"{said}. The dashed line marks 50 %, where neither side wins.")
    svg = draw(name, alt, (WIDTH, 0.62 + 0.34 * len(rows)), lambda axes: _intervals(axes, rows))
    body = tuple((label, percent(row["value"]), interval(row), count(row.get("n"))) for _, label, row in rows)
    return Chart(title, svg, (), ("", "%", "95 % interval", "n"), body, "Bars: 95 % intervals. Dashed: 50 %.")


def training_charts(run: RunFiles) -> list[Chart]:
    """Losses apart by kind, for a ranking loss and a likelihood share no scale; then what the pairs did."""
    ranking, sampled = (_with_key(run, key) for key in ("margin", "length"))
    likelihood = {name: rows for name, rows in run.histories.items() if name not in {**ranking, **sampled}}
    length = "Mean length of the samples drawn in training, tokens"
    charts = [
        _curves(run, "chart-loss", "Loss per token", likelihood, {"loss": "", "eval_loss": "held out"}),
        _curves(run, "chart-ranking", "Loss on preference pairs", ranking, {"loss": "", "eval_loss": "held out"}),
        _curves(run, "chart-margin", "Margin: preferred minus rejected log-likelihood", ranking, {"margin": ""}),
        _curves(run, "chart-accuracy", "Share of pairs ranked as preferred", ranking, {"accuracy": ""}),
        _curves(
            run,
            "chart-logp",
            "Log-likelihood of both sides",
            ranking,
            {"chosen_logp": "preferred", "rejected_logp": "rejected"},
        ),
        _curves(run, "chart-sampled", "Loss on own samples", sampled, {"loss": ""}),
        _curves(run, "chart-length", length, sampled, {"length": ""}),
        _curves(run, "chart-active", "Share of pairs that still give a gradient", ranking, {"active": ""}),
    ]
    return [chart for chart in charts if chart]


def _with_key(run: RunFiles, key: str) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {name: rows for name, rows in run.histories.items() if any(key in row for row in rows)}


def _curves(
    run: RunFiles, name: str, title: str, histories: Mapping[str, Sequence[Mapping[str, Any]]], keys: Mapping[str, str]
) -> Chart | None:
    second = list(keys)[1:]
    series = [
        Series(run.hue(model), " · ".join(filter(None, (run.label(model), note))), points, dashed=key in second)
        for model, rows in histories.items()
        for key, note in keys.items()
        if (points := points_of(rows, key))
    ]
    if not series:
        return None
    shown = [model for model, rows in histories.items() if any(points_of(rows, key) for key in keys)]
    said = "; ".join(
        f"{line.label} from {_short(line.points[0][1])} to {_short(line.points[-1][1])}" for line in series
    )
    svg = draw(name, (title, f"Over training steps: {said}."), (WIDTH, 2.7), lambda axes: _lines(axes, series))
    body = tuple((line.label, str(step), _short(value)) for line in series for step, value in thinned(line.points, 12))
    smooth = any(line.noisy for line in series)
    note = "Thin: as logged. Thick: running mean." if smooth else ""
    drawn = tuple(
        (line.label, str(step), f"{value:.6g}") for line in series for step, value in thinned(line.points, DRAWN)
    )
    return Chart(title, svg, _legend(run, series, keys, shown), ("", "Step", "Value"), body, note, drawn)


def _legend(
    run: RunFiles, series: Sequence[Series], keys: Mapping[str, str], models: Sequence[str]
) -> tuple[tuple[str, str, bool], ...]:
    if len(models) == 1:
        return tuple((line.label, variable(line.hue), line.dashed) for line in series)
    # One entry a model and one for the dashes; every combination would fill the page.
    dashed = (list(keys.values())[-1], "--muted", True)
    entries = tuple((run.label(model), variable(run.hue(model)), False) for model in models)
    return (*entries, dashed) if any(line.dashed for line in series) else entries


def _lines(axes: Any, series: Sequence[Series]) -> None:
    for line in series:
        points = thinned(line.points, DRAWN)
        steps, values = [step for step, _ in points], [value for _, value in points]
        look = {"color": color(line.hue), "linestyle": (0, (3, 2)) if line.dashed else "-"}
        # One point makes no line.
        marker = "o" if len(steps) == 1 else ""
        if line.noisy:
            axes.plot(steps, values, **look, linewidth=0.8, alpha=0.28)
            values = running_mean(values)
        axes.plot(steps, values, **look, linewidth=1.8, marker=marker, markersize=4)
    axes.set_xlabel("step", loc="right")
    axes.margins(x=0.02)
    axes.locator_params(axis="x", nbins=6, integer=True)
    axes.locator_params(axis="y", nbins=5)


def _intervals(axes: Any, rows: Sequence[tuple[str, str, Estimate]]) -> None:
    places = range(len(rows), 0, -1)
    for place, (name, _, row) in zip(places, rows, strict=True):
        value, low, high = (100 * row.get(key, row["value"]) for key in ("value", "low", "high"))
        axes.plot((low, high), (place, place), color=color(name), linewidth=2.2, alpha=0.55)
        axes.plot((value,), (place,), color=color(name), marker="o", markersize=6.5)
        axes.annotate(f"{percent(row['value'])}", (1.03, place), xycoords=("axes fraction", "data"), va="center")
    axes.axvline(50, color=COLORS["muted"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(list(places), [clipped(label) for _, label, _ in rows], color=COLORS["ink"])
    axes.set_ylim(0.4, len(rows) + 0.6)
    axes.set_xlim(*_limits([row for _, _, row in rows]))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    in_percent(axes.xaxis)
    axes.locator_params(axis="x", nbins=5, integer=True)


def _limits(rows: Sequence[Estimate]) -> tuple[float, float]:
    # 50 % is always in sight: it is what the eye compares with.
    ends = [50.0] + [100 * row.get(key, row["value"]) for row in rows for key in ("low", "high")]
    return max(0.0, min(ends) - 4), min(100.0, max(ends) + 4)


def _has_value(estimate: Estimate | None) -> bool:
    return bool(estimate) and is_number((estimate or {}).get("value"))


def clipped(label: str) -> str:
    """A label that leaves room for the chart; the table below it has the whole."""
    return label if len(label) <= 24 else f"{label[:23]}…"


def _short(value: float) -> str:
    return f"{value:.3f}"
