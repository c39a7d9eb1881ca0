"""What a person sees while a run goes on: bars on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

Advance = Callable[[int, Mapping[str, float]], None]
"""Told how many are done by now, and what to show beside the bar."""


class Display(Protocol):
    """Where events go."""

    def say(self, text: str) -> None:
        """A line of text."""

    def event(self, kind: str, **fields: Any) -> None:
        """Something that happened, for machines; `kind` is task, skip, done, plan or table."""

    def bar(self, label: str, total: int | None) -> Any:
        """A context manager that yields an `Advance`."""


class Lines:
    """Plain lines, for a pipe or a log file: one when a long piece of work starts and one when it ends."""

    def say(self, text: str) -> None:
        print(text, flush=True)

    def event(self, kind: str, **fields: Any) -> None:
        pass

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Advance]:
        started = time.monotonic()
        shown: dict[str, float] = {}

        def advance(done: int, values: Mapping[str, float]) -> None:
            shown.update(values)

        yield advance
        told = "".join(f", {name} {value:.3g}" for name, value in shown.items())
        print(f"  {label}: {time.monotonic() - started:.0f} s{told}", flush=True)


class Bars:
    """Progress bars with rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=False, highlight=False)

    def say(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text))

    def event(self, kind: str, **fields: Any) -> None:
        pass

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Advance]:
        from rich import progress as rp

        columns = (
            rp.TextColumn("  {task.description:<26}"),
            rp.BarColumn(bar_width=24),
            rp.MofNCompleteColumn(),
            rp.TextColumn("{task.fields[rate]}"),
            rp.TimeElapsedColumn(),
            rp.TextColumn("left"),
            rp.TimeRemainingColumn(elapsed_when_finished=False),
            rp.TextColumn("{task.fields[values]}"),
        )
        with rp.Progress(*columns, console=self._console) as live:
            task = live.add_task(label, total=total, rate="", values="")

            def advance(done: int, values: Mapping[str, float]) -> None:
                speed = live.tasks[0].finished_speed or live.tasks[0].speed
                told = " ".join(f"{name} {value:.3g}" for name, value in values.items())
                live.update(task, completed=done, rate=f"{speed:.1f}/s" if speed else "", values=told)

            yield advance


class JsonLines:
    """One JSON object a line on standard output."""

    def say(self, text: str) -> None:
        self.event("message", text=text)

    def event(self, kind: str, **fields: Any) -> None:
        print(json.dumps({"event": kind, **fields}, default=list), flush=True)

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Advance]:
        last = [time.monotonic()]

        def advance(done: int, values: Mapping[str, float]) -> None:
            if time.monotonic() - last[0] >= 1 or done == total:
                last[0] = time.monotonic()
                self.event("progress", label=label, done=done, total=total, **values)

        yield advance


def choose_display(as_json: bool = False) -> Display:
    """Bars on a terminal, lines elsewhere."""
    if as_json:
        return JsonLines()
    return Bars() if sys.stdout.isatty() else Lines()
