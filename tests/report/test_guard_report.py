"""What the report says of what the guard saw."""

from __future__ import annotations

from pathlib import Path

from made_run import lines, make_run

from plad.report.guard import guard_facts, guard_verdict
from plad.report.markdown import render_markdown
from plad.report.read import read_run

START = {"step": 0, "chosen_logp": -1.25, "words": 8.0, "repetition": 0.0, "ended": 1.0}
FELL = "the preferred answers lost 0.75 nats a token of their likelihood"


def test_a_line_a_student_and_a_sentence_on_the_subject(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    calm = START | {"step": 50, "signs": []}
    fallen = START | {"step": 50, "chosen_logp": -2.0, "ended": 0.95, "signs": [FELL], "did": "lower"}
    lines(folder / "models/sft/guard.jsonl", [START, calm])
    lines(folder / "models/plad/guard.jsonl", [START, fallen, fallen | {"step": 60}])
    run = read_run(folder)
    calm_line, line = guard_facts(run)
    assert (calm_line.name, calm_line.note) == ("Continued SFT", "no sign of collapse")
    assert line.value == "−1.25 → −2.00 nats a token, 8.0 → 8.0 words, 0.0 → 0.0 % repeated, 100.0 → 95.0 % ended"
    assert line.note == f"from step 50: {FELL} · the learning rate was halved, 2 times"
    assert guard_verdict(run) == f"PLaD showed signs of collapse in 2 of 2 looks: {FELL}."
    assert "## Collapse guard" in render_markdown(run)


def test_a_run_without_a_guard_says_nothing(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run"))
    assert (guard_facts(run), guard_verdict(run)) == ([], "")
    assert "guard" not in render_markdown(run)
