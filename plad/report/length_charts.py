"""The lengths of the outputs of each model, and the wins by length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plad.report.charts import WIDTH, Chart, clipped, interval_chart
from plad.report.diagnostics import outputs_of
from plad.report.read import RunFiles
from plad.report.svg import COLORS, color, draw
from plad.report.verdict import subject_row


def length_chart(run: RunFiles) -> Chart | None:
    """The middle 90 % and 50 % of the lengths, and the median."""
    rows = [(hue, label, row["word_quantiles"]) for hue, label, row in outputs_of(run) if row.get("word_quantiles")]
    if not rows:
        return None
    title = "Words of an output"
    said = "; ".join(f"{label} {q[2]:g} ({q[0]:g} to {q[4]:g})" for _, label, q in rows)
    alt = (title, f"Median and the middle 90 %: {said}.")
    svg = draw("chart-words", alt, (WIDTH, 0.62 + 0.34 * len(rows)), lambda axes: _paint(axes, rows))
    body = tuple((label, *(f"{words:g}" for words in quantiles)) for _, label, quantiles in rows)
    note = "Dots: medians. Thick: the middle half; thin: from the 5th to the 95th percentile."
    return Chart(title, svg, (), ("", "5 %", "25 %", "50 %", "75 %", "95 %"), body, note)


def by_length_chart(run: RunFiles) -> Chart | None:
    """The wins of the run's method against the initial student, by the length of its outputs."""
    subject = subject_row(run.results or {})
    bins = (subject or {}).get("by_length") or ()
    if subject is None or len(bins) < 2:
        return None
    hue, title = run.hue(subject["name"]), f"{run.label(subject['name'])} against the initial student, by length"
    rows = [(hue, _words(row["from"], row["to"]), row["win_rate"]) for row in bins]
    return interval_chart("chart-by-length", title, rows)


def _words(least: int, most: int) -> str:
    return f"{least}–{most} words" if most > least else f"{least} word{'s' if least != 1 else ''}"


def _paint(axes: Any, rows: Sequence[tuple[str, str, Sequence[float]]]) -> None:
    places = range(len(rows), 0, -1)
    for place, (hue, _, (least, lower, middle, upper, most)) in zip(places, rows, strict=True):
        axes.plot((least, most), (place, place), color=color(hue), linewidth=1.4, alpha=0.55)
        axes.plot((lower, upper), (place, place), color=color(hue), linewidth=5, alpha=0.45)
        axes.plot((middle,), (place,), color=color(hue), marker="o", markersize=6.5)
        axes.annotate(f"{middle:g}", (1.03, place), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks(list(places), [clipped(label) for _, label, _ in rows], color=COLORS["ink"])
    axes.set_ylim(0.4, len(rows) + 0.6)
    axes.set_xlim(left=0)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=6, integer=True)
