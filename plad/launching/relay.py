"""What processes that train tell the run that started them: lines of JSON, and whatever else libraries print."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from plad import errors
from plad.errors import PladError
from plad.progress import Display

Event = Mapping[str, Any]


class Relay:
    """Shows what the processes tell, and keeps what came of them.

    Attributes:
        first: the process id of the first, which is to be told of Ctrl-C.
        summary: what the task came to.
    """

    def __init__(self, display: Display):
        self.display = display
        self.first: int | None = None
        self.summary: dict[str, Any] | None = None
        self.interrupted = False
        self.errors: list[Event] = []
        self.deaths: list[Event] = []
        self._bar: tuple[str, Any] = ("", None)
        self._open = ExitStack()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def hear(self, line: str) -> None:
        """One line of what the processes print."""
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, TypeError, KeyError):
            print(line, end="", file=sys.stderr, flush=True)
            return
        match kind:
            case "message":
                self.display.say(event["text"])
            case "progress":
                self._advance(event)
            case "process":
                self.first = event["id"]
            case "summary":
                self.summary = event["summary"]
            case "interrupted":
                self.interrupted = True
            case "error":
                self.errors.append(event)
            case "ended":
                self.deaths = event["failures"]

    def _advance(self, event: Event) -> None:
        label, done, total = event["label"], event["done"], event["total"]
        if label != self._bar[0]:
            self._open.close()
            self._bar = (label, self._open.enter_context(self.display.bar(label, total)))
        values = {name: value for name, value in event.items() if name not in ("event", "label", "done", "total")}
        self._bar[1](done, values, total)

    def failure(self, processes: int) -> BaseException:
        """Why there is no summary. A process that dies takes others with it, whose errors say nothing of why."""
        if self.interrupted:
            return KeyboardInterrupt()
        killed = [death for death in self.deaths if death["code"] < 0 and death["code"] != -signal.SIGTERM]
        if killed:
            return _killed(killed[0], processes)
        ours = [error for error in self.errors if hasattr(errors, error["kind"])]
        if ours:
            kind: type[Exception] = getattr(errors, ours[0]["kind"])
            return kind(ours[0]["text"])
        if self.errors:
            return _unforeseen(self.errors[0], processes)
        return PladError(
            f"training in {processes} processes ended, and none of them told why. What they printed may say. "
            "The same command continues from the last checkpoint."
        )


def _killed(death: Event, processes: int) -> PladError:
    name = signal.Signals(-death["code"]).name
    memory = "; out of memory is the usual reason, so lower device_tokens" if name == "SIGKILL" else ""
    return PladError(
        f"training needs all of its {processes} processes, but process {death['process']} was ended by {name}{memory}. "
        "The same command continues from the last checkpoint."
    )


def _unforeseen(error: Event, processes: int) -> RuntimeError:
    found = RuntimeError(f"process {error['process']} of {processes}: {error['kind']}: {error['text']}")
    found.add_note(error["trace"])
    return found
