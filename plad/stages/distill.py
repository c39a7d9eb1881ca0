"""The initial student trained further, by each method."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from plad.models.vocabulary import check_same_tokens
from plad.records import PreferencePair
from plad.stages.budget import steps_and_cost
from plad.stages.context import Context
from plad.stages.guard import guarding
from plad.stages.models import formatter_of, in_fewer_bits, load
from plad.stages.text import examples_of
from plad.stages.train import train_model
from plad.training.examples import from_references
from plad.training.stored import with_logits


def distill(context: Context, name: str) -> dict[str, Any]:
    """Train the initial student further by the method of that name. All take equal steps, or cost alike."""
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
    model = in_fewer_bits(recipe, start, model)
    formatter = formatter_of(recipe.prompt, tokenizer, model)
    data: dict[str, Any] = {"train": examples_of(context, method.learns_from, formatter, loss, pairs)}
    if (rollout := loss.rollout()) and rollout.with_text:
        data["text"] = from_references(context.prompts("train"), formatter, context.workspace / ".text.jsonl")
    first, text = start == "student", data.get("text")
    steps, flops = steps_and_cost(context, method, first, loss, formatter, pairs, data["train"], text)
    if loss.needs_teacher and recipe.distill.teacher_logits:
        data["train"] = with_logits(data["train"], context.run.path("logits", method.learns_from))
    elif loss.needs_teacher:
        data["teacher"], teachers = load(context, "teacher")
        check_same_tokens(teachers, tokenizer)
    if recipe.distill.guard and pairs:
        data["guard"] = partial(guarding, context, pairs, tokenizer, formatter)
    settings = recipe.distill.settings_of(method).model_copy(update={"max_steps": steps})
    base = context.run.path("models", start)
    summary = train_model(context, target, model, tokenizer, loss, data, settings, base=base, purpose=purpose)
    # Beyond the first round the teacher's answers are those of the first, and the student's are counted with its pairs.
    generated = _generated(context, method.answered_by if first else ()) + summary.get("drawn", 0)
    return summary | {"flops": flops, "generated": generated}


def _generated(context: Context, answered_by: Sequence[str]) -> int:
    """Tokens of the answers that a method learns from, which were given before its training."""
    records = (context.run.finished(f"sample/{name}") or {} for name in answered_by)
    tokens = sum(record.get("summary", {}).get("tokens", 0) for record in records)
    return round(context.recipe.distill.share * tokens)
