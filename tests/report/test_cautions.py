"""Warnings in words: each is said where its numbers are bad, and not where they are good."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_run import estimate, lines, write

from plad.report.cautions import cautions
from plad.report.read import read_run

Change = Callable[[dict[str, Any]], Any]


def told(run: Path, change: Change = lambda results: None) -> list[str]:
    """The warnings on a run after a change of its results."""
    results = json.loads((run / "evaluation/results.json").read_text())
    change(results)
    write(run / "evaluation/results.json", results)
    return cautions(read_run(run))


def test_a_good_run_has_none(run: Path) -> None:
    assert told(run) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(n=99), "Only 99 test prompts"),
        (
            lambda r: r.update(teacher_student=estimate(0.53)),
            "The teacher wins over the initial student on 53.0 % (95 % interval 49.0 to 57.0 %) only",
        ),
        (
            lambda r: r["scorer"]["accuracy"].append({"kind": "length control", **estimate(0.68)}),
            "71.4 % (95 % interval 67.4 to 75.4 %) of held-out pairs of the kind “word dropped”",
        ),
        (
            lambda r: [row.update(finished=estimate(0.94)) for row in r["rows"]],
            "Outputs cut off at the token limit: Initial student 6.0 %.",
        ),
        (
            lambda r: (
                r["rows"][2].update(shared=estimate(0.4)),
                r["rows"][4].update(shared=estimate(0.31)),
                r.update(reference={"shared": estimate(0.25)}),
            ),
            "Answers that another prompt got too, word for word: Continued SFT 40.0 %.",
        ),
        (
            lambda r: [row.update(repetition=estimate(0.2)) for row in r["rows"]],
            "Runs of three words that the same output has had before: Initial student 20.0 %.",
        ),
        (lambda r: r.update(warnings=["PLaD is longer."]), "PLaD is longer."),
    ],
)
def test_each_is_said(run: Path, change: Change, said: str) -> None:
    [line] = told(run, change)
    assert said in line


def test_the_teacher_is_no_candidate(run: Path) -> None:
    assert told(run, lambda r: r["rows"][0].update(finished=estimate(0.5))) == []


def test_prompts_without_a_pair(run: Path) -> None:
    write(run / "pairs.json", {"prompts": 100, "made": 74, "dropped": {"identical": 20, "empty_student": 6}})
    assert told(run) == ["26 of 100 prompts (26.0 %) gave no pair; the reasons are below."]


def test_an_audit_that_doubts_the_order_of_the_pairs(run: Path) -> None:
    counts = {"prompts": 100, "made": 100, "dropped": {}}
    write(run / "pairs.json", counts | {"audit": {"warning": "The order is not shown."}})
    assert told(run) == ["The order is not shown."]
    write(run / "pairs.json", counts | {"audit": {"warning": None}})
    assert told(run) == []


def test_a_student_that_showed_signs_of_collapse(run: Path) -> None:
    looks = [{"step": 0}, {"step": 10, "signs": ["length fell"]}, {"step": 20, "signs": []}]
    lines(run / "models/seqkd/guard.jsonl", looks)
    lines(run / "models/plad/guard.jsonl", looks[::2])
    assert told(run) == ["SeqKD showed signs of collapse in training: length fell."]


def test_a_run_of_nothing_but_a_recipe(tmp_path: Path) -> None:
    write(tmp_path / "recipe.yaml", "seed: 1\n")
    assert cautions(read_run(tmp_path)) == []
