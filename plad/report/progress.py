"""How far a run has come, for a page that is looked at while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plad.report.numbers import count, duration, interval, is_number, percent
from plad.report.read import RunFiles
from plad.report.table import Cell, PageRow


@dataclass(frozen=True)
class Progress:
    """The state of a run. `tasks` has the seconds of those that are done and None for the others, in order.

    `doing` is the task under way, or the one that came to no result; `wins` has the win rates of the models that were
    judged so far, over the references and over the initial student; `mark` names what the page was made of.
    """

    mark: str
    state: str
    tasks: Mapping[str, float | None]
    doing: str | None = None
    reason: str = ""
    wins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """`running · distill/plad · 12 of 20 tasks done`."""
        done = sum(seconds is not None for seconds in self.tasks.values())
        parts = [self.state, self.doing, f"{done} of {len(self.tasks)} tasks done" if self.tasks else None]
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True)
class Step:
    """A task as it is shown: `state` is done, to do, or that of the run for the task under way."""

    name: str
    state: str
    note: str = ""


def steps(progress: Progress, run: RunFiles) -> list[Step]:
    """Each task of the run, in order."""
    found = []
    for name, seconds in progress.tasks.items():
        if name == progress.doing:
            found.append(Step(name, progress.state, _under_way(name, run)))
        else:
            found.append(Step(name, "to do") if seconds is None else Step(name, "done", duration(seconds)))
    return found


def wins_so_far(progress: Progress, run: RunFiles) -> list[PageRow]:
    """The win rates of the models that were judged so far."""
    heads = {"reference": "Wins vs. reference, %", "initial": "Wins vs. initial, %"}
    return [
        PageRow(
            run.label(name),
            run.hue(name),
            tuple(
                Cell(head, percent(found[key]["value"]), interval(found[key])) if found.get(key) else Cell(head, "–")
                for key, head in heads.items()
            ),
        )
        for name, found in progress.wins.items()
    ]


def _under_way(task: str, run: RunFiles) -> str:
    """`step 120, loss 3.912`, of a training that has logged something."""
    rows = [row for row in run.histories.get(task.split("/")[-1], ()) if is_number(row.get("loss"))]
    return f"step {count(rows[-1].get('step'))}, loss {rows[-1]['loss']:.3f}" if rows else ""
