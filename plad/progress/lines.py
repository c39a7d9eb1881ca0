"""Plain lines, lines of JSON, and nothing at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Lines:
    """Plain lines, for a pipe or a log file: one when a long piece of work starts and one when it ends."""

    def say(self, text: str) -> None:
        print(text, flush=True)

    def event(self, kind: str, **fields: Any) -> None:
        if kind == "task":
            self.say(fields["name"])

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        started = time.monotonic()
        shown: dict[str, float] = {}

        def advance(done: int, values: Mapping[str, float], total: int | None = None) -> None:
            shown.update(values)

        yield advance
        told = "".join(f", {name} {value:.3g}" for name, value in shown.items())
        print(f"  {label}: {time.monotonic() - started:.0f} s{told}", flush=True)


class JsonLines:
    """One JSON object a line on standard output."""

    def say(self, text: str) -> None:
        self.event("message", text=text)

    def event(self, kind: str, **fields: Any) -> None:
        print(json.dumps({"event": kind, **fields}, default=list), flush=True)

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        last, known = [time.monotonic()], total

        def advance(done: int, values: Mapping[str, float], total: int | None = None) -> None:
            whole = total or known
            if time.monotonic() - last[0] >= 1 or done == whole:
                last[0] = time.monotonic()
                self.event("progress", label=label, done=done, total=whole, **values)

        yield advance


class Silent:
    """Nothing: of several processes all but one, or where nobody looks."""

    def say(self, text: str) -> None: ...

    def event(self, kind: str, **fields: Any) -> None: ...

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Callable[..., None]]:
        yield lambda done, values, total=None: None
