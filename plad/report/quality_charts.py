"""The charts beside the win rates: every scorer's verdict, and quality by likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plad.report.charts import WIDTH, Chart, interval_chart
from plad.report.numbers import Estimate, interval, percent
from plad.report.quality import scorers
from plad.report.read import RunFiles
from plad.report.svg import COLORS, color, draw, in_percent, variable
from plad.report.verdict import subject_row


def scorers_chart(run: RunFiles) -> Chart | None:
    """The wins of the run's method against the initial student under every scorer, where there are several."""
    results = run.results or {}
    subject = subject_row(results)
    if subject is None:
        return None
    name, label = subject["name"], run.label(subject["name"])
    judge = (results.get("scorer") or {}).get("name", "judge")
    rows = [(run.hue(name), f"{judge} (the judge)", subject["against_initial"])]
    if (held := subject.get("against_initial_at_equal_length")) is not None:
        rows.append((run.hue(name), "at equal length", held))
    for scorer in scorers(run):
        rows += [
            ("other", f"{scorer['name']}{_control(scorer['name'])}", row["against_initial"])
            for row in scorer["rows"]
            if row["name"] == name and row.get("against_initial")
        ]
    title = f"{label} against the initial student, by scorer"
    return interval_chart("chart-scorers", title, rows) if len(rows) > 1 else None


def calibration_chart(run: RunFiles) -> Chart | None:
    """What share of a prompt's other samples a sample beats, by its place in order of likelihood."""
    rows = [(row["name"], row["curve"]) for row in (run.calibration or {}).get("rows", ()) if row.get("curve")]
    if not rows:
        return None
    rows = [rows[0], rows[-1]] if len(rows) > 2 else rows  # the initial student and the run's own; facts have the rest
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
    in_percent(axes.yaxis)


def _control(name: str) -> str:
    return " (control)" if name == "length" else ""
