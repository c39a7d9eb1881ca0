"""The initial student trained further, by each method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from plad.losses import Loss
from plad.methods import Method
from plad.models.prompts import Formatter
from plad.models.vocabulary import check_same_tokens
from plad.records import PreferencePair, Prompt
from plad.stages.budget import steps_and_cost
from plad.stages.context import Context
from plad.stages.models import formatter_of, load
from plad.stages.train import train_model
from plad.training.examples import Examples, from_answers, from_pairs, from_references


def distill(context: Context, name: str) -> dict[str, Any]:
    """Train the initial student further by the method of that name. All take equal steps, or cost the same."""
    return train_student(context, name, context.pairs(), "student", name)


def train_student(
    context: Context, name: str, pairs: Sequence[PreferencePair], start: str, target: str, purpose: str = ""
) -> dict[str, Any]:
    """Train a student of the run further by the method of that name.

    Args:
        start: the model that it begins as.
        target: the model that it becomes.
        purpose: what its random numbers are drawn for, where that is not `target`.
    """
    recipe = context.recipe
    method = recipe.methods[name]
    loss = method.objective(recipe.distill.loss)
    model, tokenizer = load(context, start)
    formatter = formatter_of(recipe.prompt, tokenizer, model)
    data: dict[str, Any] = {"train": _examples(context, method, formatter, loss, pairs)}
    if (rollout := loss.rollout()) and rollout.with_text:
        data["text"] = from_references(context.prompts("train"), formatter)
    # Beyond the first round the teacher's answers are those of the first, and the student's count with its pairs.
    answered_by = method.answered_by if start == "student" else ()
    text = data.get("text")
    steps, flops = steps_and_cost(context, method, answered_by, loss, formatter, pairs, data["train"], text)
    if loss.needs_teacher:
        data["teacher"], teachers = load(context, "teacher")
        check_same_tokens(teachers, tokenizer)
    settings = recipe.distill.settings_of(method).model_copy(update={"max_steps": steps})
    base = context.run.path("models", start)
    summary = train_model(context, target, model, tokenizer, loss, data, settings, base=base, purpose=purpose)
    return summary | {"flops": flops, "generated": _generated(context, answered_by) + summary.get("drawn", 0)}


def _generated(context: Context, answered_by: Sequence[str]) -> int:
    """Tokens of the answers that a method learns from, which were given before its training."""
    records = (context.run.finished(f"sample/{name}") or {} for name in answered_by)
    return sum(record.get("summary", {}).get("tokens", 0) for record in records)


def _examples(
    context: Context, method: Method, formatter: Formatter, loss: Loss, pairs: Sequence[PreferencePair]
) -> Examples:
    """The text that a method learns from."""
    if method.learns_from == "references":
        return from_references(context.prompts("train"), formatter)
    if method.learns_from == "pairs":
        return from_pairs(pairs, formatter, loss)
    return from_answers(_answered(context, method.answered_by), formatter)


def _answered(context: Context, names: Sequence[str]) -> Iterator[tuple[Prompt, list[str]]]:
    """The prompts of the distillation half that all of the models answered well, each sample of them with its peers."""
    prompts = context.learnt_from()
    whole = [_usable(context, prompts, name) for name in names]
    for prompt in prompts:
        samples = [answers.get(prompt.id, []) for answers in whole]
        if not names:
            yield prompt, []
        for together in zip(*samples, strict=False):
            yield prompt, list(together)


def _usable(context: Context, prompts: Sequence[Prompt], name: str) -> dict[str, list[str]]:
    """A model's finished, non-empty answers by prompt, in the order of its samples; the teacher's also clean."""
    generations = context.generations(name)
    first = {generation.id: generation for generation in generations if not generation.sample}
    unclean = context.recipe.pairs.hygiene.reasons(prompts, first) if name == "teacher" else {}
    found: dict[str, list[str]] = {}
    for generation in generations:
        if generation.finished and generation.response.strip() and generation.id not in unclean:
            found.setdefault(generation.id, []).append(generation.response)
    return found
