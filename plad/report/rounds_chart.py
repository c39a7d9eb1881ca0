"""The win rates of PLaD in rounds, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.report.charts import WIDTH, Chart
from plad.report.numbers import interval, percent
from plad.report.read import RunFiles
from plad.report.rounds import rounds_rows
from plad.report.svg import COLORS, color, draw, in_percent, variable

LINES = {
    "win_rate": ("plad", "student over the reference"),
    "teacher_win_rate": ("teacher", "teacher over the student"),
}


def rounds_chart(run: RunFiles) -> Chart | None:
    """Both win rates by round, the initial student's at 0."""
    rows = rounds_rows(run)
    if not rows:
        return None
    title = "Win rates on the validation split, by round"
    said = "; ".join(
        f"{label} from {percent(rows[0][key]['value'])} % to {percent(rows[-1][key]['value'])} %"
        for key, (_, label) in LINES.items()
    )
    svg = draw("chart-rounds", (title, f"{said}."), (WIDTH, 2.7), lambda axes: _paint(axes, rows))
    legend = tuple((label, variable(hue), False) for hue, label in LINES.values())
    body = tuple(
        (label, str(row["round"]), percent(row[key]["value"]), interval(row[key]))
        for key, (_, label) in LINES.items()
        for row in rows
    )
    return Chart(title, svg, legend, ("", "Round", "%", "95 % interval"), body, "Round 0 is the initial student.")


def _paint(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    places = [row["round"] for row in rows]
    for key, (hue, _) in LINES.items():
        axes.plot(places, [100 * row[key]["value"] for row in rows], color=color(hue), marker="o", linewidth=1.8)
        for place, row in zip(places, rows, strict=True):
            axes.plot((place, place), (100 * row[key]["low"], 100 * row[key]["high"]), color=color(hue), alpha=0.4)
    axes.axhline(50, color=COLORS["muted"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlabel("round", loc="right")
    axes.locator_params(axis="x", integer=True)
    in_percent(axes.yaxis)
