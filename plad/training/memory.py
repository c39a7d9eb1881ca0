"""The most memory that a piece of work held at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


@contextmanager
def peak_memory() -> Iterator[list[int | None]]:
    """Yields a list that holds bytes once the block is left, or None where the system does not tell.

    On a GPU the most that tensors took there; else the most of the machine's memory that this process held, its
    libraries and what earlier work left included, of which Linux keeps a mark that can be set back.
    """
    peak: list[int | None] = []
    known = _set_back()
    try:
        yield peak
    finally:
        peak.append(_highest() if known else None)


def _set_back() -> bool:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return True
    try:
        (PROCESS / "clear_refs").write_text("5")  # proc(5): the mark of the peak, and nothing else
    except OSError:
        return False
    return True


def _highest() -> int | None:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    found = re.search(r"VmHWM:\s+(\d+) kB", (PROCESS / "status").read_text())
    return 1024 * int(found[1]) if found else None
