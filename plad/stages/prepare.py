"""The task, read, divided, and known to fit the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.data import split
from plad.errors import PladError
from plad.models.prompts import Formatter
from plad.records import Prompt
from plad.runs import write_json, write_jsonl
from plad.stages.context import SPLITS, Context
from plad.stages.models import load_tokenizer, with_weights


def prepare(context: Context) -> dict[str, Any]:
    """Read the task, drop duplicates, divide it, and check that every prompt fits the models."""
    recipe = context.recipe
    with context.display.bar("reading the task", None) as advance:
        read: list[Prompt] = []
        for prompt in recipe.task.source.prompts():
            read.append(prompt)
            advance(len(read), {})
    data = split(read, recipe.task.splits, recipe.seed)
    parts = {name: list(getattr(data, name)) for name in SPLITS}
    _check_references(parts)
    _write_tokenizers(context, parts["train"])
    counts = dict(data.counts) | _fit(context, parts)
    for name, part in parts.items():
        write_jsonl(context.run.path("data", f"{name}.jsonl"), part)
    write_json(context.run.path("data", "summary.json"), {**counts, "splits": {n: len(p) for n, p in parts.items()}})
    return counts


def _check_references(parts: Mapping[str, Sequence[Prompt]]) -> None:
    for name in ("train", "validation", "test"):
        missing = sum(not (prompt.reference or "").strip() for prompt in parts[name])
        if missing:
            raise PladError(
                f"training and evaluation compare with references, but {missing} of {len(parts[name])} prompts of "
                f"the {name} split have none. Name the column that holds them in task.source."
            )


def _write_tokenizers(context: Context, train: Sequence[Prompt]) -> None:
    for name in with_weights(context.recipe):
        model = getattr(context.recipe, name).model
        tokenizer = model.tokenizer(f"{prompt.text}\n{prompt.reference}" for prompt in train)
        tokenizer.save_pretrained(context.run.path("models", f".tokenizer-{name}"))


def _fit(context: Context, parts: dict[str, list[Prompt]]) -> dict[str, int]:
    """Apply prompt.too_long to every prompt under both tokenizers, before anything is trained."""
    formatters = [_early_formatter(context, name) for name in with_weights(context.recipe)]
    dropping = [formatter for formatter in formatters if formatter.spec.too_long == "drop"]
    dropped = 0
    for name, part in parts.items():
        kept = [prompt for prompt in part if all(f.fits(prompt.prompt) for f in dropping)]
        dropped += len(part) - len(kept)
        part[:] = kept
        if not kept:
            limit = min(formatter.spec.max_prompt_tokens for formatter in dropping)
            raise PladError(
                f"all prompts of the {name} split are over prompt.max_prompt_tokens = {limit} and were dropped. "
                "Raise it, or set prompt.too_long: truncate."
            )
        for formatter in [formatter for formatter in formatters if formatter not in dropping]:
            for prompt in part:
                formatter.prompt_ids(prompt.prompt)
    return {"too_long": dropped} if dropping else {}


def _early_formatter(context: Context, name: str) -> Formatter:
    """The formatter of a model that is not loaded yet."""
    tokenizer = load_tokenizer(context.run.path("models", f".tokenizer-{name}"))
    recipe = context.recipe
    return recipe.prompt_of(name).bind(tokenizer, getattr(recipe, name).model.shape().encoder_decoder)
