"""The live view of a run on a terminal: a row a stage, and below it what is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from rich import progress as rp
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from plad.progress.terminal import console

MARKS = {"done": ("✓", "green"), "doing": ("●", "cyan"), "failed": ("✗", "red"), "to do": ("·", "dim")}

NARROW = 100
"""Columns of a terminal below which bars and what they are called are short."""

LABEL = 30
"""Columns of what a bar is called."""


@dataclass
class Stage:
    """The tasks of a stage, and what came of those that are done."""

    tasks: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)
    heading: str = ""
    seconds: float = 0.0
    begun: float | None = None
    failed: bool = False

    @property
    def state(self) -> str:
        """A key of `MARKS`."""
        if self.failed:
            return "failed"
        if self.begun is not None:
            return "doing"
        return "done" if self.done.issuperset(self.tasks) else "to do"


class Board:
    """Stages with their marks, times and numbers so far; bars with rate and time left."""

    def __init__(self) -> None:
        self._console = console()
        self._stages: dict[str, Stage] = {}
        self._bars = rp.Progress(*_columns(self._console.width), console=self._console)
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """A line above the board."""
        self._console.print(Text(text))

    def event(self, kind: str, **fields: Any) -> None:
        """What a run tells of its tasks."""
        match kind:
            case "plan":
                self._plan(fields["tasks"], fields["todo"])
            case "task":
                self._stage(fields["name"]).begun = time.monotonic()
            case "done":
                self._done(fields["name"], fields["seconds"], fields["summary"])
            case "taken":
                self._stage(fields["name"]).done.add(fields["name"])
            case "end":
                self._end(fields.get("failed"))

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        """A bar below the stages. Without a run it stands alone and stays when it is full."""
        alone = self._live is None
        if alone:
            self._show()
        room = LABEL if self._console.width >= NARROW else LABEL - 8
        task = self._bars.add_task("", total=total, label="  " + _cut(label, room), rate=0.0, values="")
        started, first = time.monotonic(), [-1]

        def advance(done: int, values: Mapping[str, float], total: int | None = None) -> None:
            # Over all of the time, since answers come in batches; what an earlier process did is no speed of this one.
            first[0] = done if first[0] < 0 else first[0]
            rate = (done - first[0]) / max(time.monotonic() - started, 1e-9)
            self._bars.update(task, completed=done, total=total, rate=rate, values=_numbers(values))

        try:
            yield advance
        finally:
            if alone:
                self._hide()
            self._bars.remove_task(task)

    def view(self) -> RenderableType:
        """The rows of the stages and the bars."""
        table = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(4):
            table.add_column(no_wrap=True)
        table.add_column()  # gives way where there is no room
        for name, stage in self._stages.items():
            table.add_row(*_row(name, stage))
        return Group(table, self._bars) if self._bars.tasks else table

    def _plan(self, tasks: Sequence[str], todo: Sequence[str]) -> None:
        self._stages = {}
        for name in tasks:
            self._stage(name).tasks.append(name)
            if name not in todo:
                self._stage(name).done.add(name)
        if todo:
            self._show()

    def _stage(self, task: str) -> Stage:
        return self._stages.setdefault(task.split("/")[0], Stage())

    def _done(self, task: str, seconds: float, summary: Mapping[str, Any]) -> None:
        stage = self._stage(task)
        stage.done.add(task)
        stage.seconds += seconds
        stage.begun = None
        heading, told = outcome(summary)
        if told:
            # Numbers of another kind do not stand beside these.
            stage.told = stage.told if stage.heading == heading else {}
            stage.heading = heading
            stage.told[task.partition("/")[2]] = told

    def _end(self, failed: str | None) -> None:
        if failed in {task for stage in self._stages.values() for task in stage.tasks}:
            stage = self._stage(str(failed))
            stage.failed = True
            stage.seconds += time.monotonic() - (stage.begun or time.monotonic())
        self._hide()

    def _show(self) -> None:
        self._live = Live(get_renderable=self.view, console=self._console, refresh_per_second=4)
        self._live.start()

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = None


def outcome(summary: Mapping[str, Any]) -> tuple[str, str]:
    """The one number of a task that is worth a look while the run goes on, and what it is."""
    wins = summary.get("wins") or {}
    for other in ("initial", "reference"):
        if wins.get(other):
            who = "the initial student" if other == "initial" else "the references"
            return f"wins over {who}", f"{100 * wins[other]['value']:.1f} %"
    if "made" in summary and "prompts" in summary:
        return "pairs", f"{summary['made']:,} of {summary['prompts']:,} prompts"
    return ("loss", f"{summary['loss']:.3g}") if "loss" in summary else ("", "")


def _row(name: str, stage: Stage) -> tuple[RenderableType, ...]:
    mark, style = MARKS[stage.state]
    spent = stage.seconds
    if stage.begun is not None and not stage.failed:
        spent += time.monotonic() - stage.begun
    left = f"{len(stage.done)}/{len(stage.tasks)}" if stage.state in ("doing", "failed") else ""
    kept = "kept" if stage.state == "done" and not spent else ""
    told = ", ".join(f"{key} {value}".strip() for key, value in stage.told.items())
    return (
        Text(mark, style),
        Text(name, "dim" if stage.state == "to do" else ""),
        Text(left),
        Text(_clock(spent) if spent else kept, "dim", justify="right"),
        _fitted(f"{stage.heading}: {told}" if told else ""),
    )


def _fitted(text: str) -> Text:
    """Text of one line that is cut where there is no room for all of it."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _clock(seconds: float) -> str:
    """`0:04:12`."""
    return str(timedelta(seconds=int(seconds)))


class _Count(rp.ProgressColumn):
    """How many are done, and of how many where that is known."""

    def render(self, task: rp.Task) -> Text:
        if task.total:
            return Text(f"{task.completed:.0f}/{task.total:.0f}")
        return Text(f"{task.completed:.0f}" if task.completed else "")


class _Rate(rp.ProgressColumn):
    """How many a second."""

    def render(self, task: rp.Task) -> Text:
        rate = task.fields["rate"]
        return Text(f"{rate:.1f}/s" if rate else "")


class _Left(rp.ProgressColumn):
    """The time left, where it is known."""

    def render(self, task: rp.Task) -> Text:
        rate = task.fields["rate"]
        return Text(f"{_clock((task.total - task.completed) / rate)} left" if task.total and rate else "")


class _Field(rp.ProgressColumn):
    """Something that is told of a bar, cut where there is no room for it."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def render(self, task: rp.Task) -> Text:
        # Text in place of markup: a label holds names that users chose.
        return _fitted(str(task.fields[self.name]))


def _columns(width: int) -> list[rp.ProgressColumn]:
    whole = Column(no_wrap=True)
    bar = rp.BarColumn(bar_width=24 if width >= NARROW else 8, table_column=whole)
    return [
        _Field("label"),
        bar,
        _Count(whole),
        _Rate(whole),
        _Left(whole),
        _Field("values"),
    ]


def _cut(label: str, room: int) -> str:
    text = Text(label)
    text.truncate(room, overflow="ellipsis")
    return text.plain


def _numbers(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.3g}" for name, value in values.items())
