"""Figure 5 of the paper: what the models answer, side by side, with the phrases of the source marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.evaluation.statistics import mean_over_seeds
from plad.progress import Display
from plad.records import EvalRow, Prompt, read_jsonl
from plad.report.read import hue_of
from plad.report.sheet import csv_text
from plad.runs import Run, write_json, write_text
from plad.studies.figures import Figure, Point, markdown_of, run_seeds
from plad.studies.table1 import collect

NOTE = "Answers to test prompts of the first seed, in the order of the test split, which is by chance."
SHARED = "Share of an answer's words that stand in phrases of three words or more which the source has too."


def case(recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display, examples: int = 8) -> dict[str, Any]:
    """case.html, with .svg, .md, .csv and .json: `examples` prompts side by side, and each model's share over all.

    Raises:
        PladError: what a run raises.
    """
    from plad.report.case import Case, marked, render_cases
    from plad.report.figure import standalone
    from plad.studies.figure_page import chart_of

    runs = run_seeds(recipe, folder, seeds, display)
    table = collect(runs)
    labels = {row["name"]: row["label"] for row in table["rows"]}
    hues = {name: hue_of(name, table["subject"], list(labels)) for name in labels}
    points = [
        Point(labels[name], hues[name], "all prompts", mean_over_seeds([_shares(run, name) for run in runs]).to_json())
        for name in labels
    ]
    figure = Figure(
        "case", "Phrases taken over from the source (Figure 5)", "", tuple(seeds), SHARED, tuple(points), None
    )
    answers = {name: _rows(runs[0], name) for name in labels}
    shown = [
        Case(
            prompt.id, prompt.text, _answers(prompt, {name: answers[name][prompt.id] for name in labels}, labels, hues)
        )
        for prompt in _prompts(runs[0])[:examples]
    ]
    chart = chart_of(figure)
    found = {**figure.to_json(), "examples": [one.identity for one in shown]}
    write_json(folder / "case.json", found)
    write_text(folder / "case.csv", _csv(_prompts(runs[0]), answers, marked))
    write_text(folder / "case.md", markdown_of(figure))
    write_text(folder / "case.svg", standalone(chart))
    write_text(folder / "case.html", render_cases(figure.title, NOTE, shown, chart, recipe.to_yaml()))
    return found


def _answers(
    prompt: Prompt, rows: Mapping[str, EvalRow], labels: Mapping[str, str], hues: Mapping[str, str]
) -> tuple[Any, ...]:
    """The reference's and each model's, cut where phrases of the source begin and end."""
    from plad.report.case import Answer, marked

    reference = Answer("Reference", "other", *marked(prompt.reference or "", prompt.text))
    given = (Answer(labels[name], hues[name], *marked(row.response, prompt.text)) for name, row in rows.items())
    return (reference, *given)


def _shares(run: Run, name: str) -> list[float]:
    """Per prompt; an answer without words shares nothing."""
    from plad.report.case import marked

    rows = _rows(run, name)
    counts = (marked(rows[prompt.id].response, prompt.text)[1:] for prompt in _prompts(run))
    return [shared / words if words else 0.0 for words, shared in counts]


def _csv(prompts: Sequence[Prompt], answers: Mapping[str, Mapping[str, EvalRow]], marked: Any) -> str:
    """One row an answer of the first seed."""
    lines: list[list[Any]] = [["id", "model", "response", "score", "words", "shared"]]
    for prompt in prompts:
        for name, rows in answers.items():
            row = rows[prompt.id]
            lines.append([prompt.id, name, row.response, row.score, *marked(row.response, prompt.text)[1:]])
    return csv_text(lines)


def _rows(run: Run, name: str) -> dict[str, EvalRow]:
    return {row.id: row for row in read_jsonl(run.path("evaluation", f"{name}.jsonl"), EvalRow)}


def _prompts(run: Run) -> list[Prompt]:
    """Those that were asked, which a recipe may take from another split than the test's."""
    asked = _rows(run, "student")
    known = {
        p.id: p for split in ("validation", "test") for p in read_jsonl(run.path("data", f"{split}.jsonl"), Prompt)
    }
    return [known[identity] for identity in asked]
