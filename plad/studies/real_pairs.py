"""Figure 2 of the paper: the share ρ of pairs that a reward model orders, in place of who wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.progress import Display
from plad.studies.figures import ALONE, Arm, Figure, run_arms, subject_points, write_figure

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
NOTE = (
    "Win rates of PLaD by the run's judge on the test split. ρ = 0 takes the teacher's answer as the better one of "
    "every pair, ρ = 1 asks the scorer of pairs. The pairs of a smaller share are among those of a larger one."
)


def real_pairs(
    recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display, values: Sequence[float] = SHARES
) -> dict[str, Any]:
    """PLaD by ρ, everything before the pairs done once a seed.

    Raises:
        PladError: pairs.scorer is null, or what a run raises.
    """
    arms = [Arm(f"real-{100 * v:g}", 100 * v, (ALONE, f"pairs.real_share={v}")) for v in values]
    points = subject_points(arms, run_arms(recipe, folder, arms, seeds, display))
    title = "PLaD by the share of real pairs (Figure 2)"
    figure = Figure("real-pairs", title, "pairs ordered by the scorer, %", tuple(seeds), NOTE, tuple(points))
    return write_figure(figure, folder, recipe)
