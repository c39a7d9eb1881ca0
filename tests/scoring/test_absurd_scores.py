"""Scores that are no numbers are refused before anything is made of them; scorers that find all alike are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_run import TASKS, Recorder, finished

from plad.config import load_recipe
from plad.errors import PladError
from plad.pipeline import run
from plad.records import Prompt
from plad.scoring import RewardModel
from plad.scoring.cached import Cached
from plad.scoring.store import ScoreStore

PROMPTS = [Prompt("1", "the cat"), Prompt("2", "the dog")]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_reward_model_that_overflows_is_refused_and_nothing_is_kept(
    value: float, tiny_deberta: str, tmp_path: Path
) -> None:
    scorer = RewardModel(model=tiny_deberta)
    with torch.no_grad():
        scorer._model.classifier.bias.fill_(value)
    with ScoreStore(tmp_path / "scores.sqlite") as store:
        cached = Cached(scorer, store)
        with pytest.raises(PladError, match=rf"must be a finite number, but reward model .* gave {value} to 'sat'"):
            cached.score(PROMPTS, ["sat", "ran"])
        assert store._file.execute("SELECT count(*) FROM said").fetchone() == (0,)


@pytest.mark.slow
def test_a_scorer_of_one_class_ties_everything(
    copy_of_run: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Correlations are not defined, and every win rate is a half."""
    import json

    (tmp_path / "one_class.py").write_text("def same(prompts, responses):\n    return [1.0] * len(responses)\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder, judge = copy_of_run(), "evaluate.judge={type: function, path: 'one_class:same'}"
    run(load_recipe(folder / "recipe.yaml", [judge]), folder, Recorder())
    assert set(finished(folder)) == set(TASKS)
    results = json.loads((folder / "evaluation" / "results.json").read_text())
    rates = [row[key]["value"] for row in results["rows"] for key in ("win_rate", "against_initial") if row[key]]
    assert set(rates) == {0.5}
    assert "No difference could be shown" in (folder / "report.md").read_text()
