"""Machines that are lost: `python dying.py RECIPE URL CACHE LABEL N [CACHE LABEL N …]`.

Each machine, with a cache folder of its own, works on the run behind the URL and is gone, without a goodbye, at its Nth
sign of progress under a label, when what was done by then has been copied. All are children of one process that has
trained nothing: torch survives no other fork.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Dying:
    """A display that ends the process.

    Args:
        copied: how often the run was copied so far.
    """

    def __init__(self, label: str, left: int, copied: Callable[[], int]):
        self.label, self.left, self.copied = label, left, copied

    def say(self, text: str) -> None:
        pass

    def event(self, kind: str, **fields: Any) -> None:
        pass

    @contextmanager
    def bar(self, label: str, total: int | None) -> Iterator[Any]:
        def advance(done: int, values: Any, total: int | None = None) -> None:
            if label == self.label:
                self.left -= 1
                if not self.left:
                    until = self.copied() + 2  # one copy may be under way
                    while self.copied() < until:
                        time.sleep(0.01)
                    os._exit(9)

        yield advance


def work(recipe: Path, url: str, label: str, left: int) -> None:
    """The run itself, in a child."""
    from plad.config import load_recipe
    from plad.pipeline import run
    from plad.remote import Mirror, folder_of

    copies, keep = [], Mirror._keep

    def counted(mirror: Mirror) -> None:
        keep(mirror)
        copies.append(time.monotonic())

    Mirror._keep = counted  # type: ignore[method-assign]
    run(load_recipe(recipe), folder_of(url), Dying(label, left, lambda: len(copies)), url=url)


def main(recipe: Path, url: str, machines: list[str]) -> None:
    """One machine after the other."""
    import torch

    from plad import pipeline, remote  # noqa: F401  # once for all children

    torch.set_num_threads(1)
    remote.EVERY_S, remote.SILENCE_S = 0.05, 0.5
    for cache, label, left in zip(*[iter(machines)] * 3, strict=True):
        if not (child := os.fork()):
            os.environ["PLAD_CACHE"] = cache
            try:
                work(recipe, url, label, int(left))
            except BaseException:
                sys.excepthook(*sys.exc_info())
            os._exit(1)
        if (status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) != 9:
            raise SystemExit(f"{cache}: ended with status {status} before its time")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
