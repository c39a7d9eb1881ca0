"""What is wrong with the outputs of each model, beside the human references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plad.report.numbers import MISSING, interval, is_number, percent
from plad.report.read import RunFiles
from plad.report.table import Cell, PageRow

HEADS = {
    "cut_off": "Cut off, %",
    "empty": "Empty, %",
    "repetition": "Repeats itself, %",
    "shared": "Same as to another prompt, %",
}
ABOUT = (
    "Repeats itself: runs of three words that the same output has had before (seq-rep-3). Small figures are 95 % "
    "intervals."
)


def diagnostic_rows(run: RunFiles) -> list[PageRow]:
    """A row of each model and of the references; none where a run has no such numbers."""
    return [
        PageRow(label, hue, tuple(_cell(head, _estimate(row, key)) for key, head in HEADS.items()))
        for hue, label, row in outputs_of(run)
    ]


def outputs_of(run: RunFiles) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(hue, label, row of the results) of each model, then of the references where they were measured."""
    results = run.results or {}
    rows = [(run.hue(row["name"]), run.label(row["name"]), row) for row in results.get("rows", ())]
    reference = results.get("reference")
    return [*rows, ("ink", "Human reference", reference)] if reference else []


def _estimate(row: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    if key != "cut_off":
        return row.get(key)
    whole = row.get("finished")
    if not whole or not is_number(whole.get("low")):
        return None
    return {"value": 1 - whole["value"], "low": 1 - whole["high"], "high": 1 - whole["low"]}


def _cell(head: str, estimate: Mapping[str, Any] | None) -> Cell:
    return Cell(head, percent(estimate["value"]), interval(estimate)) if estimate else Cell(head, MISSING)
