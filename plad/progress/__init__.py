"""What a person sees while a run goes on: a board on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from plad.progress.lines import JsonLines, Lines, Silent
from plad.progress.terminal import moves


class Advance(Protocol):
    """Told how many are done by now, and what to show beside the bar."""

    def __call__(self, done: int, values: Mapping[str, float], total: int | None = None) -> None:
        """`total` where it was not known when the bar began."""


class Display(Protocol):
    """Where events go."""

    def say(self, text: str) -> None:
        """A line of text."""

    def event(self, kind: str, **fields: Any) -> None:
        """Something that happened, for machines; `kind` is plan, task, taken, done, end or table."""

    def bar(self, label: str, total: int | None) -> Any:
        """A context manager that yields an `Advance`."""


def choose_display(as_json: bool = False) -> Display:
    """A board on a terminal that can redraw lines, lines elsewhere."""
    if as_json:
        return JsonLines()
    if not moves(sys.stdout):
        return Lines()
    from plad.progress.board import Board

    return Board()


__all__ = ["Advance", "Display", "JsonLines", "Lines", "Silent", "choose_display"]
