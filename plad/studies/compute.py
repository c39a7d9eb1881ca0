"""Which method, at matched compute: every method of a recipe, and PLaD in its other forms, by what its training costs.

Teacher tokens are matched too: every form learns from one answer of the teacher a prompt, or from the best of several
to as many fewer prompts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.losses.lists import ListLoss
from plad.progress import Display
from plad.report.numbers import with_interval
from plad.report.read import hue_of
from plad.runs import Run, write_json, write_text
from plad.studies.compute_page import csv_rows, draw_page, markdown_rows
from plad.studies.figures import ANSWERS, ONE_ANSWER, ROUNDS, SEVERAL, Arm, run_arms, wins_over
from plad.studies.table1 import collect

REPLAY = 0.25
MULTIPLES = (0.5, 1.0, 2.0)

NOTE = (
    "Wins on the validation split by the run's judge, which no method learns from; intervals have the spread between "
    "seeds in them. A method takes the steps that the budget pays for, in estimated FLOPs: the answers that it learns "
    "from, of teacher and student, its training, and what is drawn or read meanwhile. Wins over PLaD are those over "
    "the recipe's PLaD in one round of one answer on the same budget, paired by seed and prompt, with no correction "
    "for their number. Rounds end, and the best is kept, by the same split, which flatters them a little."
)


@dataclass(frozen=True)
class Form:
    """A way to make pairs; `methods` are the baselines that are trained on them beside PLaD."""

    label: str
    settings: tuple[str, ...]
    methods: tuple[str, ...] = ()


def compute(
    recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display, values: Sequence[float] = MULTIPLES
) -> dict[str, Any]:
    """Every method on every budget, by seeds, on the validation split.

    Args:
        values: budgets, as multiples of the recipe's distill.max_flops.

    Returns:
        What compute.json holds: `seeds`, `budgets` in FLOPs, `verdict` and `rows`, one a method and budget. A row's
        numbers are means over the seeds: `against_initial`, `against_plad` (None for that itself), `rougeL` and `words`
        as `{"value", "low", "high", "n"}`, `flops` and `generated` tokens as numbers.

    Raises:
        PladError: distill.max_flops is null, the run is not about PLaD, pairs.scorer is null, or what a run raises.
    """
    budgets = [value * _base(recipe) for value in values]
    forms = _forms(recipe)
    arms = {(name, budget): _arm(recipe, name, form, budget) for name, form in forms.items() for budget in budgets}
    runs = run_arms(recipe, folder, list(arms.values()), seeds, display)
    rows = [
        row
        for (name, budget), arm in arms.items()
        for row in _rows(forms[name], budget, runs[arm.name], runs[arms["one", budget].name])
    ]
    found = {"seeds": list(seeds), "budgets": budgets, "verdict": verdict(rows), "note": NOTE, "rows": rows}
    write_json(folder / "compute.json", found)
    write_text(folder / "compute.csv", csv_rows(rows))
    write_text(folder / "compute.md", markdown_rows(found))
    svgs, html = draw_page(found, recipe.to_yaml())
    for name, svg in svgs.items():
        write_text(folder / f"{name}.svg", svg)
    write_text(folder / "compute.html", html)
    return found


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which methods are ahead of PLaD, and behind it, beyond the interval on every budget; and which gains most."""
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_label.setdefault(row["label"], []).append(row)
    best = max(rows, key=lambda row: row["against_initial"]["value"])
    told = [
        f"The most that any method wins over the initial student: {best['label']}, "
        f"{with_interval(best['against_initial'])}, at {best['budget'] / 1e12:g} TFLOP."
    ]
    for word, end, sign in (("ahead of", "low", 1), ("behind", "high", -1)):
        names = [
            label
            for label, some in by_label.items()
            if all(row["against_plad"] and sign * (row["against_plad"][end] - 0.5) > 0 for row in some)
        ]
        told.append(f"Beyond the interval {word} plain PLaD on every budget: {', '.join(names) or 'none'}.")
    return " ".join(told)


def _base(recipe: Recipe) -> float:
    if recipe.distill.method.type != "plad":
        raise PladError(
            f"compute compares with PLaD, but distill.method is of type {recipe.distill.method.type}. "
            "Set it to plad: --set 'distill.method={type: plad}'."
        )
    if recipe.distill.max_flops is None:
        raise PladError(
            "compute needs the budget of one method's training in FLOPs, but distill.max_flops is null. Set it: "
            "--set distill.max_flops=4e12. `plad estimate` tells what the recipe's own steps cost."
        )
    return recipe.distill.max_flops


def _forms(recipe: Recipe) -> dict[str, Form]:
    """Each beside the first in one thing. Those of several answers take them from the student, who costs little."""
    named = {name: method for name, method in recipe.methods.items() if name != recipe.distill.method.type}
    # Losses of lists are meant for several answers of the student.
    lists = tuple(name for name, method in named.items() if isinstance(method, ListLoss))
    few = f"distill.share={recipe.distill.share / ANSWERS}"
    return {
        "one": Form("", (), tuple(name for name in named if name not in lists)),
        "rounds": Form(f"{ROUNDS} rounds", (f"distill.rounds={ROUNDS}", f"distill.replay={REPLAY}")),
        "hardest": Form(f"hardest of {ANSWERS}", (*SEVERAL, "pairs.negatives=hardest")),
        "all": Form(f"all of {ANSWERS}", (*SEVERAL, "pairs.negatives=all"), lists),
        "best": Form(f"teacher's best of {ANSWERS}", (f"teacher.samples={ANSWERS}", "pairs.positives=best", few)),
        "audit": Form("audited", ("pairs.audit={action: drop}",)),
    }


def _arm(recipe: Recipe, name: str, form: Form, budget: float) -> Arm:
    plain = (
        *ONE_ANSWER,
        *("distill.replay=0", "distill.max_steps=null", "pairs.audit=null", "evaluate.split=validation"),
    )
    kept: dict[str, Any] = {"sft": None, "seqkd": None}
    kept |= {each: recipe.methods[each].model_dump(mode="json") for each in form.methods}
    settings = (*plain, f"baselines={json.dumps(kept)}", f"distill.max_flops={budget}", *form.settings)
    return Arm(f"{name}-{budget / 1e12:g}", budget, settings)


def _rows(form: Form, budget: float, runs: Sequence[Run], plain: Sequence[Run]) -> list[dict[str, Any]]:
    table = collect(runs)
    subject, names = table["subject"], [row["name"] for row in table["rows"]]
    return [
        {
            "label": f"{row['label']}, {form.label}" if form.label and name == subject else row["label"],
            "hue": hue_of(name, subject, names),
            "form": form.label,
            "budget": budget,
            "against_plad": None
            if runs is plain and name == subject
            else wins_over(runs, name, plain, subject).to_json(),
            **{key: row[key] for key in ("against_initial", "rougeL", "words", "flops", "generated")},
        }
        for row in table["rows"]
        if (name := row["name"]) not in ("teacher", "student")
    ]
