"""A study's table as one page of HTML, in the style of a run's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plad.report.charts import Chart, interval_chart
from plad.report.numbers import MISSING, interval, percent, plain
from plad.report.read import hue_of
from plad.report.study import Dot, StudyPage, quality_against, render_study
from plad.report.table import Cell, PageRow
from plad.studies.beside import cells as cells_beside
from plad.studies.beside import heads as heads_beside
from plad.studies.beside import legend, measured
from plad.studies.render import COSTS, NOTE, SHARES, costs, subject_row

Table = Mapping[str, Any]


def html_page(table: Table, title: str, recipe: str) -> str:
    """The whole page of what `make_table1` returns; `recipe` is the text of what was run."""
    gap = table["teacher_student"]
    best = max((row for row in table["rows"] if row["against_initial"] and row["name"] != "teacher"), key=_gain)
    subject = subject_row(table)
    page = StudyPage(
        title=title,
        kicker=f"seeds {', '.join(map(str, table['seeds']))} · judge {table['scorer']['name']}",
        verdict=_verdict(best),
        support=(
            f"{subject['label']} wins {_told(subject['against_initial'])}, the teacher {_told(gap)}.",
            *_significant(table, subject["label"]),
        ),
        rows=tuple(_row(table, row) for row in table["rows"]),
        note=f"{table['n']:,} test prompts in all. {NOTE} {legend(table) if measured(table) else ''}".strip(),
        charts=tuple(_charts(table)),
        recipe=recipe,
        warnings=tuple((each["run"], each["told"]) for each in table.get("warnings", ())),
    )
    return render_study(page)


def _verdict(best: Mapping[str, Any]) -> str:
    """Of the row that wins most often over the initial student, which may be less often than not."""
    label, over = best["label"], best["against_initial"]
    if over["value"] > 0.5:
        return f"{label} gains most over the initial student: it wins {_told(over)}."
    return f"No method gains over the initial student: {label}, the nearest to it, wins {_told(over)}."


def _significant(table: Table, subject: str) -> list[str]:
    """Which methods differ from the subject, against the reference, beyond the interval."""
    told = []
    for word, sign in (("more", 1), ("less", -1)):
        names = [
            row["label"]
            for row in table["rows"]
            if (found := row["against_subject"]) and found["significant"] and sign * found["value"] > 0
            if row["name"] not in ("teacher", "student")
        ]
        told += [f"Beyond the interval {word} often right against the reference than {subject}: {', '.join(names)}."]
        told = told if names else told[:-1]
    return told


def _charts(table: Table) -> list[Chart]:
    rows = [(_hue(table, row), row["label"], row) for row in table["rows"]]
    against = [(hue, label, row["win_rate"]) for hue, label, row in rows]
    over = [(hue, label, row["against_initial"]) for hue, label, row in rows if row["against_initial"]]
    charts = [
        interval_chart("chart-win-rate", "Win rate against the human reference", against),
        interval_chart("chart-against-initial", "Win rate against the initial student", over),
    ]
    for key, what in (("seconds", "seconds of training"), ("flops", "TFLOP, answers included")):
        unit = COSTS[key][1]
        dots = [
            Dot(hue, label, row[key] / unit, row["against_initial"])
            for hue, label, row in rows
            if row["name"] not in ("teacher", "student") and row[key]
        ]
        if dots:
            charts.append(quality_against(f"chart-{key}", f"Wins over the initial student by {what}", what, dots, 0.5))
    return charts


def _row(table: Table, row: Mapping[str, Any]) -> PageRow:
    cells = [Cell("Words", plain(row["words"]["value"]), interval(row["words"], share=False))]
    cells += [Cell(f"{head}, %", percent(row[key]["value"]), interval(row[key])) for key, head in SHARES.items()]
    cells.append(Cell("RM WR by seed, %", ", ".join(map(percent, row["win_rate_by_seed"]))))
    difference, over = row["against_subject"], row["against_initial"]
    told = f"{100 * difference['value']:+.1f}{'*' if difference['significant'] else ''}" if difference else MISSING
    cells.append(Cell("RM WR − subject's, points", told, interval(difference) if difference else ""))
    cells.append(Cell("Wins vs. initial, %", *(percent(over["value"]), interval(over)) if over else (MISSING,)))
    if measured(table):
        beside = zip(heads_beside(table), cells_beside(table, row), strict=True)
        cells += [Cell(head, *told) for head, told in beside]
    heads = [head for head, *_ in COSTS.values()]
    cells += [Cell(head, text) for head, text in zip(heads, costs(row), strict=True)]
    return PageRow(row["label"], _hue(table, row), tuple(cells), aside=row["name"] == "teacher")


def _hue(table: Table, row: Mapping[str, Any]) -> str:
    return hue_of(row["name"], table["subject"], [each["name"] for each in table["rows"]])


def _gain(row: Mapping[str, Any]) -> float:
    return float(row["against_initial"]["value"])


def _told(estimate: Mapping[str, Any]) -> str:
    return f"on {percent(estimate['value'])} % of the prompts ({interval(estimate)} %)"
