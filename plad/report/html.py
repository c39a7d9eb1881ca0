"""`report.html`: one file that needs no network, with its style, script, charts and examples inside."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from plad.report.audit import audit_facts, audit_verdict
from plad.report.cautions import cautions
from plad.report.charts import scorer_chart, training_charts, win_rate_charts
from plad.report.costs import COLUMNS, headline, stage_costs, task_costs, told
from plad.report.diagnostics import ABOUT, diagnostic_rows
from plad.report.download import csv_file, json_file
from plad.report.examples import payload
from plad.report.facts import data_facts, drop_facts, pair_facts, scorer_facts, version_facts
from plad.report.guard import guard_facts, guard_verdict
from plad.report.length_charts import by_length_chart, length_chart
from plad.report.markdown import title
from plad.report.pages import asset, render_page
from plad.report.progress import Progress, steps, wins_so_far
from plad.report.quality import (
    calibration_facts,
    calibration_verdict,
    comparison_facts,
    doubt_facts,
    scorer_facts_beside,
)
from plad.report.quality_charts import calibration_chart, scorers_chart
from plad.report.read import RunFiles
from plad.report.rounds import rounds_facts, rounds_verdict
from plad.report.rounds_chart import rounds_chart
from plad.report.table import PageRow, reference_words, table_rows
from plad.report.verdict import support, trust, verdict


def render_html(run: RunFiles, progress: Progress | None = None) -> str:
    """The whole page; sections without content are left out.

    Args:
        progress: of a run that goes on, to make it a page that is watched.
    """
    about = {**_head(run), **_results(run), **_costs(run), **_numbers(run), **_examples(run), **_live(run, progress)}
    scripts = [asset(name) for name in ("report.js", *(["live.js"] if progress else []))]
    shown = [Markup(script) for script in scripts]
    return render_page("template.html.j2", scripts, progress.mark if progress else "", shown_scripts=shown, **about)


def _live(run: RunFiles, progress: Progress | None) -> dict[str, Any]:
    if progress is None:
        return {"progress": None, "steps": [], "wins_so_far": []}
    # Once there are results, they say it better.
    wins = [] if run.results else wins_so_far(progress, run)
    return {"progress": progress, "steps": steps(progress, run), "wins_so_far": wins}


def _head(run: RunFiles) -> dict[str, Any]:
    return {
        "title": title(run),
        "kicker": " · ".join(_kicker(run)),
        "verdict": verdict(run.results),
        "support": support(run.results),
        "cautions": cautions(run),
        "recipe": run.recipe,
    }


def _results(run: RunFiles) -> dict[str, Any]:
    results = run.results or {}
    rows = [
        PageRow(row.label, run.hue(row.name), row.cells, row.name == "teacher", row.parameters)
        for row in table_rows(results)
    ]
    cells = [(row.label, *(part for cell in row.cells for part in (cell.text, cell.interval))) for row in rows]
    heads = [part for cell in rows[0].cells for part in (cell.head, "95 % interval")] if rows else []
    return {
        "rows": rows,
        "n": results.get("n"),
        "reference_words": reference_words(results),
        "results_csv": csv_file("results", ["Model", *heads], cells),
        "results_json": json_file("results", results),
    }


def _costs(run: RunFiles) -> dict[str, Any]:
    costs = task_costs(run)
    columns = told(costs)
    rows = [(cost.name, *(cost.cells[k] for k in columns)) for cost in costs]
    heads = [COLUMNS[k] for k in columns]
    return {
        "headline": headline(run),
        "stage_costs": stage_costs(run),
        "costs": costs,
        "cost_columns": columns,
        "cost_heads": heads,
        "costs_csv": csv_file("cost", ["Task", *heads], rows),
    }


def _numbers(run: RunFiles) -> dict[str, Any]:
    results = run.results or {}
    return {
        "win_rates": win_rate_charts(run),
        "training": training_charts(run),
        "pairs": pair_facts(run),
        "drops": drop_facts(run),
        "audit": audit_facts(run),
        "audit_verdict": audit_verdict(run),
        "data": data_facts(run),
        "scorer": results.get("scorer") or {},
        "trust": trust(results),
        "accuracy": scorer_facts(run),
        "scorer_chart": scorer_chart(run),
        "doubts": doubt_facts(run),
        "comparisons": comparison_facts(run),
        "beside": scorer_facts_beside(run),
        "scorers_chart": scorers_chart(run),
        "diagnostics": diagnostic_rows(run),
        "diagnostics_note": ABOUT,
        "length_charts": [chart for chart in (length_chart(run), by_length_chart(run)) if chart],
        "calibration": calibration_facts(run),
        "calibration_verdict": calibration_verdict(run),
        "calibration_chart": calibration_chart(run),
        "rounds": rounds_facts(run),
        "rounds_verdict": rounds_verdict(run),
        "rounds_chart": rounds_chart(run),
        "guard": guard_facts(run),
        "guard_verdict": guard_verdict(run),
        "versions": version_facts(run),
    }


def _examples(run: RunFiles) -> dict[str, Any]:
    data, shown, found = payload(run)
    return {
        # Safe in a script element: every character that could end it is escaped within the JSON.
        "examples": Markup(data),
        "shown": shown,
        "found": found,
        "compares": {"student", run.subject} <= run.answers.keys(),
        "subject": run.label(run.subject),
    }


def _kicker(run: RunFiles) -> list[str]:
    manifest = run.manifest
    parts = [f"plad {manifest['plad']}" if "plad" in manifest else "plad"]
    parts += [f"seed {manifest['seed']}"] if "seed" in manifest else []
    return parts + ([str(manifest["created"])[:10]] if "created" in manifest else [])
