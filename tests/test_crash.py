"""A run that is killed with SIGKILL at every turn ends as the run that nobody disturbed, to the byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tiny_run import RECIPE, REPORTS, differing, offline, write_recipe

from plad.planning import STAGES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[1]
EVERY = {"training teacher": 5, "training student": 5}
OFTEN = (
    RECIPE.replace("max_steps: 40", "max_steps: 20, checkpoint_every: 5")
    .replace("max_steps: 20, batch", "max_steps: 12, checkpoint_every: 5, batch")
    .replace("{max_steps: 4,", "{rounds: 2, teacher_logits: {top_k: 8}, max_steps: 4, checkpoint_every: 2,")
    + "baselines: {kd: {}}\n"
)
BATCH = 4
"""Answers at a time, in RECIPE."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of both runs, and what `killer.py` says of them."""
    folder = tmp_path_factory.mktemp("killed")
    recipe = write_recipe(folder / "recipe", OFTEN)
    env = offline() | {"PLAD_CACHE": str(folder / "store"), "TOKENIZERS_PARALLELISM": "false"}
    env |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, str(ROOT / "tests" / "killer.py"), str(recipe), str(folder), "1", "2"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder, json.loads(ended.stdout)


def test_fifty_kills_in_all_stages_change_no_byte(killed: tuple[Path, dict[str, Any]]) -> None:
    folder, told = killed
    where = [attempt["killed_in"] for attempt in told["attempts"]]
    assert where.pop() is None, "the last attempt came to its end"
    assert None not in where
    assert len(where) >= 50
    assert {task.split("/")[0] for task in where} == set(STAGES)
    one, two = (folder / name / "evaluation" / "results.json" for name in ("undisturbed", "disturbed"))
    assert one.read_bytes() == two.read_bytes()
    assert differing(folder / "undisturbed", folder / "disturbed") <= REPORTS
    assert [*(folder / "disturbed" / ".work").iterdir()] == []


def test_training_repeats_at_most_what_was_done_since_a_checkpoint(killed: tuple[Path, dict[str, Any]]) -> None:
    last: dict[str, int] = {}
    again: Counter[str] = Counter()
    for attempt in killed[1]["attempts"]:
        begun: set[str] = set()
        for label, step in attempt["steps"]:
            if label not in begun and label in last:
                repeated = last[label] - step + 1
                assert repeated <= EVERY.get(label, 2), (label, attempt)
                again[label] += repeated
            begun.add(label)
            last[label] = step
    assert sum(again.values()) > 0, "some kills came between two checkpoints"


def test_sampling_repeats_at_most_the_batch_that_was_under_way(killed: tuple[Path, dict[str, Any]]) -> None:
    whole, attempts = killed[1]["undisturbed"]["sampled"], killed[1]["attempts"]
    kills = sum(attempt["killed_in"] is not None and attempt["sampled"] > 0 for attempt in attempts)
    assert kills > 0
    assert whole <= sum(attempt["sampled"] for attempt in attempts) <= whole + BATCH * kills
