"""Machines that meet in a real store: the first tells, the others train, and all hear how it ended."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from plad.errors import PladError
from plad.launching import Leader, Place, Work, follow
from plad.training.launch import Launch


def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Other:
    """The second machine, in a thread."""

    def __init__(self, port: int, refuse: str = ""):
        self.trained: list[Work] = []
        self.refuse, self.error = refuse, ""
        self.thread = threading.Thread(target=self._follow, args=[Place(1, "127.0.0.1", port)])
        self.thread.start()

    def _follow(self, place: Place) -> None:
        try:
            follow(place, Path("run"), self._train)
        except PladError as error:
            self.error = str(error)

    def _train(self, work: Work) -> dict[str, Any]:
        if work.task == self.refuse:
            raise PladError("no room")
        self.trained.append(work)
        return {}

    def end(self) -> None:
        self.thread.join(20)
        assert not self.thread.is_alive()


def test_the_others_train_what_the_first_tells_and_end_with_it() -> None:
    at = port()
    leader, other = Leader(Launch(nodes=2), Place(0, "127.0.0.1", at)), Other(at)
    with leader.until_the_end():
        leader.tell(Work(Path("run"), "sft/student", Path("a")))
        leader.tell(Work(Path("run"), "distill/plad", Path("b")))
    other.end()
    assert other.trained == [Work(Path("run"), "sft/student", Path("a")), Work(Path("run"), "distill/plad", Path("b"))]
    assert other.error == ""


def test_the_others_end_when_the_run_of_the_first_fails() -> None:
    at = port()
    leader, other = Leader(Launch(nodes=2), Place(0, "127.0.0.1", at)), Other(at)
    with pytest.raises(ValueError, match="odd"), leader.until_the_end():
        raise ValueError("odd")
    other.end()
    assert "the run on 127.0.0.1 failed" in other.error


def test_the_first_says_why_another_failed() -> None:
    at = port()
    leader, other = Leader(Launch(nodes=2), Place(0, "127.0.0.1", at)), Other(at, refuse="pair")
    leader.tell(Work(Path("run"), "pair", Path("a")))
    other.end()
    assert other.error == "no room"
    assert str(leader.failure()) == "machine 1: no room"


def test_the_others_end_when_the_first_is_gone() -> None:
    at = port()
    leader, other = Leader(Launch(nodes=2), Place(0, "127.0.0.1", at)), Other(at)
    leader.tell(Work(Path("run"), "pair", Path("a")))
    while not other.trained:
        other.thread.join(0.01)
    del leader
    other.end()
    assert "the first machine, 127.0.0.1, is gone" in other.error


def test_one_machine_tells_nobody_and_a_port_that_is_taken_is_named() -> None:
    with (alone := Leader(Launch(), Place())).until_the_end():
        alone.tell(Work(Path("run"), "pair", Path("a")))
    assert alone.failure() is None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PladError, match=r"cannot listen on 127\.0\.0\.1:"):
            Leader(Launch(nodes=2), Place(0, "127.0.0.1", taken.getsockname()[1]))
