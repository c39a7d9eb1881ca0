"""What a run took: time, tokens, money and memory, by stage and by task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from plad.report.facts import asked, kept
from plad.report.numbers import MISSING, count, duration, is_number
from plad.report.read import RunFiles

TRAINING = ("sft", "distill")
"""Stages whose tokens are those of training; those of the others are answers."""


@dataclass(frozen=True)
class Cost:
    """What a task, a stage or the whole run took; `share` is of the longest beside it. None is what was not told."""

    name: str
    seconds: float
    trained: int | None = None
    written: int | None = None
    money: float | None = None
    requests: int = 0
    memory: int | None = None
    notes: tuple[str, ...] = ()
    share: float = 0.0

    @property
    def cells(self) -> tuple[str, ...]:
        """As COLUMNS head them."""
        money = MISSING if self.money is None else f"{self.money:.4f}"
        memory = MISSING if self.memory is None else f"{self.memory / 1e9:.2f} GB"
        return (duration(self.seconds), count(self.trained), count(self.written), money, memory)


COLUMNS = ("Time", "Tokens trained on", "Tokens written", "Money", "Memory")


def task_costs(run: RunFiles) -> list[Cost]:
    """Of each task, in the order in which they ran."""
    return _shares([_of_task(name, record) for name, record in run.manifest.get("tasks", {}).items()])


def stage_costs(run: RunFiles) -> list[Cost]:
    """Of each stage, in the order in which they ran."""
    stages: dict[str, list[Cost]] = {}
    for cost in task_costs(run):
        stages.setdefault(cost.name.split("/")[0], []).append(cost)
    return _shares([_sum(name, costs) for name, costs in stages.items()])


def total_cost(run: RunFiles) -> Cost:
    """Of the whole run."""
    return _sum("Total", task_costs(run))


def told(costs: Iterable[Cost]) -> list[int]:
    """The places of the columns that hold anything."""
    cells = [cost.cells for cost in costs]
    return [k for k in range(len(COLUMNS)) if any(row[k] != MISSING for row in cells)]


def headline(run: RunFiles) -> list[tuple[str, str, str]]:
    """The totals as (name, value, note), for the eye that looks only once."""
    total = total_cost(run)
    told = [("Time", duration(total.seconds), "")] if total.seconds else []
    told += [("Tokens trained on", count(total.trained), "")] if total.trained is not None else []
    told += [("Tokens written", count(total.written), "")] if total.written is not None else []
    if total.money is not None:
        told.append(("Paid for in this run", f"{total.money:.4f}", f"{count(total.requests)} requests"))
    told += [("Most memory", f"{total.memory / 1e9:.2f} GB", "")] if total.memory is not None else []
    return told


def _of_task(name: str, record: Mapping[str, Any]) -> Cost:
    summary = record.get("summary") or {}
    tokens, seconds, paid = summary.get("tokens"), record.get("seconds"), summary.get("paid")
    trains = name.split("/")[0] in TRAINING
    return Cost(
        name,
        seconds if is_number(seconds) else 0.0,
        trained=tokens if trains else None,
        written=summary.get("drawn") if trains else tokens,
        money=paid["money"] if paid else None,
        requests=paid["requests"] if paid else 0,
        memory=summary.get("memory"),
        notes=(*asked(summary), *kept(summary)),
    )


def _sum(name: str, costs: Iterable[Cost]) -> Cost:
    costs = list(costs)
    return Cost(
        name,
        sum(cost.seconds for cost in costs),
        trained=_total(cost.trained for cost in costs),
        written=_total(cost.written for cost in costs),
        money=_total(cost.money for cost in costs),
        requests=sum(cost.requests for cost in costs),
        memory=max((cost.memory for cost in costs if cost.memory is not None), default=None),
    )


def _total(values: Iterable[Any]) -> Any:
    known = [value for value in values if is_number(value)]
    return sum(known) if known else None


def _shares(costs: list[Cost]) -> list[Cost]:
    longest = max((cost.seconds for cost in costs), default=0) or 1
    return [replace(cost, share=round(cost.seconds / longest, 4)) for cost in costs]
