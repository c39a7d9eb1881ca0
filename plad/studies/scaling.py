"""Figure 4 of the paper: how much of the distillation data each method needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.progress import Display
from plad.studies.figures import Arm, Figure, run_arms, write_by_model

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
NOTE = (
    "A smaller share is part of a larger one, and takes as many fewer steps where distill.max_steps is null. Methods "
    "that learn from references take as many steps as the others, on references that are not cut; teacher and initial "
    "student do not depend on the share."
)


def scaling(
    recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display, values: Sequence[float] = SHARES
) -> dict[str, Any]:
    """Every method of the recipe by the share of the distillation half; its answers are given once a seed.

    Raises:
        PladError: what a run raises.
    """
    arms = [Arm(f"data-{100 * v:g}", 100 * v, (f"distill.share={v}",)) for v in values]
    runs = run_arms(recipe, folder, arms, seeds, display)
    figure = Figure(
        "scaling", "Win rate by distillation data (Figure 4)", "distillation data, %", tuple(seeds), NOTE, ()
    )
    return write_by_model(figure, arms, runs, folder, recipe)
