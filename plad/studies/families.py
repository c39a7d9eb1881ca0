"""Table 2 of the paper: students of other families, T5 among them, under one teacher."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.progress import Display
from plad.studies.figures import Arm, Figure, run_arms, write_by_model

NOTE = "Methods that look inside the teacher are left out: they need a student of the teacher's own kind."


def families(
    recipe: Recipe,
    folder: Path,
    seeds: Sequence[int],
    display: Display,
    students: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Each method that learns from text, by the family of the student.

    The teacher is trained once a seed, unless long prompts are dropped: which these are is for both models to say.

    Args:
        students: a `student.model` by the name that the table gives it. Of a model from scratch, by default, a
            decoder-only one and T5 with the recipe's settings.

    Raises:
        PladError: no students are named and the recipe's is no model from scratch, or what a run raises.
    """
    chosen = students or _both(recipe)
    inside = [
        name
        for name, method in recipe.baselines.items()
        if method and method.objective(recipe.distill.loss).needs_teacher
    ]
    blind = [f"baselines.{name}=null" for name in inside]
    arms = []
    for name, model in chosen.items():
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise PladError(f"a student's name names folders: letters, digits and any of . _ -, but this is {name!r}.")
        arms.append(Arm(f"student-{name}", name, (f"student.model={json.dumps(model)}", *blind)))
    runs = run_arms(recipe, folder, arms, seeds, display)
    title = "Win rate by the family of the student (Table 2)"
    return write_by_model(Figure("families", title, "student", tuple(seeds), NOTE, ()), arms, runs, folder, recipe)


def _both(recipe: Recipe) -> dict[str, dict[str, Any]]:
    model = recipe.student.model.model_dump(mode="json")
    if model["type"] != "scratch":
        raise PladError(
            f"families compares students of several families, but student.model is of type {model['type']} and says "
            "nothing of others. Name each by --student NAME=MAPPING, such as --student t5='{path: google-t5/t5-small}'."
        )
    return {name: model | {"architecture": name} for name in ("llama", "t5")}
