"""What a task of a run is, and its fingerprint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plad import stages
from plad.runs import fingerprint

STAGES = ("prepare", "sft", "sample", "pair", "distill", "evaluate", "report")


FORMAT = 2
"""Raised when a stage comes to write something else for the same recipe. A run folder records the one it is of."""


@dataclass(frozen=True)
class Task:
    """One resumable piece of work."""

    name: str
    work: stages.Stage
    settings: Mapping[str, Any]
    after: tuple[str, ...]
    outputs: tuple[str, ...]
    trains: bool = False
    """Whether it is one of those that several processes do where the recipe says so."""
    handed_on: Mapping[str, Any] | None = None
    """What of its settings every task depends on that follows it; all of them where None."""

    @property
    def stage(self) -> str:
        """The stage it belongs to."""
        return self.name.split("/")[0]


def fingerprints(tasks: Iterable[Task], seed: int) -> dict[str, str]:
    """The fingerprint of each task."""
    found: dict[str, str] = {}
    handed_on: dict[str, str] = {}
    for task in tasks:
        follows = {name: handed_on[name] for name in task.after}
        found[task.name], handed_on[task.name] = (
            fingerprint([FORMAT, seed, task.name, settings, follows])
            for settings in (task.settings, task.settings if task.handed_on is None else task.handed_on)
        )
    return found


def task_of(name: str, work: stages.Stage, settings: Mapping[str, Any], after: list[str], *outputs: str) -> Task:
    """A task by what it is called, does, depends on, follows and leaves in the run folder."""
    return Task(name, work, settings, tuple(after), outputs)
