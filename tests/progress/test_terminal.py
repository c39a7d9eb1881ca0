from __future__ import annotations

import io

import pytest

from plad.progress import Lines, choose_display
from plad.progress.terminal import coloured, moves, waiting


class Stream(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, terminal: bool):
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "environment", "moving", "colours"),
    [
        (True, {}, True, True),
        (False, {}, False, False),
        (True, {"NO_COLOR": "1"}, True, False),
        (True, {"NO_COLOR": ""}, True, True),  # no-color.org: when present and not an empty string
        (True, {"TERM": "dumb"}, False, False),
        (False, {"FORCE_COLOR": "1"}, False, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        (True, {"TERM": "dumb", "FORCE_COLOR": "1"}, False, True),
    ],
)
def test_what_a_stream_can_show(
    terminal: bool,
    environment: dict[str, str],
    moving: bool,
    colours: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Stream(terminal)
    assert (moves(stream), coloured(stream)) == (moving, colours)
    monkeypatch.setattr("sys.stdout", stream)
    assert isinstance(choose_display(), Lines) is not moving


def test_waiting_is_told_on_a_terminal_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for terminal, told in ((True, ("starting …", "starting …\r\x1b[K")), (False, ("", ""))):
        monkeypatch.setattr("sys.stderr", stream := Stream(terminal))
        with waiting("starting …"):
            during = stream.getvalue()
        assert (during, stream.getvalue()) == told
