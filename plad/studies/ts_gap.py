"""What the paper states in words: PLaD gains more where the teacher is further ahead of the student."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.progress import Display
from plad.studies.figures import ALONE, Arm, Figure, Point, run_arms, write_figure
from plad.studies.render import subject_row
from plad.studies.table1 import collect

FACTORS = (0.25, 0.5, 1.0, 2.0)
NOTE = (
    "Each point is a student that was fine-tuned for longer or shorter before distillation. To the right are those "
    "that the teacher beats more often; above the line those that PLaD makes better."
)


def ts_gap(
    recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display, values: Sequence[float] = FACTORS
) -> dict[str, Any]:
    """PLaD's win rate over the initial student by the teacher's; the teacher is trained once a seed.

    Args:
        values: multiples of the recipe's own fine-tuning of the student, in steps where it names them, else in epochs.

    Raises:
        PladError: the student is not fine-tuned, or what a run raises.
    """
    sft = recipe.student.sft
    if sft is None:
        raise PladError("ts-gap varies how long the student is fine-tuned, but student.sft is null. Set its epochs.")

    def setting(factor: float) -> str:
        if sft.max_steps is not None:
            return f"student.sft.max_steps={max(1, round(factor * sft.max_steps))}"
        return f"student.sft.epochs={factor * sft.epochs}"

    arms = [Arm(f"sft-x{v:g}", v, (ALONE, setting(v))) for v in values]
    tables = {name: collect(runs) for name, runs in run_arms(recipe, folder, arms, seeds, display).items()}
    points = []
    for arm in arms:
        table = tables[arm.name]
        row = subject_row(table)
        gap = round(100 * table["teacher_student"]["value"], 2)
        points.append(Point(f"fine-tuned × {arm.x:g}", "plad", gap, row["against_initial"]))
    title = "PLaD's gain by the gap between teacher and student"
    x_name = "teacher's wins over the initial student, %"
    return write_figure(Figure("ts-gap", title, x_name, tuple(seeds), NOTE, tuple(points)), folder, recipe)
