"""Time, tokens, money and memory, added up by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_run import write

from plad.report.costs import COLUMNS, headline, stage_costs, task_costs, told, total_cost
from plad.report.read import RunFiles, read_run

TASKS = {
    "prepare": {"seconds": 4.0, "summary": {"read": 10}},
    "sft/student": {"seconds": 16.0, "summary": {"tokens": 1000, "memory": 2_000_000_000}},
    "sample/teacher": {
        "seconds": 10.0,
        "summary": {"tokens": 50, "truncated": 3, "paid": {"requests": 7, "money": 0.25}},
    },
    "sample/student": {"seconds": 2.0, "summary": {"tokens": 30}},
    "distill/plad": {"seconds": 8.0, "summary": {"tokens": 400, "drawn": 20, "memory": 3_000_000_000}},
}


@pytest.fixture
def costly(tmp_path: Path) -> RunFiles:
    write(tmp_path / "recipe.yaml", "seed: 1\n")
    write(tmp_path / "manifest.json", {"tasks": TASKS})
    return read_run(tmp_path)


def test_stages_are_sums_of_tasks(costly: RunFiles) -> None:
    stages = {cost.name: cost for cost in stage_costs(costly)}
    assert list(stages) == ["prepare", "sft", "sample", "distill"]
    assert (stages["sample"].seconds, stages["sample"].written, stages["sample"].trained) == (12.0, 80, None)
    # The longest bar is that of sft, 16 s.
    assert [cost.share for cost in stages.values()] == [0.25, 1.0, 0.75, 0.5]


def test_the_total(costly: RunFiles) -> None:
    total = total_cost(costly)
    assert (total.seconds, total.trained, total.written) == (40.0, 1400, 100)
    assert (total.money, total.requests, total.memory) == (0.25, 7, 3_000_000_000)
    assert ("Paid for in this run", "0.2500", "7 requests") in headline(costly)


def test_tasks_say_what_was_cut_off(costly: RunFiles) -> None:
    notes = {cost.name: cost.notes for cost in task_costs(costly)}
    assert notes["sample/teacher"] == ("3 cut off", "7 paid requests")
    assert notes["prepare"] == ()


def test_columns_without_a_number_are_left_out(costly: RunFiles) -> None:
    assert [COLUMNS[k] for k in told(task_costs(costly))] == list(COLUMNS)
    assert [COLUMNS[k] for k in told(task_costs(costly)[:1])] == ["Time"]


def test_nothing_is_paid_where_nobody_asks_for_money(tmp_path: Path) -> None:
    write(tmp_path / "recipe.yaml", "seed: 1\n")
    assert headline(read_run(tmp_path)) == []
