"""Ctrl-C: pressed once, the step that is under way is finished and kept; pressed twice, the process stops at once.

Whatever works step by step asks `asked` where nothing is half done, and ends; whoever called it then calls `check`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ASKED = threading.Event()
_TOLD = b"\nfinishing the step that is under way; Ctrl-C again stops at once\n"


def asked() -> bool:
    """Whether Ctrl-C was pressed and what is under way should come to an end."""
    return _ASKED.is_set()


def ask() -> None:
    """Have what is under way come to an end, as one Ctrl-C does."""
    _ASKED.set()


def check() -> None:
    """End here if that was asked for.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if asked():
        raise KeyboardInterrupt


@contextmanager
def step_by_step() -> Iterator[None]:
    """Within, the first Ctrl-C is noted and the second raises KeyboardInterrupt.

    In a thread of its own, and where somebody else handles Ctrl-C (a notebook's kernel, a launcher), nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _ASKED.clear()


def _first(number: int, frame: Any) -> None:
    _ASKED.set()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Past the buffers of Python, which this may have interrupted in the middle of a write.
    os.write(2, _TOLD)
