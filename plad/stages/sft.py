"""Supervised fine-tuning on the training half."""

from __future__ import annotations

from typing import Any

from plad.config import ModelRole
from plad.losses import NegativeLogLikelihood
from plad.models.quantise import count
from plad.stages.context import Context
from plad.stages.models import formatter_of, in_fewer_bits, load_tokenizer, publish_model
from plad.stages.train import train_model
from plad.training.examples import from_references


def fine_tune(context: Context, name: str) -> dict[str, Any]:
    """Supervised fine-tuning of the teacher or the student on the training half's references."""
    role: ModelRole = getattr(context.recipe, name)
    folder = context.run.path("models", f".tokenizer-{name}")
    tokenizer = load_tokenizer(folder)
    model = role.model.model(tokenizer, context.seed(f"weights {name}"))
    if role.sft is None:
        publish_model(context, model, tokenizer, name)
        return {"parameters": count(model)}
    formatter = formatter_of(context.recipe.prompt_of(name), tokenizer, model)
    model = in_fewer_bits(context.recipe, name, model)
    data = {
        part: from_references(context.prompts(part), formatter, context.workspace / f".{part}.jsonl")
        for part in ("train", "validation")
    }
    return train_model(context, name, model, tokenizer, NegativeLogLikelihood(), data, role.sft, base=None)
