"""Table 3 of the paper: the same outputs under a reward model and under a language model as the judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.evaluation.statistics import mean_over_seeds, wins
from plad.generation import OpenAI
from plad.progress import Display
from plad.records import EvalRow, Score, read_jsonl
from plad.report.read import HUES
from plad.runs import Run
from plad.scoring.judging import is_pairwise
from plad.studies.figures import Figure, Point, run_seeds, write_figure
from plad.studies.table1 import collect

NOTE = "Win rates over the reference on the same outputs of the test split, by each scorer of the recipe."
STAND_IN = (
    " The language model that judges here is a local one and stands in for a large one behind an API: what it says is "
    "worth no more than its agreement with the others."
)


def judges(recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display) -> dict[str, Any]:
    """Every model of the recipe under its judge and under each scorer of evaluate.also.

    Raises:
        PladError: none of them is a language model, or what a run raises.
    """
    scorers = {recipe.evaluate.judge.type: recipe.evaluate.judge, **recipe.evaluate.others}
    asked = [scorer for scorer in scorers.values() if is_pairwise(scorer)]
    if not asked:
        raise PladError(
            f"judges compares a scorer with a language model, but the recipe has {', '.join(scorers)}. "
            "Add one to evaluate.also, such as {type: judge, model: {type: openai, model: NAME, base_url: ADDRESS}}."
        )
    runs = run_seeds(recipe, folder, seeds, display)
    labels = {row["name"]: row["label"] for row in collect(runs)["rows"]}
    points = [
        Point(f"{scorer} (the judge)" if not place else scorer, ("plad", *HUES)[place % 6], label, estimate)
        for place, scorer in enumerate(_scorers(recipe))
        for name, label in labels.items()
        for estimate in [mean_over_seeds([_wins(run, scorer, place, name) for run in runs]).to_json()]
    ]
    local = not all(isinstance(judge.model, OpenAI) for judge in asked)
    title = "Win rate over the reference by scorer (Table 3)"
    figure = Figure("judges", title, "model", tuple(seeds), NOTE + STAND_IN * local, tuple(points))
    return write_figure(figure, folder, recipe)


def _scorers(recipe: Recipe) -> list[str]:
    return [recipe.evaluate.judge.type, *recipe.evaluate.others]


def _wins(run: Run, scorer: str, place: int, name: str) -> Any:
    """Per prompt; the judge's own scores stand with the answers, those of the others apart."""
    rows: Sequence[EvalRow | Score]
    if not place:
        rows = list(read_jsonl(run.path("evaluation", f"{name}.jsonl"), EvalRow))
    else:
        rows = list(read_jsonl(run.path("evaluation", "scores", scorer, f"{name}.jsonl"), Score))
    return wins([row.score for row in rows], [row.reference_score for row in rows])
