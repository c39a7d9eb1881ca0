"""What a run folder says of itself, by its files alone: which tasks are done, and what became of the next one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from plad.errors import PladError
from plad.runs import Run, fingerprint

State = Literal["not begun", "running", "killed", "stopped", "failed", "partly done", "finished"]


@dataclass(frozen=True)
class Status:
    """How far a run has come. `tasks` has the seconds of those that are done and None for the others, in order.

    `wins` are win rates by model, of what is evaluated so far: over the references and over the initial student.
    """

    folder: str
    state: State
    tasks: Mapping[str, float | None]
    wins: Mapping[str, Mapping[str, Any]]
    doing: str | None = None
    reason: str = ""
    edited: bool = False
    updated: str | None = None

    @property
    def done(self) -> int:
        """How many tasks are done."""
        return sum(seconds is not None for seconds in self.tasks.values())

    @property
    def stages(self) -> dict[str, dict[str, float | None]]:
        """The tasks by stage."""
        found: dict[str, dict[str, float | None]] = {}
        for task, seconds in self.tasks.items():
            found.setdefault(task.split("/")[0], {})[task] = seconds
        return found

    def to_json(self) -> dict[str, Any]:
        """As one object for machines."""
        return asdict(self) | {"done": self.done, "of": len(self.tasks)}


def status(folder: Path) -> Status:
    """The status of a run folder.

    Raises:
        PladError: there is no recipe in it, or its manifest is damaged.
    """
    run = Run(folder)
    if not run.path("recipe.yaml").is_file():
        raise PladError(f"a run folder has a recipe.yaml, but {folder} has none. `plad list` names the runs there are.")
    # Seen before the manifest is read: a process that ends in between leaves nothing unsaid.
    held = run.held
    manifest = run.manifest
    records = manifest.get("tasks", {})
    tasks = {name: records.get(name, {}).get("seconds") for name in manifest.get("plan", records)}
    doing = manifest.get("doing") or {}
    state = _state(held, tasks, doing)
    return Status(
        folder=str(folder),
        state=state,
        tasks=tasks,
        wins=_wins(run, records),
        doing=None if state == "finished" else doing.get("task"),
        reason=run.owner if held else doing.get("reason", ""),
        edited="recipe" in manifest and fingerprint(_recipe(run)) != manifest["recipe"],
        updated=max((record["finished"] for record in records.values()), default=None),
    )


def runs_below(folder: Path) -> Iterator[Path]:
    """The run folders in a folder, however deep; what is inside one of them is its own."""
    if (folder / "recipe.yaml").is_file():
        yield folder
        return
    for below in sorted(folder.iterdir()):
        if below.is_dir() and not below.name.startswith("."):
            yield from runs_below(below)


def _state(held: bool, tasks: Mapping[str, float | None], doing: Mapping[str, Any]) -> State:
    if held:
        return "running"
    if doing:
        # Only a process that was not given the time leaves a task under way without a reason.
        ended: State = doing.get("ended", "killed")
        return ended
    if not tasks or set(tasks.values()) == {None}:
        return "not begun"
    return "partly done" if None in tasks.values() else "finished"


def _recipe(run: Run) -> str:
    return run.path("recipe.yaml").read_text(encoding="utf-8")


def _wins(run: Run, records: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of the results where they are up to date, else of the models that were judged so far."""
    results = run.path("evaluation", "results.json")
    if "evaluate/results" in records and results.is_file():
        rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
        return {row["name"]: {"reference": row["win_rate"], "initial": row["against_initial"]} for row in rows}
    summaries = {name: record.get("summary") or {} for name, record in records.items()}
    return {
        name.removeprefix("evaluate/"): summary["wins"]
        for name, summary in summaries.items()
        if name.startswith("evaluate/") and "wins" in summary
    }
