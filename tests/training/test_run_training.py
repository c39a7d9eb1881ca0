"""From a recipe's settings to a folder, and on from a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import letters, make, make_examples

from plad.errors import PladError
from plad.losses import RankingCalibration
from plad.models import Lora
from plad.training import run as run_module
from plad.training.examples import Examples
from plad.training.run import Optimisation, _arguments, _share, train, write_history


def model() -> Any:
    torch.manual_seed(2)
    return Lora(r=2, dropout=0.2).wrap(make("llama"), "nowhere")


@pytest.fixture(autouse=True)
def _as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven steps would all be logged."""
    monkeypatch.setattr(run_module, "LOGGED", 1)


SETTINGS = Optimisation(batch_size=4, device_tokens=40, max_steps=7, checkpoint_every=2, log_every=3)


def run(
    folder: Path, progress: Any = None, settings: Optimisation = SETTINGS, warn: Any = None, trackers: Any = None
) -> tuple[Any, dict[str, Any]]:
    student = model()
    examples, held_out = Examples(make_examples(17)), Examples(make_examples(5, seed=1))
    loss = RankingCalibration()
    told = {"progress": progress, "warn": warn, "trackers": trackers}
    return student, train(student, letters(), examples, loss, settings, folder, 3, validation=held_out, **told)


def test_a_crash_leaves_no_trace(tmp_path: Path) -> None:
    whole, expected = run(tmp_path / "whole")

    def crash(done: int, total: int, logged: dict[str, float]) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", crash)
    seen: list[int] = []
    resumed, summary = run(tmp_path / "broken", lambda done, total, logged: seen.append(done))
    assert seen == [5, 6, 7], "continues from the checkpoint of step 4"
    assert summary == expected
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))
    histories = [(tmp_path / name / "history.jsonl").read_text() for name in ("whole", "broken")]
    assert histories[0] == histories[1]


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    """As when the power goes after the last checkpoint, before the model is in its place."""
    first, expected = run(tmp_path)
    history = (tmp_path / "history.jsonl").read_text()
    seen: list[int] = []
    again, summary = run(tmp_path, lambda done, total, logged: seen.append(done))
    assert seen == []
    assert summary == expected
    assert (tmp_path / "history.jsonl").read_text() == history
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), first.parameters(), strict=True))


def test_summary_history_and_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int, dict[str, float]]] = []
    _, summary = run(tmp_path, lambda *told: seen.append(told))
    assert summary.keys() == {"steps", "tokens", "loss", "eval_loss"}
    assert summary["steps"] == 7
    assert [told[:2] for told in seen] == [(k, 7) for k in range(1, 8)]
    assert "accuracy" in seen[-1][2]
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 3, 6]
    assert rows[-1]["eval_loss"] == summary["eval_loss"]
    assert not any("runtime" in key or "per_second" in key for row in rows for key in row)


def test_the_curve_can_be_read_while_it_is_made(tmp_path: Path) -> None:
    at: dict[int, list[int]] = {}

    def look(done: int, total: int, logged: dict[str, float]) -> None:
        lines = (tmp_path / "history.jsonl").read_text().splitlines()
        at[done] = [json.loads(line)["step"] for line in lines]

    def crash(done: int, total: int, logged: dict[str, float]) -> None:
        look(done, total, logged)
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, crash)
    # A step is logged after it has ended.
    assert at == {1: [], 2: [1], 3: [1], 4: [1, 3], 5: [1, 3]}
    run(tmp_path, look)
    # From the checkpoint of step 4, which knows what was logged before it.
    assert (at[5], at[7]) == ([1, 3], [1, 3, 6])


@pytest.mark.parametrize(
    ("settings", "every"),
    [({"max_steps": 78}, 3), ({"max_steps": 1000}, 10), ({"max_steps": 19}, 1), ({"epochs": 2}, 5)],
)
def test_a_short_training_is_logged_more_often(
    settings: dict[str, Any], every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least 20 times, where it has so many steps; 50 batches twice make 100 steps."""
    monkeypatch.setattr(run_module, "LOGGED", 20)
    assert _arguments(Optimisation(**settings), tmp_path, seed=1, examples=400).logging_steps == every


def test_history_leaves_out_clocks_and_other_entries(tmp_path: Path) -> None:
    write_history(
        tmp_path / "h", [{"loss": 1.0, "step": 2}, {"train_loss": 1.0}, {"eval_loss": 2.0, "eval_runtime": 9}]
    )
    assert [json.loads(line) for line in (tmp_path / "h").open()] == [{"loss": 1.0, "step": 2}, {"eval_loss": 2.0}]


def test_a_batch_that_does_not_divide_over_the_processes_is_refused() -> None:
    with pytest.raises(PladError, match=r"8 is not a multiple of 3\. Set batch_size to 6"):
        _share(Optimisation(batch_size=8), 3)


def test_arguments_reach_the_trainer(tmp_path: Path) -> None:
    settings = Optimisation(epochs=3, batch_size=8, warmup=0.1, schedule="cosine")
    made = _arguments(settings, tmp_path, seed=11, examples=33)
    assert (made.per_device_train_batch_size, made.gradient_accumulation_steps) == (8, 1)
    assert made.warmup_steps == 1  # a tenth of 3 × 5 steps
    assert (made.num_train_epochs, made.lr_scheduler_type, made.seed) == (3, "cosine", 11)


class Listener:
    """A tracker that keeps what it hears until a step at which it breaks."""

    def __init__(self, breaks_at: int | None = None):
        self.breaks_at, self.heard = breaks_at, []

    def log(self, values: dict[str, float], step: int) -> None:
        if step == self.breaks_at:
            raise ConnectionError("http://user:password@tracker")
        self.heard.append((step, values))


def test_a_tracker_hears_what_the_curve_has_and_one_that_breaks_costs_nothing_else(tmp_path: Path) -> None:
    whole, breaking, warned = Listener(), Listener(breaks_at=3), []
    followed, summary = run(tmp_path / "one", warn=warned.append, trackers={"mlflow": breaking, "wandb": whole})
    alone, expected = run(tmp_path / "two")
    assert summary == expected
    assert all(torch.equal(a, b) for a, b in zip(followed.parameters(), alone.parameters(), strict=True))
    curve = [json.loads(line) for line in (tmp_path / "one" / "history.jsonl").read_text().splitlines()]
    losses = [(row["step"], row["loss"]) for row in curve if "loss" in row]
    assert [(step, values["train/loss"]) for step, values in whole.heard if "train/loss" in values] == losses
    assert [values["eval/loss"] for _, values in whole.heard if "eval/loss" in values] == [summary["eval_loss"]]
    assert [step for step, _ in breaking.heard] == [1]
    assert warned == ["mlflow failed (ConnectionError) and follows this training no more."]
