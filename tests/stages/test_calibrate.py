"""Whose likelihood is compared with quality."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tiny_run import Recorder, finished

from plad.config import load_recipe
from plad.pipeline import run


def measured(folder: Path) -> list[str]:
    found = json.loads((folder / "evaluation" / "calibration.json").read_text())
    return [row["name"] for row in found["rows"]]


def test_every_trained_student_can_be_measured(copy_of_run: Callable[[], Path]) -> None:
    """Nothing else is done again, and what changed is still told of the run's own student against its start."""
    folder = copy_of_run()
    assert measured(folder) == ["student", "plad"]
    before = json.loads((folder / "evaluation" / "calibration.json").read_text())
    assert "of" not in finished(folder)["evaluate/calibration"]["settings"]["calibration"], "runs of before stay done"
    display = Recorder()
    run(load_recipe(folder / "recipe.yaml", ["evaluate.calibration.of=all"]), folder, display)
    assert display.worked == ["evaluate/calibration", "report"]
    assert measured(folder) == ["student", "sft", "seqkd", "plad"]
    after = json.loads((folder / "evaluation" / "calibration.json").read_text())
    assert after["change"] == before["change"]
    assert (folder / "evaluation" / "calibration" / "seqkd.jsonl").is_file()
