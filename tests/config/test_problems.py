from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_run import write_recipe

from plad.config import Recipe, check, load_recipe
from plad.errors import PladError
from plad.pipeline import run
from plad.progress import choose_display


@pytest.fixture
def scoreless(tmp_path: Path) -> Recipe:
    """A recipe made in Python, whose loss needs scores that nobody gives."""
    data = json.loads(load_recipe(write_recipe(tmp_path)).model_dump_json())
    data["distill"]["loss"] = {"type": "margin"}
    return Recipe.model_validate(data)


SCORELESS = r"distill\.loss: a loss of type margin needs scores, but pairs\.scorer is null"


def test_a_recipe_made_in_python_is_checked_by_the_same_rules(scoreless: Recipe) -> None:
    with pytest.raises(PladError, match=SCORELESS):
        check(scoreless)


def test_a_run_refuses_it_before_it_makes_a_folder(scoreless: Recipe, tmp_path: Path) -> None:
    with pytest.raises(PladError, match=SCORELESS):
        run(scoreless, tmp_path / "run", choose_display())
    assert not (tmp_path / "run").exists()
