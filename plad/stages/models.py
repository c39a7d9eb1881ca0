"""The models of a run: loaded as the recipe says, and put in place when they are whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plad.config import Recipe
from plad.errors import PladError
from plad.models import PromptFormat
from plad.models.load import device, load_folder, with_attention
from plad.models.prompts import Formatter
from plad.models.quantise import quantised
from plad.runs import publish
from plad.stages.context import Context
from plad.training.processes import is_main


def with_weights(recipe: Recipe) -> list[str]:
    """The roles whose models are here."""
    return ["student"] if recipe.teacher.text_only else ["teacher", "student"]


def load(context: Context, name: str) -> tuple[Any, Any]:
    """A model of the run, in the precision that the recipe names for it, and its tokenizer.

    A student is whole, as it is exported, also where its adapter was trained on weights in fewer bits.

    Raises:
        PladError: it is a teacher of which nothing but text is seen.
    """
    if name == "teacher" and context.recipe.teacher.text_only:
        raise PladError(
            "this needs the teacher's own probabilities, so a teacher whose weights are here, but teacher.model is of "
            f"type {context.recipe.teacher.model.type}. Use `type: pretrained`, or a method that looks at text alone."
        )
    model, tokenizer = load_folder(context.run.path("models", name), dtype_of(context.recipe, name))
    model = with_attention(model, getattr(source_of(context.recipe, name), "attention", None))
    return in_fewer_bits(context.recipe, name, model) if name == "teacher" else model, tokenizer


def in_fewer_bits(recipe: Recipe, name: str, model: Any) -> Any:
    """The model with its weights in as many bits as the recipe says, if it says so: none of them can learn."""
    bits = getattr(source_of(recipe, name), "quantise", None)
    return quantised(model, bits, device()) if bits else model


def load_for_answers(context: Context, name: str) -> tuple[Any, Any, Formatter]:
    """A model of the run where it runs fastest, its tokenizer, and its formatter."""
    model, tokenizer = load(context, name)
    return model.to(device()), tokenizer, formatter_of(context.recipe.prompt_of(name), tokenizer, model)


def dtype_of(recipe: Recipe, name: str) -> Any:
    return getattr(source_of(recipe, name), "dtype", "float32")


def source_of(recipe: Recipe, name: str) -> Any:
    """Where a model of the run began: every trained student as the initial one."""
    return recipe.teacher.model if name == "teacher" else recipe.student.model


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def formatter_of(prompt_format: PromptFormat, tokenizer: Any, model: Any) -> Formatter:
    return prompt_format.bind(tokenizer, bool(model.config.is_encoder_decoder))


def publish_model(
    context: Context, model: Any, tokenizer: Any, name: str, weights: Mapping[str, Any] | None = None
) -> None:
    """Put a model in place; where several processes call this, the first does it.

    Args:
        weights: by name, of a model that is divided over processes.
    """
    if not is_main():
        return
    partial = context.workspace / "model"
    model.save_pretrained(partial, state_dict=weights)
    tokenizer.save_pretrained(partial)
    for told in ("history.jsonl", "guard.jsonl"):
        if (file := context.workspace / told).is_file():
            file.replace(partial / told)
    publish(partial, context.run.path("models", name))
