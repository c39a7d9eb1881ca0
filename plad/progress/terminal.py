"""What a stream can show: whether lines may be redrawn, and whether colours are wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 120
"""Columns where there is no terminal to ask."""


def moves(stream: TextIO) -> bool:
    """Whether lines that were written can be written over: on a terminal, unless it says that it is dumb."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def coloured(stream: TextIO) -> bool:
    """Whether to write colours: never under NO_COLOR, always under FORCE_COLOR, else where lines can move."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or moves(stream)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Tell a person that something goes on before there is anything to show; the line is gone afterwards."""
    if not moves(sys.stderr):
        yield
        return
    print(text, end="", flush=True, file=sys.stderr)
    try:
        yield
    finally:
        print("\r\x1b[K", end="", flush=True, file=sys.stderr)


def console() -> Console:
    """Standard output for tables; rich heeds the same variables of the environment."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, no_color=not coloured(sys.stdout))
