"""Several machines: the first does the tasks, and tells the others which one they are to help to train.

They meet in torch's key-value store, which waits without a limit, and whose connection breaks when the first is gone.
The process group of a training exists no longer than the training, so that no time limit of it meets other tasks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from plad.errors import PladError
from plad.launching.place import Place
from plad.launching.processes import Work, train_in_processes
from plad.progress import Display
from plad.training.launch import Launch

FOREVER = timedelta(days=365)
TO_COME = timedelta(minutes=30)
"""How long a machine waits for the first to come up."""
TO_GO = 10.0
"""Seconds that the first waits for the others to hear that all is done."""
FAILURE = "failure"


class Leader:
    """The first machine's side. With one machine it has nobody to tell."""

    def __init__(self, launch: Launch, place: Place):
        self.launch, self.place, self._told = launch, place, 0
        self._store = _meet(place, first=True) if launch.nodes > 1 else None

    def train(self, work: Work, display: Display) -> dict[str, Any]:
        """Train a task, with the others' help; its summary.

        Raises:
            PladError: as `train_in_processes`; or another machine's part failed.
        """
        self.tell(work)
        try:
            return train_in_processes(self.launch, self.place, work, display)
        except Exception as error:
            raise self.failure() or error from None

    def tell(self, work: Work) -> None:
        """Have the others do their part of a task."""
        self._put({"task": work.task, "workspace": str(work.workspace)})

    def failure(self) -> PladError | None:
        """Why another machine's part failed, if one has told by now."""
        if self._store is None:
            return None
        time.sleep(1)  # it hears of it as we do
        return PladError(self._store.get(FAILURE).decode()) if self._store.check([FAILURE]) else None

    @contextmanager
    def until_the_end(self) -> Iterator[Leader]:
        """Tell the others afterwards that no task follows, and how it ended."""
        ended = "failed"
        try:
            yield self
            ended = "done"
        finally:
            self._put({"ended": ended})
            limit = time.monotonic() + TO_GO
            while self._store is not None and time.monotonic() < limit and self._store.add("gone", 0) < self._others:
                time.sleep(0.05)

    @property
    def _others(self) -> int:
        return self.launch.nodes - 1

    def _put(self, what: dict[str, Any]) -> None:
        if self._store is not None:
            self._store.set(f"told {self._told}", json.dumps(what))
            self._told += 1


def follow(place: Place, folder: Path, train: Callable[[Work], Any]) -> None:
    """Any other machine's side: help to train what the first tells of, until it tells that all is done.

    Args:
        folder: the run folder, which all machines see.
        train: does this machine's part of a task.

    Raises:
        PladError: the first machine is gone, or its run failed; or this machine's part of a training did.
    """
    store = _meet(place, first=False)
    for what in _told(store, place):
        if "ended" in what:
            store.add("gone", 1)
            if what["ended"] == "failed":
                raise PladError(
                    f"the run on {place.address} failed, and says why there. Start it on all machines again."
                )
            return
        try:
            train(Work(folder, what["task"], Path(what["workspace"])))
        except PladError as error:
            store.set(FAILURE, f"machine {place.node}: {error}")
            raise


def _told(store: Any, place: Place) -> Iterator[dict[str, Any]]:
    """What the first machine tells, as it comes."""
    number = 0
    while True:
        try:
            store.wait([f"told {number}"], FOREVER)
            yield json.loads(store.get(f"told {number}"))
        except RuntimeError as error:
            raise PladError(
                f"the first machine, {place.address}, is gone ({type(error).__name__}). Start it on all again."
            ) from None
        number += 1


def _meet(place: Place, first: bool) -> Any:
    from torch.distributed import TCPStore

    try:
        return TCPStore(place.address, place.port, is_master=first, timeout=TO_COME, wait_for_workers=False)
    except RuntimeError as error:
        what = "listen on" if first else "reach the first machine at"
        raise PladError(
            f"several machines meet at MASTER_ADDR and MASTER_PORT, but this one cannot {what} "
            f"{place.address}:{place.port} ({type(error).__name__}). Look at both, and at who else has that port."
        ) from None
