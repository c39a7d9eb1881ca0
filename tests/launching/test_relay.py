"""What processes tell becomes a display's lines and bars, and of several errors the one that says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tiny_run import Recorder

from plad.errors import DivergedError, PladError
from plad.launching.relay import Relay


class Bars(Recorder):
    """Keeps what bars show, and when they close."""

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Any]:
        yield lambda done, values, total=None: self.lines.append(f"{label} {done}/{total} {values}")
        self.lines.append(f"{label} closed")


def heard(*events: dict[str, Any]) -> Relay:
    with Relay(Recorder()) as relay:
        for event in events:
            relay.hear(json.dumps(event) + "\n")
    return relay


def error(process: int, kind: str, text: str = "so") -> dict[str, Any]:
    return {"event": "error", "process": process, "kind": kind, "text": text, "trace": "where"}


def ended(*codes: tuple[int, int]) -> dict[str, Any]:
    return {"event": "ended", "failures": [{"process": process, "code": code} for process, code in codes]}


def test_a_display_is_told_as_if_the_task_ran_here(capfd: pytest.CaptureFixture[str]) -> None:
    display = Bars()
    with Relay(display) as relay:
        relay.hear('{"event": "process", "id": 7}\n')
        relay.hear('{"event": "progress", "label": "training a", "done": 1, "total": 3, "loss": 0.5}\n')
        relay.hear('{"event": "message", "text": "  a: mind this"}\n')
        relay.hear("a library's own line\n")
        relay.hear('["not", "ours"]\n')
        relay.hear('{"event": "progress", "label": "training b", "done": 2, "total": null}\n')
        relay.hear('{"event": "summary", "summary": {"loss": 1}}\n')
    assert display.lines == [
        "training a 1/3 {'loss': 0.5}",
        "  a: mind this",
        "training a closed",
        "training b 2/None {}",
        "training b closed",
    ]
    assert (relay.first, relay.summary) == (7, {"loss": 1})
    assert capfd.readouterr().err == "a library's own line\n" + '["not", "ours"]\n'


def test_a_killed_process_is_why_others_lost_their_connection() -> None:
    relay = heard(error(0, "RuntimeError", "Connection closed by peer"), ended((1, -9), (0, 1)))
    found = relay.failure(2)
    assert isinstance(found, PladError)
    assert "all of its 2 processes, but process 1 was ended by SIGKILL; out of memory is the usual reason" in str(found)
    crashed = str(heard(ended((0, -11))).failure(2))
    assert "process 0 was ended by SIGSEGV. The same command continues" in crashed


def test_what_a_user_can_mend_comes_before_what_it_did_to_others() -> None:
    relay = heard(error(0, "RuntimeError", "timed out"), error(1, "DivergedError", "lower it"), ended((1, 1), (0, -15)))
    found = relay.failure(2)
    assert type(found) is DivergedError
    assert str(found) == "lower it"


def test_what_nobody_foresaw_keeps_its_kind_and_where_it_came_from() -> None:
    found = heard(error(1, "ValueError", "odd"), error(0, "RuntimeError")).failure(2)
    assert type(found) is RuntimeError
    assert str(found) == "process 1 of 2: ValueError: odd"
    assert found.__notes__ == ["where"]


def test_ctrl_c_is_no_error_and_silence_is_one() -> None:
    assert isinstance(heard(error(1, "RuntimeError"), {"event": "interrupted"}).failure(2), KeyboardInterrupt)
    assert "none of them told why" in str(heard().failure(2))
