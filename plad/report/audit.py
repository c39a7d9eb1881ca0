"""The audit of the pairs: whether the teacher's answers are the better ones, and what was done where they are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plad.report.facts import Fact
from plad.report.numbers import count, with_interval
from plad.report.read import RunFiles

KINDS = {
    "informative": "Informative pairs",
    "prefix": "One answer is the beginning of the other",
    "near_duplicate": "Answers nearly alike",
}
DONE = {
    "keep": "all pairs were kept as they were",
    "flip": "{n} pairs were turned round",
    "drop": "{n} pairs were left out",
    "weight": "pairs were weighted by how sure their order is",
}


def audit_facts(run: RunFiles) -> list[Fact]:
    """P(teacher better) overall, by length and by kind of pair; and how many pairs there are of each kind."""
    found = _audit(run)
    if not found:
        return []
    facts = [
        Fact(
            "Teacher's answer is the better one",
            with_interval(found["teacher_better"]),
            note=_n_of(found["teacher_better"]),
        )
    ]
    for row in found["by_length"]:
        words = f"{row['from']} to {row['to']}" if row["from"] < row["to"] else str(row["from"])
        facts.append(Fact(f"… where it has {words} words", with_interval(row["win_rate"]), note=_n_of(row["win_rate"])))
    for kind, text in KINDS.items():
        if number := found["kinds"].get(kind):
            own = found["by_kind"].get(kind)
            note = f"teacher's better on {with_interval(own)}" if own else ""
            facts.append(Fact(text, count(number), note=note))
    return facts


def audit_verdict(run: RunFiles) -> str:
    """Who looked, what was done, and a warning where PLaD's premise is not shown."""
    found = _audit(run)
    if not found:
        return ""
    done = DONE[found["action"]].format(n=count(found["changed"]))
    told = [f"Audited by {found['scorer']}; {done}."]
    if found["judge"]:
        told.append("This is the judge of the evaluation too" + (_LEAK if found["action"] != "keep" else "."))
    return " ".join([*told, found["warning"] or ""]).strip()


_LEAK = ": training has learnt its taste, so that what it says of the student afterwards is no independent judgement."


def _audit(run: RunFiles) -> Mapping[str, Any]:
    return (run.pair_counts or {}).get("audit") or {}


def _n_of(estimate: Mapping[str, Any]) -> str:
    return f"n = {count(estimate['n'])}"
