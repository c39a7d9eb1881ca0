"""One cell of the results on real models at a tenth of its size, beside the row that docs/results.md has.

    make bench-quick
    python benchmarks/real_quick.py --recipe recipes/real-debian.yaml --published docs/benchmarks/real-debian.json

The cell is PLaD of one seed, with what it needs and nothing else: teacher, initial student, answers, pairs, judge. A
tenth of the data and of the distillation's steps are taken. Of fine-tuning it is a third of the steps, since models
that had less do not end their answers, and such answers make no pair; of the test prompts a third, since the intervals
of a tenth would hold anything. It shows that the whole chain runs here and where its numbers come to lie; they are not
those of the page, and the last line says whether the published number is within the interval found here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plad.config import Recipe, Training, load_recipe
from plad.progress import choose_display
from plad.report.numbers import interval, percent, plain
from plad.studies import make_table1

PART, FINE_TUNED, TESTED = 10, 3, 3
"""What the data, the steps of fine-tuning, and the test prompts are divided by."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--recipe", type=Path, default=Path("recipes/real-debian.yaml"))
    options.add_argument("--published", type=Path, help="[default: docs/benchmarks/NAME.json]")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, help="[default: runs/NAME-quick]")
    given = options.parse_args()
    recipe = smaller(load_recipe(given.recipe))
    published = given.published or Path("docs/benchmarks") / f"{recipe.name}.json"
    table = make_table1(recipe, given.out or Path("runs") / f"{recipe.name}-quick", [given.seed], choose_display())
    print(told(table, json.loads(published.read_text(encoding="utf-8")) if published.is_file() else None))


def smaller(recipe: Recipe) -> Recipe:
    """A tenth of a recipe, with no method but the one that it is about."""
    splits = recipe.task.splits
    caps = {
        f"max_{name}": cap and max(1, cap // (TESTED if name == "test" else PART))
        for name, cap in zip(("train", "distill", "validation", "test"), splits.caps(), strict=True)
    }
    evaluate = recipe.evaluate.model_copy(
        update={"calibration": None, "judge_samples": recipe.evaluate.judge_samples // PART}
    )
    update: dict[str, Any] = {
        "task": recipe.task.model_copy(update={"splits": splits.model_copy(update=caps)}),
        "baselines": {"sft": None, "seqkd": None},
        "evaluate": evaluate,
    }
    for name in ("teacher", "student"):
        role = getattr(recipe, name)
        update[name] = role.model_copy(update={"sft": role.sft and _shorter(role.sft)})
    return recipe.model_copy(update=update)


def _shorter(training: Training) -> Training:
    return training.model_copy(update={"max_steps": training.max_steps and max(1, training.max_steps // FINE_TUNED)})


def told(table: Mapping[str, Any], published: Mapping[str, Any] | None) -> str:
    """The rows of both tables one above the other, and whether the interval found here holds the number there."""
    lines = [f"{'':<34}{'words':>8}{'R-L':>8}{'RM WR':>8}  wins vs. initial"]
    for where, found in (("here, at a tenth", table), ("published", published)):
        lines += [_row(f"{row['label']}, {where}", row) for row in (found or {}).get("rows", ()) if _wanted(row, table)]
    if published is None:
        return "\n".join([*lines, "Nothing is published of this recipe yet."])
    here, there = (_row_of(found, table["subject"])["against_initial"] for found in (table, published))
    within = here["low"] <= there["value"] <= here["high"]
    verdict = (
        f"{percent(there['value'])} % is published, which is {'within' if within else 'outside'} {interval(here)} %."
    )
    return "\n".join(
        [*lines, f"Wins of {_row_of(table, table['subject'])['label']} over the initial student: {verdict}"]
    )


def _wanted(row: Mapping[str, Any], table: Mapping[str, Any]) -> bool:
    return row["name"] in ("teacher", "student", table["subject"])


def _row_of(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next(row for row in table["rows"] if row["name"] == name)


def _row(label: str, row: Mapping[str, Any]) -> str:
    over = row["against_initial"]
    wins = f"{percent(over['value'])} ({interval(over)})" if over else "–"
    shares = "".join(f"{percent(row[key]['value']):>8}" for key in ("rougeL", "win_rate"))
    return f"{label:<34}{plain(row['words']['value']):>8}{shares}  {wins}"


if __name__ == "__main__":
    main()
