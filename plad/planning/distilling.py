"""The tasks of distillation: a training a method, and those of the rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from plad import stages
from plad.config import Recipe
from plad.methods import Method, Text, answered_by
from plad.planning.settings import asked_of, once, own_settings, pairing, scored_alike, share_of, trained_by, with_a_say
from plad.planning.task import Task, task_of


def kept_texts(recipe: Recipe) -> list[Text]:
    """The texts along which what the teacher says is kept."""
    if recipe.distill.teacher_logits is None:
        return []
    return list(dict.fromkeys(recipe.methods[name].learns_from for name in stages.white_box(recipe)))


def logits_task(recipe: Recipe, text: Text, data: Mapping[str, Any]) -> Task:
    """What the teacher says along a text, kept on disk."""
    settings = share_of(data) | {"keep": data["distill"]["teacher_logits"], "hygiene": data["pairs"]["hygiene"]}
    after = ["prepare", "sft/teacher", "sft/student", *(f"sample/{name}" for name in answered_by(text))]
    # No method can have a name with a slash in it.
    return task_of(f"distill/logits/{text}", partial(stages.keep_logits, text=text), settings, after, f"logits/{text}")


def distill_task(recipe: Recipe, name: str, method: Method, data: Mapping[str, Any]) -> Task:
    """The training of the initial student by a method."""
    apart = ("method", "loss", "rounds", "replay", "share", "teacher_logits")
    optimisation = with_a_say({key: value for key, value in data["distill"].items() if key not in apart})
    if method.calibrated:
        optimisation["loss"] = scored_alike(data["distill"]["loss"])
    settings = share_of(data) | {"distill": optimisation, "method": own_settings(method)}
    if method.learns_from == "samples" or recipe.distill.guard:
        settings["max_new_tokens"] = data["sample"]["max_new_tokens"]
    after = ["prepare", "sft/student", "pair", *(["evaluate/judge"] if recipe.distill.keep == "best" else [])]
    if recipe.distill.teacher_logits and name in stages.white_box(recipe):
        after.append(f"distill/logits/{method.learns_from}")
    task = task_of(f"distill/{name}", partial(stages.distill, name=name), settings, after, f"models/{name}")
    return replace(task, trains=True)


def round_tasks(recipe: Recipe, name: str, method: Method, data: Mapping[str, Any]) -> list[Task]:
    """The student's rounds, each its pairs, its training and its check, and the one that is kept.

    All that the recipe allows are here; those behind a check that ends them find nothing to do.
    """
    tasks = [_check_round(recipe, name, 0, data, asked_of(recipe, data, "teacher"))]
    training = distill_task(recipe, name, method, data)
    for k in range(1, recipe.distill.rounds + 1):
        after, work = [*training.after, tasks[-1].name], partial(stages.train_round, name=name, number=k)
        if k > 1:
            again = {"sample": data["sample"], "replay": data["distill"]["replay"], **pairing(recipe, data)}
            pairs = partial(stages.pair_again, name=name, number=k)
            outputs = [f"rounds/{k}/{file}.jsonl" for file in ("student", "pairs")]
            tasks.append(task_of(f"distill/{name}@{k}/pairs", pairs, again, after, *outputs))
            after.append(tasks[-1].name)
        tasks.append(
            replace(
                training, name=f"distill/{name}@{k}", work=work, after=tuple(after), outputs=(f"models/{name}@{k}",)
            )
        )
        tasks.append(_check_round(recipe, name, k, data))
    keep = partial(stages.keep_best, name=name)
    settings, after = {"rounds": recipe.distill.rounds}, [task.name for task in tasks]
    return [*tasks, task_of(f"distill/{name}", keep, settings, after, "rounds.json", f"models/{name}")]


def _check_round(
    recipe: Recipe, name: str, number: int, data: Mapping[str, Any], asked: Mapping[str, Any] | None = None
) -> Task:
    """With the initial student, which is round 0, the teacher answers too."""
    settings = {"sampling": once(data["evaluate"]["sampling"] or data["sample"]), **(asked or {})}
    trained = [f"distill/{name}@{number}"] if number else ["sft/student", trained_by(recipe, "teacher")]
    before = [f"distill/{name}@{number - 1}/check"] if number else []
    work, after = partial(stages.check_round, name=name, number=number), [*trained, *before, "evaluate/judge"]
    return task_of(f"distill/{name}@{number}/check", work, settings, after, f"rounds/{number}/check")
