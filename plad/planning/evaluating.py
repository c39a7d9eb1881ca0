"""The tasks of evaluation: the judge, the answers, other scorers, the table, calibration, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from plad import stages
from plad.config import Recipe
from plad.planning.settings import asked_of, caps, normalised_by, once, trained_by, with_a_say
from plad.planning.task import Task, task_of

TABLE = 2
"""Raised when the table of results comes to say more of the same outputs: it alone is made again."""


def judge_task(recipe: Recipe, data: Mapping[str, Any]) -> Task:
    """What makes the judge ready: its training, where it is trained by the run."""
    taught = ("judge", "judge_prompts", "judge_samples")
    judge = {"sample": once(data["sample"])} | {name: data["evaluate"][name] for name in taught}
    made = ["judge"] if recipe.evaluate.trains_judge else []
    return task_of("evaluate/judge", stages.train_judge, judge, ["prepare", "sft/student"], *made)


def evaluation_tasks(recipe: Recipe, data: Mapping[str, Any]) -> list[Task]:
    """Answers of every model, scores, the table, calibration, and the report."""
    tasks = []
    names = ["teacher", "student", *recipe.methods]
    sampling = {"sampling": once(data["evaluate"]["sampling"] or data["sample"]), **_asked(data)}
    # A pairwise judge sets the others beside the initial student, which therefore answers first.
    for name in sorted(names, key=lambda name: name != "student") if recipe.evaluate.pairwise else names:
        after = [trained_by(recipe, name), "evaluate/judge"]
        if recipe.evaluate.pairwise and name != "student":
            after.append("evaluate/student")
        work, settings = partial(stages.answer, name=name), sampling | asked_of(recipe, data, name)
        outputs = [f"evaluation/{name}.jsonl", *_verdicts(recipe, name)]
        tasks.append(task_of(f"evaluate/{name}", work, settings, after, *outputs))
    answers = [f"evaluate/{name}" for name in names]
    for label, scorer in zip(recipe.evaluate.others, data["evaluate"]["also"], strict=True):
        outputs = [f"evaluation/scores/{label}/{name}.jsonl" for name in names]
        also = partial(stages.score_also, label=label, names=names)
        tasks.append(task_of(f"evaluate/also-{label}", also, {"scorer": scorer}, answers, *outputs))
    table = partial(stages.summarise, names=names)
    beside = [f"evaluate/also-{label}" for label in recipe.evaluate.others]
    asked = {"models": names, "table": TABLE}
    tasks.append(task_of("evaluate/results", table, asked, [*answers, *beside], "evaluation/results.json"))
    if recipe.evaluate.calibration:
        students = names[1:] if recipe.evaluate.calibration.of == "all" else ["student", names[-1]]
        tasks.append(_calibrate(data, students))
    shown = [task.name for task in tasks if task.name in ("evaluate/results", "evaluate/calibration")]
    # The report counts the prompts of all splits.
    return [*tasks, task_of("report", stages.report, caps(data, *stages.SPLITS), shown, "report.html", "report.md")]


def _asked(data: Mapping[str, Any]) -> dict[str, Any]:
    """The prompts that every model is evaluated on."""
    split = data["evaluate"]["split"]
    return {"split": split, **caps(data, split)}


def _verdicts(recipe: Recipe, name: str) -> list[str]:
    """Where a pairwise judge's replies on a model's answers go."""
    if not recipe.evaluate.pairwise:
        return []
    opponents = ["reference"] if name == "student" else ["reference", "student"]
    return [f"evaluation/verdicts/{name}-{opponent}.jsonl" for opponent in opponents]


def _calibrate(data: Mapping[str, Any], names: list[str]) -> Task:
    settings = {
        "calibration": with_a_say(data["evaluate"]["calibration"]),
        "sample": data["sample"],
        **_asked(data),
        "normalise": normalised_by(data),
    }
    after = ["sft/student", *(f"distill/{name}" for name in names[1:]), "evaluate/judge"]
    work = partial(stages.calibrate, names=names)
    outputs = [f"evaluation/calibration/{name}.jsonl" for name in names]
    return task_of("evaluate/calibration", work, settings, after, *outputs, "evaluation/calibration.json")
