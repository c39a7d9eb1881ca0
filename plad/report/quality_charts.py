"""The charts beside the win rates: every scorer's verdict, wins by length, and quality by likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.report.charts import WIDTH, Chart, interval_chart
from plad.report.numbers import Estimate, interval, is_number, percent
from plad.report.quality import scorers
from plad.report.read import RunFiles
from plad.report.svg import COLORS, color, draw, variable


def scorer_charts(run: RunFiles) -> list[Chart]:
    """The wins of the run's method against the initial student under every scorer, and by length of output."""
    results = run.results or {}
    subject = _subject(results)
    if subject is None:
        return []
    name, label = subject["name"], run.label(subject["name"])
    judge = (results.get("scorer") or {}).get("name", "judge")
    rows = [(name, f"{judge} (the judge)", subject["against_initial"])]
    for scorer in scorers(run):
        rows += [
            ("other", f"{scorer['name']}{_control(scorer['name'])}", row["against_initial"])
            for row in scorer["rows"]
            if row["name"] == name and row.get("against_initial")
        ]
    if (held := subject.get("against_initial_at_equal_length")) is not None:
        rows.insert(1, (name, "at equal length", held))
    bins = [(name, f"{row['from']}–{row['to']} words", row["win_rate"]) for row in subject.get("by_length") or ()]
    charts = [interval_chart("chart-scorers", f"{label} against the initial student, by scorer", rows)]
    if len(rows) == 1:
        charts = []
    if len(bins) > 1:
        charts.append(interval_chart("chart-by-length", f"{label} against the initial student, by length", bins))
    return charts


def calibration_chart(run: RunFiles) -> Chart | None:
    """What share of a prompt's other samples a sample beats, by its place in order of likelihood."""
    rows = [(row["name"], row["curve"]) for row in (run.calibration or {}).get("rows", ()) if row.get("curve")]
    if not rows:
        return None
    title = "Quality by likelihood"
    said = "; ".join(
        f"{run.label(name)} from {percent(curve[0]['value'])} % to {percent(curve[-1]['value'])} %"
        for name, curve in rows
    )
    alt = (title, f"Share of the other samples beaten, from the least to the most likely sample: {said}.")
    svg = draw("chart-calibration", alt, (WIDTH, 2.7), lambda axes: _paint_curves(axes, rows))
    legend = tuple((run.label(name), variable(name), False) for name, _ in rows)
    body = tuple(
        (run.label(name), str(place), percent(row["value"]), interval(row))
        for name, curve in rows
        for place, row in enumerate(curve, start=1)
    )
    note = "Share of a prompt's other samples that a sample beats. Flat at 50 %: likelihood says nothing of quality."
    return Chart(title, svg, legend, ("", "Place", "%", "95 % interval"), body, note)


def _paint_curves(axes: Any, rows: Sequence[tuple[str, Sequence[Estimate]]]) -> None:
    for name, curve in rows:
        places = list(range(1, len(curve) + 1))
        axes.plot(places, [100 * row["value"] for row in curve], color=color(name), marker="o", linewidth=1.8)
        for place, row in zip(places, curve, strict=True):
            axes.plot((place, place), (100 * row["low"], 100 * row["high"]), color=color(name), alpha=0.4)
    axes.axhline(50, color=COLORS["muted"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlabel("place by likelihood, least likely first", loc="right")
    axes.locator_params(axis="x", integer=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")


def _subject(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The run's method: the last model, which is compared with the initial student."""
    rows = [row for row in results.get("rows", ()) if row["name"] not in ("teacher", "student")]
    compared = [row for row in rows if is_number((row.get("against_initial") or {}).get("value"))]
    return compared[-1] if compared else None


def _control(name: str) -> str:
    return " (control)" if name == "length" else ""
