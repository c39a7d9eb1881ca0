"""What the report says of an audit of the pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_run import estimate, make_run, write

from plad.report.audit import audit_facts, audit_verdict
from plad.report.read import RunFiles, read_run


def told(folder: Path, **changes: Any) -> RunFiles:
    audit = {"action": "drop", "changed": 12, "scorer": "a judge", "judge": False, "warning": None}
    audit |= {"teacher_better": estimate(0.4, n=20), "kinds": {"informative": 1300, "prefix": 2}}
    audit |= {"by_length": [{"from": 3, "to": 7, "win_rate": estimate(0.5, n=20)}]}
    audit |= {"by_kind": {"informative": estimate(0.45, n=19)}}
    run = make_run(folder / "run")
    write(run / "pairs.json", {"prompts": 100, "made": 85, "dropped": {}, "audit": audit | changes})
    return read_run(run)


@pytest.mark.parametrize(("action", "leaks"), [("drop", True), ("keep", False)])
def test_the_judges_own_audit_is_told_apart(action: str, leaks: bool, tmp_path: Path) -> None:
    said = audit_verdict(told(tmp_path, judge=True, action=action, warning="A warning."))
    assert "This is the judge of the evaluation too" in said
    assert said.endswith("A warning.")
    assert ("no independent judgement" in said) == leaks


def test_what_was_done_and_a_line_a_length_and_kind(tmp_path: Path) -> None:
    run = told(tmp_path)
    assert audit_verdict(run) == "Audited by a judge; 12 pairs were left out."
    assert [(fact.name, fact.value, fact.note) for fact in audit_facts(run)] == [
        ("Teacher's answer is the better one", "40.0 % (95 % interval 36.0 to 44.0 %)", "n = 20"),
        ("… where it has 3 to 7 words", "50.0 % (95 % interval 46.0 to 54.0 %)", "n = 20"),
        ("Informative pairs", "1,300", "teacher's better on 45.0 % (95 % interval 41.0 to 49.0 %)"),
        ("One answer is the beginning of the other", "2", ""),
    ]


def test_without_an_audit_nothing_is_said(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run"))
    assert (audit_facts(run), audit_verdict(run)) == ([], "")
