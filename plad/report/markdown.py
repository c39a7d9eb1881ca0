"""`report.md`: the run on one page of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plad.report.audit import audit_facts, audit_verdict
from plad.report.cautions import cautions
from plad.report.citation import CITATION, PAPER
from plad.report.costs import COLUMNS, headline, task_costs, told
from plad.report.diagnostics import ABOUT, diagnostic_rows
from plad.report.examples import Example, Examples, few
from plad.report.facts import (
    Fact,
    data_facts,
    drop_facts,
    pair_facts,
    scorer_facts,
    version_facts,
)
from plad.report.guard import guard_facts, guard_verdict
from plad.report.numbers import interval, percent
from plad.report.quality import (
    calibration_facts,
    calibration_verdict,
    comparison_facts,
    doubt_facts,
    scorer_facts_beside,
)
from plad.report.read import RunFiles
from plad.report.rounds import rounds_facts, rounds_verdict
from plad.report.table import Cell, reference_words, table_rows
from plad.report.verdict import support, trust, verdict


def markdown_table(results: Mapping[str, Any]) -> str:
    """The rows of results.json as a Markdown table: intervals in brackets, the best student bold."""
    rows = table_rows(results)
    heads = [cell.head for cell in rows[0].cells] if rows else []
    lines = [_line(["Model", "Parameters", *heads]), _line(["---", *["--:"] * (len(heads) + 1)])]
    lines += [_line([_inline(row.label), row.parameters, *map(_value, row.cells)]) for row in rows]
    return "\n".join(lines) + "\n"


def render_markdown(run: RunFiles) -> str:
    """The whole report; sections without content are left out."""
    parts = [
        f"# {title(run)}",
        f"**{verdict(run.results)}**",
        "\n".join(f"- {line}" for line in support(run.results)),
        _results(run),
    ]
    parts += _section("Warnings", "\n".join(f"- {_inline(line)}" for line in cautions(run)))
    parts += _section("What it cost", *_costs(run))
    parts += _section("Methods compared, paired by prompt", _facts(comparison_facts(run)))
    parts += _section("Other scorers on the same outputs", _beside(run), _facts(scorer_facts_beside(run)))
    parts += _section("Length and repetition", *_diagnostics(run))
    parts += _section("Does likelihood track quality?", calibration_verdict(run), _facts(calibration_facts(run)))
    rounds = _facts(rounds_facts(run), ("Wins over the reference, validation split", "%"))
    parts += _section("Rounds", rounds_verdict(run), rounds)
    parts += _section("Collapse guard", _inline(guard_verdict(run)), _facts(guard_facts(run)))
    parts += _section("Preference pairs", _facts(pair_facts(run)), _drops(run))
    parts += _section("The pairs audited", _inline(audit_verdict(run)), _facts(audit_facts(run)))
    parts += _section("The scorer's own accuracy", _scorer(run))
    parts += _section("Data", _facts(data_facts(run)))
    parts += _section("Examples", *_examples(run))
    parts += _section("Recipe", fenced(run.recipe, "yaml"))
    parts += _section("Versions", _facts(version_facts(run)))
    parts += _section("Citation", PAPER, fenced(CITATION, "bibtex"))
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def title(run: RunFiles) -> str:
    """The page's heading. The folder's name isn't in it: equal runs give equal reports."""
    task = (run.results or {}).get("task")
    return f"Distillation report: {task}" if task else "Distillation report"


def fenced(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any in `text`, so that no output can break out of it."""
    longest = max((len(ticks) for ticks in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _results(run: RunFiles) -> str:
    if not run.results or not run.results.get("rows"):
        return ""
    words = reference_words(run.results)
    length = f" The human references have {words.text} words on average." if words else ""
    return f"{markdown_table(run.results)}\n95 % intervals in brackets; the best student is bold.{length}"


def _section(heading: str, *bodies: str) -> list[str]:
    return [f"## {heading}", *bodies] if any(bodies) else []


def _facts(facts: Sequence[Fact], heads: Iterable[str] = ("", "")) -> str:
    if not facts:
        return ""
    rows = [_line([_inline(fact.name), _inline(" · ".join(filter(None, (fact.value, fact.note))))]) for fact in facts]
    return "\n".join([_line(heads), _line(["---", "--:"]), *rows])


def _costs(run: RunFiles) -> list[str]:
    """The totals, then each task. How much memory it held differs from run to run, and is left to the page."""
    costs = task_costs(run)
    columns = [k for k in told(costs) if COLUMNS[k] != "Memory"]
    lines = [_line(["Task", *(COLUMNS[k] for k in columns), ""]), _line(["---", *["--:"] * len(columns), "---"])]
    for cost in costs:
        cells = [cost.cells[k] for k in columns]
        lines.append(_line([_inline(cost.name), *cells, _inline(" · ".join(cost.notes))]))
    totals = [Fact(name, value, note=note) for name, value, note in headline(run) if name != "Most memory"]
    return [_facts(totals), "\n".join(lines)] if totals else []


def _diagnostics(run: RunFiles) -> list[str]:
    rows = diagnostic_rows(run)
    if not rows:
        return []
    heads = [cell.head for cell in rows[0].cells]
    lines = [_line(["Outputs of", *heads]), _line(["---", *["--:"] * len(heads)])]
    return ["\n".join([*lines, *(_line([_inline(row.label), *map(_value, row.cells)]) for row in rows)]), ABOUT]


def _drops(run: RunFiles) -> str:
    return _facts(drop_facts(run), ("Dropped because", "prompts"))


def _scorer(run: RunFiles) -> str:
    scorer = (run.results or {}).get("scorer") or {}
    about = ": ".join(_inline(scorer[key]) for key in ("name", "description") if scorer.get(key))
    accuracy = _facts(scorer_facts(run), ("Kind of pair", "right"))
    return "\n\n".join(filter(None, (about, _inline(trust(run.results)), _facts(doubt_facts(run)), accuracy)))


def _beside(run: RunFiles) -> str:
    """Wins against the initial student under each scorer."""
    found = [(scorer["name"], scorer["rows"]) for scorer in (run.results or {}).get("scorers", ())]
    models = dict.fromkeys(row["name"] for _, rows in found for row in rows if row.get("against_initial"))
    lines = []
    for name, rows in found:
        by_model = {row["name"]: row["against_initial"] for row in rows}
        cells = [f"{percent(by_model[model]['value'])} ({interval(by_model[model])})" for model in models]
        lines.append(_line([_inline(name), *cells]))
    if not lines:
        return ""
    heads = ["Wins vs. initial, %", *(_inline(run.label(model)) for model in models)]
    return "\n".join([_line(heads), _line(["---", *["--:"] * len(models)]), *lines])


def _examples(run: RunFiles) -> list[str]:
    return [_example(run, example) for example in few(Examples(run))]


def _example(run: RunFiles, example: Example) -> str:
    parts = [f"### {_inline(example.prompt.id)}", "Prompt", fenced(example.prompt.text)]
    if example.prompt.reference is not None:
        parts += ["Reference", fenced(example.prompt.reference)]
    for name, row in example.answers.items():
        parts += [f"{_inline(run.label(name))} (score {row.score:.3f})", fenced(row.response)]
    return "\n\n".join(parts)


def _value(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else cell.text
    return f"{text} ({cell.interval})" if cell.interval else text


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _inline(text: Any) -> str:
    # What Markdown or the HTML in it would read as more than text.
    return re.sub(r"([\\`*_{}\[\]<>|#&])", r"\\\1", " ".join(str(text).split()))
