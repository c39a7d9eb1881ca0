"""Every task of a recipe, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from plad import stages
from plad.config import Recipe
from plad.planning.distilling import distill_task, kept_texts, logits_task, round_tasks
from plad.planning.evaluating import evaluation_tasks, judge_task
from plad.planning.settings import (
    asked_of,
    caps,
    described,
    determining,
    own_prompt,
    pairing,
    prompt_of,
    trained_by,
    without_caps,
)
from plad.planning.task import Task, task_of


def plan(recipe: Recipe) -> list[Task]:
    """Every task of a recipe, in an order in which each comes after those it needs."""
    data = determining(recipe.model_dump(mode="json"))
    tasks = [_check(recipe, data), _prepare(recipe, data)]
    for name in ["student"] if recipe.teacher.text_only else ["teacher", "student"]:
        settings = {"role": data[name], "prompt": prompt_of(data, name)} | caps(data, "train", "validation")
        tuned = task_of(f"sft/{name}", partial(stages.fine_tune, name=name), settings, ["prepare"], f"models/{name}")
        tasks.append(replace(tuned, trains=data[name]["sft"] is not None))
    for name in ("teacher", "student"):
        output = f"generations/{name}.jsonl"
        settings = data["sample"] | {"samples": recipe.sampling_of(name).samples} | asked_of(recipe, data, name)
        settings |= caps(data, "distill")
        tasks.append(
            task_of(f"sample/{name}", partial(stages.sample, name=name), settings, [trained_by(recipe, name)], output)
        )
    settings = pairing(recipe, data)
    tasks.append(
        task_of("pair", stages.pair, settings, ["sample/teacher", "sample/student"], "pairs.jsonl", "pairs.json")
    )
    tasks += [logits_task(recipe, text, data) for text in kept_texts(recipe)]
    judge = judge_task(recipe, data)
    *compared, subject = recipe.methods.items()
    # Which step of a training is kept may be for the judge to say.
    tasks += [judge] if recipe.distill.keep == "best" else []
    tasks += [distill_task(recipe, name, method, data) for name, method in compared]
    after = [] if recipe.distill.keep == "best" else [judge]
    if recipe.distill.rounds == 1:
        return [*tasks, distill_task(recipe, *subject, data), *after, *evaluation_tasks(recipe, data)]
    # Whether a round is followed by another is for the judge to say.
    return [*tasks, *after, *round_tasks(recipe, *subject, data), *evaluation_tasks(recipe, data)]


def _check(recipe: Recipe, data: Mapping[str, Any]) -> Task:
    calibration = data["evaluate"]["calibration"] or {}
    settings = {
        "models": [data["teacher"]["model"], data["student"]["model"]],
        "prompt": data["prompt"],
        "sample": [data["sample"], data["evaluate"]["sampling"]],
        "scorers": [data["evaluate"]["judge"], data["pairs"]["scorer"] if recipe.scores_pairs else None],
        "white_box": stages.white_box(recipe),
        "beside": [*data["evaluate"]["also"], calibration.get("scorer")],
    }
    if "audit" in data["pairs"]:
        settings["audit"] = data["pairs"]["audit"]
    settings |= own_prompt(data)
    # Nothing follows it: a new judge is tried, and training stays as it is.
    return task_of("prepare/check", stages.check, settings, [])


def _prepare(recipe: Recipe, data: Mapping[str, Any]) -> Task:
    source = recipe.task.source
    files = [getattr(source, field, None) for field in ("path", "file")]
    settings = {
        "task": data["task"] | {"source": _determining(data["task"]["source"])},
        "prompt": data["prompt"],
        "tokenizers": [
            None if recipe.teacher.text_only else _read_by(data["teacher"]["model"]),
            _read_by(data["student"]["model"]),
        ],
        # An edit of the data is a change of the recipe as much as one of the recipe's own text.
        "files": [described(file) for file in files if file],
        **({} if recipe.teacher.text_only else own_prompt(data)),
    }
    outputs = [f"data/{name}.jsonl" for name in stages.SPLITS] + ["data/summary.json"]
    outputs += [f"models/.tokenizer-{name}" for name in stages.with_weights(recipe)]
    handed_on = settings | {"task": without_caps(settings["task"])}
    if not any(prompt and prompt["too_long"] == "drop" for prompt in (data["prompt"], data["teacher_prompt"])):
        # What a tokenizer reads then decides of no prompt, and a model's own is among the settings of its task.
        del handed_on["tokenizers"]
    return replace(task_of("prepare", stages.prepare, settings, [], *outputs), handed_on=handed_on)


AS_THEY_ARE = {"keep_layers": None, "dtype": "float32", "attention": None}
"""How many of a model's weights there are and how they are held, of which its tokenizer knows nothing; the defaults."""


def _read_by(model: Mapping[str, Any]) -> dict[str, Any]:
    """What determines a model's tokenizer."""
    return {key: AS_THEY_ARE.get(key, value) for key, value in model.items() if key != "quantise"}


def _determining(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source without how its rows come, which changes none of them."""
    return {key: value for key, value in source.items() if key != "streaming"}
