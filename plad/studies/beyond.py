"""Beyond the paper: PLaD in rounds, of several answers a prompt, with or without an anchor; each beside plain PLaD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.progress import Display
from plad.records import Generation, read_jsonl
from plad.report.numbers import with_interval
from plad.runs import Run, write_json, write_text
from plad.studies.beyond_table import csv_rows, draw_rows, markdown_rows
from plad.studies.figures import ALONE, ANSWERS, ONE_ANSWER, ROUNDS, SEVERAL, Arm, Figure, Point, run_arms, wins_over
from plad.studies.render import subject_row
from plad.studies.table1 import collect

ANCHOR = 1.0
PLAIN = "plain"
NOTE = (
    "Wins by the run's judge on the test split; those over plain PLaD, the recipe's in one round of one answer, "
    "are paired by seed and prompt, with no correction for their number. Each setting differs from it in one "
    "thing. It takes as many optimiser steps, all rounds together, but for prompts that make a pair in one form "
    "alone and for rounds that end early. Settings do not cost the same: answers are those of teacher and student "
    "that are learnt from, or chosen among."
)


def beyond(recipe: Recipe, folder: Path, seeds: Sequence[int], display: Display) -> dict[str, Any]:
    """PLaD by each of these settings; data, fine-tuned models, judge and what teacher and student answer are shared.

    Returns:
        What beyond.json holds: the figure, and `rows`, one a setting. A row's numbers are means over the seeds: wins
        over the initial student, over plain PLaD (None for that itself) and over the reference, words and
        ROUGE-L as `{"value", "low", "high", "n"}`, `steps` and `answers` as numbers.

    Raises:
        PladError: the run is not about PLaD, pairs.scorer is null, or what a run raises.
    """
    arms = _arms(recipe)
    runs = run_arms(recipe, folder, arms, seeds, display)
    rows = [_row(arm, runs[arm.name], runs[PLAIN]) for arm in arms]
    points = [
        Point(series, hue, row["setting"], row[key])
        for row in rows
        for series, hue, key in (
            ("over the initial student", "plad", "against_initial"),
            ("over plain PLaD", "other", "against_plain"),
        )
        if row[key] is not None
    ]
    title = "PLaD beyond the paper"
    figure = Figure("beyond", title, "setting", tuple(seeds), NOTE, tuple(points))
    found = {**figure.to_json(), "verdict": verdict(rows), "rows": rows}
    write_json(folder / "beyond.json", found)
    write_text(folder / "beyond.csv", csv_rows(rows))
    write_text(folder / "beyond.md", markdown_rows(figure, found["verdict"], rows))
    svg, html = draw_rows(figure, found["verdict"], rows, recipe.to_yaml())
    write_text(folder / "beyond.svg", svg)
    write_text(folder / "beyond.html", html)
    return found


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which settings differ from plain PLaD beyond the interval of their wins over it, as sentences."""
    told = []
    for word, end, sign in (("better", "low", 1), ("worse", "high", -1)):
        names = [
            f"{row['setting']}, winning on {with_interval(over)}"
            for row in rows
            if (over := row["against_plain"]) is not None and sign * (over[end] - 0.5) > 0
        ]
        told.append(f"Beyond the interval {word} than plain PLaD: {'; '.join(names) or 'none'}.")
    return " ".join(told)


def _arms(recipe: Recipe) -> list[Arm]:
    """The recipe's PLaD in one round of one answer, and six that differ from it; the last in its anchor."""
    method = recipe.distill.method
    if method.type != "plad":
        raise PladError(
            f"beyond is about PLaD in other forms, but distill.method is of type {method.type}. "
            "Set it to plad: --set 'distill.method={type: plad}'."
        )
    anchor = "distill.method.loss.anchor" if method.loss else "distill.loss.anchor"
    other = 0.0 if (method.loss or recipe.distill.loss).anchor else ANCHOR
    plain = (ALONE, *ONE_ANSWER)
    forms = {
        PLAIN: (PLAIN, ()),
        "rounds": (f"{ROUNDS} rounds", (f"distill.rounds={ROUNDS}", _a_share_of_the_steps(recipe))),
        "random": (f"random of {ANSWERS}", (*SEVERAL, "pairs.negatives=random")),
        "hardest": (f"hardest of {ANSWERS}", (*SEVERAL, "pairs.negatives=hardest")),
        "all": (f"all of {ANSWERS}", (*SEVERAL, "pairs.negatives=all")),
        "best": (f"teacher's best of {ANSWERS}", (f"teacher.samples={ANSWERS}", "pairs.positives=best")),
        "anchor": (f"anchor {other:g}", (f"{anchor}={other}",)),
    }
    return [Arm(name, label, (*plain, *settings)) for name, (label, settings) in forms.items()]


def _a_share_of_the_steps(recipe: Recipe) -> str:
    """A round's share of the steps that the recipe has for one."""
    if recipe.distill.max_steps is not None:
        return f"distill.max_steps={max(1, round(recipe.distill.max_steps / ROUNDS))}"
    return f"distill.epochs={recipe.distill.epochs / ROUNDS}"


def _row(arm: Arm, runs: Sequence[Run], plain: Sequence[Run]) -> dict[str, Any]:
    table = collect(runs)
    row, name = subject_row(table), table["subject"]
    return {
        "arm": arm.name,
        "setting": arm.x,
        "against_initial": row["against_initial"],
        "against_plain": None if arm.name == PLAIN else wins_over(runs, name, plain, name).to_json(),
        **{key: row[key] for key in ("win_rate", "words", "rougeL")},
        "steps": fmean((run.finished(f"distill/{name}") or {})["summary"]["steps"] for run in runs),
        "answers": fmean(map(_answers, runs)),
    }


def _answers(run: Run) -> int:
    """Of teacher and student to the distillation half, those of further rounds too."""
    files = [run.path("generations", f"{name}.jsonl") for name in ("teacher", "student")]
    files += run.path("rounds").glob("*/student.jsonl")
    return sum(1 for file in files for _ in read_jsonl(file, Generation))
