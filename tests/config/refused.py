"""What a user reads of a recipe that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import RECIPE, write_recipe

from plad.config import load_recipe
from plad.errors import PladError


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(PladError) as caught:
        load_recipe(path, overrides)
    return str(caught.value)


def told(tmp_path: Path, old: str = "", new: str = "", overrides: tuple[str, ...] = ()) -> str:
    """What a user reads after this edit of the recipe, with the recipe's path as R."""
    assert old in RECIPE
    path = write_recipe(tmp_path, RECIPE.replace(old, new, 1) if old else RECIPE)
    return error_of(path, *overrides).replace(str(path), "R")
