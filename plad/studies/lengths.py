"""Figure 3 of the paper: the gain over the initial student by the length of what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from plad.config import Recipe
from plad.evaluation.length import FEWEST
from plad.evaluation.methods import outcomes_against
from plad.evaluation.statistics import mean_over_seeds
from plad.progress import Display
from plad.records import EvalRow, read_jsonl
from plad.report.read import hue_of
from plad.runs import Run
from plad.studies.figures import Figure, Point, run_seeds, write_figure
from plad.studies.table1 import collect

Rows = Sequence[EvalRow]
NOTE = (
    "Wins over the initial student by the run's judge on the test split, by the words of the method's own answer. The "
    "bins are the same for all methods and hold as many of their answers together; a bin with few of one method's has "
    "no point."
)


def lengths(recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display) -> dict[str, Any]:
    """Every method of the recipe by the length of its outputs.

    Raises:
        PladError: what a run raises.
    """
    runs = run_seeds(recipe, folder, seeds, display)
    table = collect(runs)
    labels = {row["name"]: row["label"] for row in table["rows"]}
    rows = {name: [_rows(run, name) for run in runs] for name in labels}
    before = rows.pop("student")
    del rows["teacher"]
    points = [
        Point(labels[name], hue_of(name, table["subject"], list(labels)), label, estimate)
        for label, low, high in bins([row.words for some in rows.values() for each in some for row in each])
        for name, by_seed in rows.items()
        if (estimate := _rate(by_seed, before, low, high)) is not None
    ]
    title = "Win rate over the initial student by length of output (Figure 3)"
    return write_figure(Figure("lengths", title, "words", tuple(seeds), NOTE, tuple(points)), folder, recipe)


def bins(words: Sequence[int], count: int = 4) -> list[tuple[str, int, int]]:
    """Up to `count` ranges of lengths with about as many texts each: a label, and both ends in words, inclusive."""
    cuts = np.unique(np.quantile(words, np.linspace(0, 1, count + 1)[1:-1], method="lower")).astype(int)
    ends = sorted({*(int(cut) for cut in cuts), max(words)})
    starts = [min(words), *(end + 1 for end in ends[:-1])]
    return [(f"{low}–{high}" if low < high else f"{low}", low, high) for low, high in zip(starts, ends, strict=True)]


def _rate(by_seed: Sequence[Rows], before: Sequence[Rows], low: int, high: int) -> Mapping[str, Any] | None:
    """The win rate over the initial student on the prompts answered in so many words; None on too few."""
    won = [
        [float(one) for row, one in zip(rows, outcomes_against(rows, initial), strict=True) if low <= row.words <= high]
        for rows, initial in zip(by_seed, before, strict=True)
    ]
    if any(len(some) < FEWEST for some in won):
        return None
    return mean_over_seeds(won).to_json()


def _rows(run: Run, name: str) -> list[EvalRow]:
    return list(read_jsonl(run.path("evaluation", f"{name}.jsonl"), EvalRow))
