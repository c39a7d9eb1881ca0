"""The task, read, divided, and known to fit the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from plad.data import Division, divided
from plad.errors import PladError
from plad.models.prompts import Formatter
from plad.records import Lines, Prompt, dump_line, read_records
from plad.runs import write_json, write_jsonl
from plad.stages.context import SPLITS, Context
from plad.stages.models import load_tokenizer, with_weights


def prepare(context: Context) -> dict[str, Any]:
    """Read the task, drop duplicates, divide it, and check that every prompt fits the models.

    Prompts go from the task to disk, and from there to the splits, one by one. The summary has a digest of all of them.
    """
    recipe, rows = context.recipe, sha256()
    with divided(_read(context, rows), recipe.task.splits, recipe.seed, context.workspace) as division:
        drafts = {name: _drafted(context, name, division) for name in SPLITS}
        counts = dict(division.counts)
    parts = {name: read_records(draft, Prompt) for name, draft in drafts.items()}
    _check_references(parts)
    _write_tokenizers(context, parts["train"])
    before = sum(map(len, parts.values()))
    kept, dropping = _fit(context, parts)
    if dropping:
        counts["too_long"] = before - sum(kept.values())
    for name, draft in drafts.items():
        context.run.path("data").mkdir(parents=True, exist_ok=True)
        draft.replace(context.run.path("data", f"{name}.jsonl"))
    write_json(context.run.path("data", "summary.json"), {**counts, "splits": kept})
    return {**counts, "rows": rows.hexdigest()}


def _read(context: Context, rows: Any) -> Iterator[Prompt]:
    """The source's prompts, each of which is added to a digest."""
    with context.display.bar("reading the task", None) as advance:
        for count, prompt in enumerate(context.recipe.task.source.prompts(), start=1):
            rows.update(dump_line(prompt).encode())
            yield prompt
            advance(count, {})


def _drafted(context: Context, name: str, division: Division) -> Path:
    """A split in the workspace: none is put in place before all are known to fit."""
    draft = context.workspace / f".{name}.jsonl"
    write_jsonl(draft, division.of(name))
    return draft


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
        tokenizer = model.tokenizer(_Texts(train))
        tokenizer.save_pretrained(context.run.path("models", f".tokenizer-{name}"))


class _Texts:
    """What a tokenizer is learnt from; it may be gone through again."""

    def __init__(self, prompts: Sequence[Prompt]):
        self.prompts = prompts

    def __iter__(self) -> Iterator[str]:
        return (f"{prompt.text}\n{prompt.reference}" for prompt in self.prompts)


def _fit(context: Context, parts: Mapping[str, Lines[Prompt]]) -> tuple[dict[str, int], bool]:
    """Apply prompt.too_long to every prompt under both tokenizers, before anything is trained.

    Returns:
        How many prompts of each split are left, and whether those that are too long were left out.
    """
    formatters = [_early_formatter(context, name) for name in with_weights(context.recipe)]
    dropping = [formatter for formatter in formatters if formatter.spec.too_long == "drop"]
    for name, part in parts.items():
        if dropping:
            _drop(name, part, dropping)
    left = {name: read_records(part.path, Prompt) for name, part in parts.items()}
    for formatter in formatters:
        if formatter not in dropping:
            for _ in formatter.all_prompt_ids(prompt.prompt for prompt in chain(*left.values())):
                pass  # refuses the first that does not fit
    return {name: len(part) for name, part in left.items()}, bool(dropping)


def _drop(name: str, part: Lines[Prompt], formatters: Sequence[Formatter]) -> None:
    """Leave out what is too long.

    Raises:
        PladError: nothing would be left.
    """
    fits = zip(*(formatter.all_fit(prompt.prompt for prompt in part) for formatter in formatters), strict=True)
    write_jsonl(part.path, (prompt for prompt, those in zip(part, fits, strict=True) if all(those)))
    if not len(read_records(part.path, Prompt)):
        limit = min(formatter.spec.max_prompt_tokens for formatter in formatters)
        raise PladError(
            f"all prompts of the {name} split are over prompt.max_prompt_tokens = {limit} and were dropped. "
            "Raise it, or set prompt.too_long: truncate."
        )


def _early_formatter(context: Context, name: str) -> Formatter:
    """The formatter of a model that is not loaded yet."""
    tokenizer = load_tokenizer(context.run.path("models", f".tokenizer-{name}"))
    recipe = context.recipe
    return recipe.prompt_of(name).bind(tokenizer, getattr(recipe, name).model.shape().encoder_decoder)
