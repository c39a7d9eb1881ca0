"""Several runs on one page: what those of one recipe show together, each by itself, and how the recipes differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plad.report.cautions import cautions
from plad.report.charts import Chart, interval_chart
from plad.report.costs import total_cost
from plad.report.download import csv_file
from plad.report.numbers import MISSING, Estimate, count, duration, interval, percent, plain
from plad.report.pages import render_page
from plad.report.quality import points
from plad.report.read import RunFiles
from plad.report.table import Cell, PageRow
from plad.report.verdict import sentence, subject_row, who

SHARES = {"win_rate": "Wins vs. reference, %", "against_initial": "Wins vs. initial, %", "rouge1": "ROUGE-1, %"}
SHARES |= {"rouge2": "ROUGE-2, %", "rougeL": "ROUGE-L, %"}
HUES = ("plad", "other", "other-2", "other-3", "other-4", "other-5")
"""Colours of groups; a seventh group has that of the first."""


@dataclass(frozen=True)
class Group:
    """Runs whose recipes differ in their seed alone. `table` has their models pooled: rows as `studies.collect` says.

    `ahead` is by how much its subject's win rates over the initial student exceed those of the first group's, paired by
    seed and prompt; where it is None, `apart` says why.
    """

    letter: str
    name: str
    runs: Mapping[str, RunFiles]
    table: Mapping[str, Any]
    ahead: Estimate | None = None
    apart: str = ""

    @property
    def subject(self) -> Mapping[str, Any]:
        """The pooled row of the method that the runs are about."""
        return next(row for row in self.table["rows"] if row["name"] == self.table["subject"])

    @property
    def seeds(self) -> str:
        """`seed 1`, `seeds 1, 2, 3`."""
        numbers = [str(run.manifest.get("seed", MISSING)) for run in self.runs.values()]
        return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"

    @property
    def verdict(self) -> str:
        """One sentence on the subject against the initial student, with the spread between seeds in its interval."""
        return sentence(who(self.subject), self.subject["against_initial"])


def render_several(groups: Sequence[Group], changes: Mapping[str, Sequence[str]]) -> str:
    """The whole page.

    Args:
        changes: what each group has of every setting in which they differ.
    """
    pooled, runs = pooled_rows(groups), [row for group in groups for row in run_rows(group)]
    letters = [group.letter for group in groups]
    settings = [
        PageRow(key, "", tuple(Cell(letter, value) for letter, value in zip(letters, values, strict=True)))
        for key, values in changes.items()
    ]
    return render_page(
        "several.html.j2",
        title=title(groups),
        groups=groups,
        pooled=pooled,
        pooled_csv=_csv("pooled", pooled),
        runs=runs,
        runs_csv=_csv("runs", runs),
        charts_of=[chart for chart in (_by_run(groups), _by_method(groups)) if chart],
        settings=settings,
        differences=[difference(group, groups[0]) for group in groups[1:]],
        warnings=[(name, told) for group in groups for name, run in group.runs.items() if (told := cautions(run))],
    )


def title(groups: Sequence[Group]) -> str:
    """`3 runs of 1 recipe`."""
    runs = sum(len(group.runs) for group in groups)
    return f"{runs} runs of {len(groups)} recipe{'s' if len(groups) > 1 else ''}"


def difference(group: Group, first: Group) -> str:
    """One sentence on a group beside the first."""
    if group.ahead is None:
        return f"{group.letter} and {first.letter} cannot be compared prompt by prompt: {group.apart}."
    told = f"{group.letter} against {first.letter}, paired by seed and prompt: wins over the initial student differ by "
    shown = "" if group.ahead["low"] > 0 or group.ahead["high"] < 0 else " No difference could be shown."
    return f"{told}{points(group.ahead)}.{shown}"


def pooled_rows(groups: Sequence[Group]) -> list[PageRow]:
    """Each model of each group, over its seeds."""
    several = len(groups) > 1
    return [
        PageRow(
            f"{group.letter} · {row['label']}" if several else row["label"],
            HUES[place % len(HUES)] if several else next(iter(group.runs.values())).hue(row["name"]),
            _cells(row),
            aside=row["name"] == "teacher",
        )
        for place, group in enumerate(groups)
        for row in group.table["rows"]
    ]


def _cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    shares = {head: _share(head, row[key]) for key, head in SHARES.items()}
    first, over, *overlap = shares.values()
    return (first, over, _by_seed(row), *overlap, _words(row["words"]))


def run_rows(group: Group) -> list[PageRow]:
    """Each run of a group by itself."""
    return [_run_row(group, name, run) for name, run in group.runs.items()]


def _run_row(group: Group, name: str, run: RunFiles) -> PageRow:
    results = run.results or {}
    row = subject_row(results) or {}
    shares = {"against_initial": "Wins vs. initial, %", "against_initial_at_equal_length": "At equal length, %"}
    shares |= {"win_rate": "Wins vs. reference, %"}
    cells = [_share("Teacher vs. initial, %", results.get("teacher_student"))]
    cells += [_share(head, row.get(key)) for key, head in shares.items()]
    cells += [_words(row.get("words")), Cell("Prompts", count(results.get("n")))]
    cells += [Cell("Time", duration(total_cost(run).seconds)), Cell("Warnings", str(len(cautions(run))))]
    seed = run.manifest.get("seed", MISSING)
    return PageRow(name, "", tuple(cells), beneath=f"{group.letter} · seed {seed} · {row.get('label', MISSING)}")


def _by_run(groups: Sequence[Group]) -> Chart | None:
    """The subject of each run, and below them the pooled one."""
    rows = []
    for place, group in enumerate(groups):
        hue = HUES[place % len(HUES)]
        for name, run in group.runs.items():
            row = subject_row(run.results or {})
            rows += [(hue, name, row["against_initial"])] if row else []
        rows += [(hue, f"{group.letter}, together", group.subject["against_initial"])] if len(group.runs) > 1 else []
    return interval_chart("chart-by-run", "Win rate over the initial student, run by run", rows) if rows else None


def _by_method(groups: Sequence[Group]) -> Chart:
    rows = [
        (row.hue, row.label, model["win_rate"])
        for row, model in zip(
            pooled_rows(groups), (row for group in groups for row in group.table["rows"]), strict=True
        )
    ]
    return interval_chart("chart-by-method", "Win rate against the human reference", rows)


def _share(head: str, estimate: Estimate | None) -> Cell:
    return Cell(head, percent(estimate["value"]), interval(estimate)) if estimate else Cell(head, MISSING)


def _by_seed(row: Mapping[str, Any]) -> Cell:
    values = (row["against_initial"] or {}).get("by_seed", ())
    return Cell("By seed, %", ", ".join(map(percent, values)) or MISSING)


def _words(estimate: Estimate | None) -> Cell:
    return (
        Cell("Words", plain(estimate["value"]), interval(estimate, share=False)) if estimate else Cell("Words", MISSING)
    )


def _csv(name: str, rows: Sequence[PageRow]) -> Any:
    heads = [part for cell in rows[0].cells for part in (cell.head, "95 % interval")]
    cells = [(row.label, *(part for cell in row.cells for part in (cell.text, cell.interval))) for row in rows]
    return csv_file(name, ["", *heads], cells)
