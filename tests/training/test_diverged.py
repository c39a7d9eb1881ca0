"""A loss that is no finite number stops the training at that step, and what it was computed of is kept."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from test_run_training import SETTINGS, model
from tiny import letters, make_examples

from plad.errors import PladError
from plad.losses import MarginCalibration, RankingCalibration
from plad.losses.sequence import Loss
from plad.training.examples import Examples
from plad.training.run import Optimisation, train

GOOD = [replace(example, scores=(1.0, 0.0)) for example in make_examples(17)]


def diverge(folder: Path, examples: Examples, loss: Loss, settings: Optimisation = SETTINGS) -> tuple[str, list[int]]:
    """The error, and the steps that were finished before it."""
    steps: list[int] = []
    with pytest.raises(PladError) as caught:
        train(model(), letters(), examples, loss, settings, folder, 3, progress=lambda done, *_: steps.append(done))
    return str(caught.value), steps


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_stops_it_at_its_step(score: float, tmp_path: Path) -> None:
    spoilt = replace(GOOD[8], scores=(score, 0.0))
    told, steps = diverge(tmp_path, Examples([*GOOD[:8], spoilt, *GOOD[9:]]), MarginCalibration())
    step = len(steps) + 1
    assert 1 <= step <= 5, "an epoch of 17 examples has five steps of four"
    assert f"at step {step} it is {score}: it diverged." in told
    assert "Lower the learning_rate, which is 0.0001" in told
    [file] = tmp_path.glob("diverged-*.jsonl")
    assert str(file) in told
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert 1 <= len(rows) <= 4
    prompt = letters().decode(list(spoilt.prompt))
    [row] = [row for row in rows if not math.isfinite(row["scores"][0])]
    assert row["prompt"] == prompt
    assert row["responses"] == [letters().decode(list(ids)) for ids in spoilt.responses]


def test_a_learning_rate_beyond_all_bounds(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30, "max_grad_norm": 0.0, "warmup": 0.0})
    told, steps = diverge(tmp_path, Examples(make_examples(17)), RankingCalibration(), settings)
    assert steps == [1], "the first step is taken by weights that are sound"
    assert "at step 2 it is nan: it diverged. Lower the learning_rate, which is 1e+30" in told
