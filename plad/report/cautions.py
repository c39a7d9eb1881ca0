"""Warnings in words: what in the files of a run speaks against its numbers, or against the run."""

from __future__ import annotations

from collections.abc import Sequence

from plad.report.numbers import count, is_number, percent, with_interval
from plad.report.read import Json, RunFiles

FEW = 100
"""Test prompts under which an interval is wider than most differences."""
DROPPED = 0.25
"""The share of prompts without a pair that is worth a sentence."""
FAULTS = {
    "cut_off": ("Outputs cut off at the token limit", 0.05),
    "repetition": ("Runs of three words that the same output has had before", 0.05),
    "shared": ("Answers that another prompt got too, word for word", 0.10),
}
"""What outputs may suffer from, and the share beyond the references' own that is worth a sentence."""
OWN = ("cut_off", "repetition")
"""Told here of the initial student alone: in what others differ from it, evaluation has a sentence and a remedy."""


def cautions(run: RunFiles) -> list[str]:
    """Sentences, the most general first; none where nothing is wrong."""
    results = run.results or {}
    rows = [row for row in results.get("rows", ()) if row["name"] != "teacher"]
    told = [*_few(results), *_nothing_to_learn(results), *results.get("warnings", ()), *_judge(results)]
    told += _outputs(run, rows, results.get("reference") or {})
    return told + _premise(run) + _dropped(run) + _collapsed(run)


def _few(results: Json) -> list[str]:
    n = results.get("n")
    return [f"Only {n} test prompts: most differences between methods are smaller than such intervals."] * (
        is_number(n) and n < FEW
    )


def _nothing_to_learn(results: Json) -> list[str]:
    gap = results.get("teacher_student") or {}
    if not is_number(gap.get("low")) or gap["low"] > 0.5:
        return []
    return [
        f"The teacher wins over the initial student on {with_interval(gap)} only: it is not shown to be better, and "
        "then many pairs prefer the worse answer."
    ]


def _judge(results: Json) -> list[str]:
    """Kinds of held-out pairs on which the judge is not shown to be better than a rule that looks at length alone."""
    rows = {str(row["kind"]): row for row in (results.get("scorer") or {}).get("accuracy", ())}
    control = rows.pop("length control", None)
    bar = max(0.5, control["value"]) if control else 0.5
    weak = {kind: row for kind, row in rows.items() if is_number(row.get("low")) and row["low"] <= bar}
    rule = "than a rule that looks at length alone" if bar > 0.5 else "than chance"
    return [
        f"The judge is right on {with_interval(row)} of held-out pairs of the kind “{kind.replace('_', ' ')}”: not "
        f"shown to be better {rule}."
        for kind, row in weak.items()
    ]


def _outputs(run: RunFiles, rows: Sequence[Json], reference: Json) -> list[str]:
    """What is wrong with whose outputs, a sentence a fault."""
    told = []
    for key, (what, bar) in FAULTS.items():
        meant = [row for row in rows if key not in OWN or row["name"] == "student"]
        found = {run.label(row["name"]): _share(row, key) for row in meant}
        usual = bar + _share(reference, key)
        above = [f"{label} {percent(share)} %" for label, share in found.items() if share > usual]
        told += [f"{what}: {', '.join(above)}."] if above else []
    return told


def _premise(run: RunFiles) -> list[str]:
    """What the audit of the pairs says against their order."""
    warning = ((run.pair_counts or {}).get("audit") or {}).get("warning")
    return [str(warning)] if warning else []


def _dropped(run: RunFiles) -> list[str]:
    counts = run.pair_counts or {}
    dropped, prompts = sum(counts.get("dropped", {}).values()), counts.get("prompts")
    if not prompts or dropped <= DROPPED * prompts:
        return []
    share = percent(dropped / prompts)
    return [f"{count(dropped)} of {count(prompts)} prompts ({share} %) gave no pair; the reasons are below."]


def _collapsed(run: RunFiles) -> list[str]:
    """What the guard saw of each student, at the last look at which it saw anything."""
    seen = {name: [record for record in records if record.get("signs")] for name, records in run.guards.items()}
    return [
        f"{run.label(name)} showed signs of collapse in training: {'; '.join(records[-1]['signs'])}."
        for name, records in seen.items()
        if records
    ]


def _value(row: Json, key: str) -> float | None:
    value = (row.get(key) or {}).get("value")
    return value if is_number(value) else None


def _share(row: Json, key: str) -> float:
    if key != "cut_off":
        return _value(row, key) or 0.0
    whole = _value(row, "finished")
    return 0.0 if whole is None else 1 - whole
