"""`report.html`: one file that needs no network, with its style, script, charts and examples inside."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from plad.report.audit import audit_facts, audit_verdict
from plad.report.charts import scorer_chart, training_charts, win_rate_charts
from plad.report.citation import CITATION, PAPER
from plad.report.examples import payload
from plad.report.facts import (
    cost_facts,
    data_facts,
    drop_facts,
    pair_facts,
    scorer_facts,
    time_facts,
    total_time,
    version_facts,
)
from plad.report.guard import guard_facts, guard_verdict
from plad.report.markdown import title
from plad.report.numbers import count
from plad.report.quality import (
    calibration_facts,
    calibration_verdict,
    comparison_facts,
    doubt_facts,
    scorer_facts_beside,
)
from plad.report.quality_charts import calibration_chart, scorer_charts
from plad.report.read import RunFiles
from plad.report.rounds import rounds_facts, rounds_verdict
from plad.report.rounds_chart import rounds_chart
from plad.report.table import reference_words, table_rows
from plad.report.verdict import support, verdict


def render_html(run: RunFiles) -> str:
    """The whole page; sections without content are left out."""
    return page_template("template.html.j2").render(**_head(run), **_numbers(run), **_examples(run)) + "\n"


def page_template(name: str) -> Template:
    """One of this folder's templates, in which whatever a run holds is text."""
    load = FunctionLoader(asset)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=load
    )
    environment.filters["together"] = _together
    environment.filters["count"] = count
    return environment.get_template(name)


def _head(run: RunFiles) -> dict[str, Any]:
    script = asset("report.js")
    return {
        "title": title(run),
        "kicker": " · ".join(_kicker(run)),
        "verdict": verdict(run.results),
        "support": support(run.results),
        # Our own two files, as opposed to anything of the run's, may go in as they are.
        "style": Markup(asset("report.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "citation": CITATION,
        "paper": PAPER,
        "recipe": run.recipe,
    }


def _numbers(run: RunFiles) -> dict[str, Any]:
    results = run.results or {}
    return {
        "rows": table_rows(results),
        "hue": run.hue,
        "n": results.get("n"),
        "reference_words": reference_words(results),
        "win_rates": win_rate_charts(run),
        "training": training_charts(run),
        "pairs": pair_facts(run),
        "drops": drop_facts(run),
        "audit": audit_facts(run),
        "audit_verdict": audit_verdict(run),
        "data": data_facts(run),
        "scorer": results.get("scorer") or {},
        "accuracy": scorer_facts(run),
        "scorer_chart": scorer_chart(run),
        "doubts": doubt_facts(run),
        "comparisons": comparison_facts(run),
        "beside": scorer_facts_beside(run),
        "scorer_charts": scorer_charts(run),
        "calibration": calibration_facts(run),
        "calibration_verdict": calibration_verdict(run),
        "calibration_chart": calibration_chart(run),
        "rounds": rounds_facts(run),
        "rounds_verdict": rounds_verdict(run),
        "rounds_chart": rounds_chart(run),
        "guard": guard_facts(run),
        "guard_verdict": guard_verdict(run),
        "costs": cost_facts(run),
        "times": time_facts(run),
        "total_time": total_time(run),
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


def _together(text: str) -> str:
    # A line must not break between a number and its percent sign.
    return text.replace(" %", "\u00a0%")


def asset(name: str) -> str:
    """The text of a file of this folder."""
    return files("plad.report").joinpath(name).read_text(encoding="utf-8")
