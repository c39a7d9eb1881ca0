"""The runs of a study: cells of one grid, each a whole run in a folder of its own, that share what they have in common.

Two cells share a task where its settings, its seed and all that it follows are equal: the second takes the first one's
files. A study is thus a list of recipes, and continues as runs do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plad.config import Recipe
from plad.errors import PladError
from plad.pipeline import run
from plad.progress import Display
from plad.runs import Run


@dataclass(frozen=True)
class Cell:
    """One run of a study; `name` is that of its folder."""

    name: str
    recipe: Recipe


def run_cells(cells: Sequence[Cell], folder: Path, display: Display) -> list[Run]:
    """Run what is not done yet of each cell, in order.

    Raises:
        PladError: there are no cells or two of one name, or what a run raises.
    """
    names = [cell.name for cell in cells]
    if not names or len(set(names)) < len(names):
        raise PladError(f"a study needs one run or more, each of a name of its own, but has {names}. Name others.")
    runs = []
    for cell in cells:
        display.say(cell.name)
        runs.append(run(cell.recipe, folder / cell.name, display, beside=others(folder / cell.name)))
    return runs


def others(run_folder: Path) -> list[Path]:
    """The run folders that stand beside one."""
    found = sorted(manifest.parent for manifest in run_folder.parent.glob("*/manifest.json"))
    return [folder for folder in found if folder != run_folder]
