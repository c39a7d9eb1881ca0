"""Trackers of a run: a curve a training, and beside it what the evaluation of that model came to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import Recorder

from plad.config import load_recipe
from plad.errors import PladError
from plad.pipeline import run


def test_a_run_is_followed_and_its_results_reach_the_curve_of_each_student(copy_of_run: Callable[[], Path]) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = copy_of_run()
    recipe = load_recipe(folder / "recipe.yaml", ["distill.report_to=tensorboard", "baselines.seqkd=null"])
    run(recipe, folder, Recorder(), force=["distill"])
    assert sorted(path.name for path in (folder / "logs").iterdir()) == ["tiny-plad", "tiny-sft"]
    assert not list((folder / "models").rglob("events.*"))
    events = EventAccumulator(str(folder / "logs" / "tiny-plad")).Reload()
    curve = [json.loads(line) for line in (folder / "models/plad/history.jsonl").read_text().splitlines()]
    logged = {one.step: one.value for one in events.Scalars("train/loss")}
    assert logged == pytest.approx({row["step"]: row["loss"] for row in curve if "loss" in row})
    results = json.loads((folder / "evaluation/results.json").read_text())
    rate = next(row["win_rate"] for row in results["rows"] if row["name"] == "plad")
    for ending, part in {"": "value", "_low": "low", "_high": "high"}.items():
        (told,) = events.Scalars(f"results/win_rate{ending}")
        assert told.value == pytest.approx(rate[part])


def test_who_follows_is_no_part_of_what_is_trained(copy_of_run: Callable[[], Path]) -> None:
    folder, display = copy_of_run(), Recorder()
    names = "[tensorboard, wandb, mlflow, trackio]"
    followed = [f"{role}.report_to={names}" for role in ("distill", "teacher.sft", "student.sft")]
    run(load_recipe(folder / "recipe.yaml", followed), folder, display)
    assert display.worked == []


def test_a_tracker_that_is_missing_is_told_of_before_any_work(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plad.tracking.find_spec", lambda name: None)
    display = Recorder()
    with pytest.raises(PladError, match="report_to names trackio, but it is not installed"):
        run(load_recipe(tiny_recipe, ["student.sft.report_to=trackio"]), tmp_path / "run", display)
    assert display.worked == []
