from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from plad.progress.board import Board, outcome

LONG = "一个很长的名字-and-some-more-that-has-no-room-anywhere-at-all"
PLAN = ["prepare", "sft/teacher", "sft/student", "distill/sft", f"distill/{LONG}", "report"]


def lines(board: Board, width: int) -> list[str]:
    """What the board shows at a width, a line each."""
    told = io.StringIO()
    Console(file=told, width=width, force_terminal=True, color_system=None).print(board.view())
    return [line.rstrip() for line in told.getvalue().splitlines()]


@pytest.fixture
def board(capsys: pytest.CaptureFixture[str]) -> Board:
    """One of six tasks kept from before, two done since, the fourth under way."""
    board = Board()
    board.event("plan", folder="x", tasks=PLAN, done=PLAN[:1], todo=PLAN[1:])
    for task, loss in (("sft/teacher", 2.3456), ("sft/student", 3.0)):
        board.event("task", name=task)
        board.event("done", name=task, seconds=62.6, summary={"loss": loss})
    board.event("task", name="distill/sft")
    return board


def test_a_row_a_stage(board: Board) -> None:
    shown = lines(board, 80)
    assert [re.split(r" {2,}", line) for line in shown] == [
        ["✓", "prepare", "kept"],
        ["✓", "sft", "0:02:05", "loss: teacher 2.35, student 3"],
        ["●", "distill", "0/2", "0:00:00"],
        ["·", "report"],
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_long_and_wide_names_keep_every_row_on_its_line(board: Board, width: int) -> None:
    board.event("done", name="distill/sft", seconds=1, summary={"loss": 1.0})
    board.event("task", name=f"distill/{LONG}")
    board.event("done", name=f"distill/{LONG}", seconds=1, summary={"loss": 0.25})
    board.event("task", name="report")
    with board.bar(f"training {LONG}", None) as advance:
        advance(3, {"loss": 0.5, "accuracy": 0.75}, 12)
        shown = lines(board, width)
    assert [line[0] for line in shown[:4]] == ["✓", "✓", "✓", "●"]
    assert len(shown) == 5
    assert width < 80 or "3/12" in shown[4]
    assert ("accuracy 0.75" in shown[4]) == (width >= 80)


def test_a_bar_counts_what_it_knows(board: Board) -> None:
    with board.bar("judging", None) as advance:
        assert not re.search(r"\d", lines(board, 80)[-1])
        advance(7, {})
        assert " 7" in lines(board, 80)[-1]
    with board.bar("sampling", 12) as advance:
        advance(3, {})
        assert " 3/12" in lines(board, 80)[-1]


def test_rate_and_time_left_are_over_all_of_the_time(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("plad.progress.board.time.monotonic", lambda: now[0])
    with board.bar("training", None) as advance:
        advance(10, {}, 100)  # an earlier process did ten
        assert "left" not in lines(board, 120)[-1]
        for done, at in ((11, 104.0), (12, 104.0), (30, 104.0)):  # a batch arrives at once
            now[0] = at
            advance(done, {}, 100)
        # 20 in 4 seconds: 5 a second, so that the other 70 take 14.
        assert "30/100 5.0/s 0:00:14 left" in lines(board, 120)[-1]


def test_numbers_of_another_kind_do_not_stand_beside_each_other() -> None:
    board = Board()
    both = ["evaluate/teacher", "evaluate/plad"]
    board.event("plan", folder="x", tasks=both, done=[], todo=both)
    won = {"value": 0.25}
    board.event("done", name="evaluate/teacher", seconds=1, summary={"wins": {"reference": won}})
    assert lines(board, 80)[0].endswith("wins over the references: teacher 25.0 %")
    wins = {"reference": won, "initial": {"value": 0.667}}
    board.event("done", name="evaluate/plad", seconds=1, summary={"wins": wins})
    assert lines(board, 80)[0].endswith("0:00:02  wins over the initial student: plad 66.7 %")
    board.event("end", failed=None)


def test_stages_stand_in_the_order_of_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    board = Board()
    tasks = ["sample", "pair", "evaluate/teacher", "evaluate/plad"]
    board.event("plan", folder="x", tasks=tasks, done=["sample", "evaluate/teacher"], todo=["pair", "evaluate/plad"])
    shown = [line.split() for line in lines(board, 80)]
    assert shown == [["✓", "sample", "kept"], ["·", "pair"], ["·", "evaluate"]]
    board.event("end", failed=None)


def test_a_failure_is_marked_where_it_happened(board: Board) -> None:
    board.event("end", failed="distill/sft")
    assert [line[0] for line in lines(board, 80)] == ["✓", "✓", "✗", "·"]


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        ({}, ("", "")),
        ({"loss": 0.12345, "steps": 3}, ("loss", "0.123")),
        ({"made": 3456, "prompts": 4000}, ("pairs", "3,456 of 4,000 prompts")),
    ],
)
def test_what_a_summary_is_worth_a_look_for(summary: dict[str, float], told: tuple[str, str]) -> None:
    assert outcome(summary) == told


def terminal(command: list[str], **environment: str) -> str:
    """What a command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    asked = kept | {"COLUMNS": "80", "TERM": "xterm-256color"} | environment
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=asked)
    os.close(theirs)
    told = b""
    try:
        while part := os.read(ours, 65536):
            told += part
    except OSError:
        pass  # how Linux says that the other end is closed
    os.close(ours)
    assert process.wait() == 0, told.decode()
    return told.decode()


def test_a_real_terminal(copy_of_run: Callable[[], Path]) -> None:
    folder = copy_of_run()
    told = terminal([sys.executable, "-m", "plad", "report", str(folder), "--force"])
    assert "\x1b[32m✓\x1b[0m  report" in told
    assert told.endswith(f"next:   plad show {folder} --example 1\r\n")
    told = terminal([sys.executable, "-m", "plad", "status", str(folder)], TERM="dumb")
    assert "\x1b" not in told
