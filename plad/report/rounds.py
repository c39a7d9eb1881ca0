"""PLaD in rounds: what each was worth on the validation split, and why they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.report.facts import Fact
from plad.report.numbers import count, plain, with_interval
from plad.report.read import RunFiles


def rounds_facts(run: RunFiles) -> list[Fact]:
    """A line a round, and which was kept."""
    facts = []
    for row in rounds_rows(run):
        name = f"Round {row['round']}" if row["round"] else "Initial student"
        note = f"{count(row['pairs'])} pairs · " if row["round"] else ""
        facts.append(Fact(name, with_interval(row["win_rate"]), note=f"{note}{plain(row['words']['value'])} words"))
    return facts


def rounds_verdict(run: RunFiles) -> str:
    """Which round was kept and why there was no other, in a sentence."""
    rows = rounds_rows(run)
    if not rows:
        return ""
    why = rows[-1].get("why") or "the recipe allows no more"
    last = rows[-1]["round"]
    ended = f"The rounds ended after {last} of them, since {why}." if last > 1 else f"There was one round, since {why}."
    return f"{ended} The student of round {(run.rounds or {}).get('kept')} was kept."


def rounds_rows(run: RunFiles) -> Sequence[Mapping[str, Any]]:
    """What rounds.json holds of each, the initial student first."""
    return (run.rounds or {}).get("rounds", ())
