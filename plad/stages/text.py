"""The text of a run that a student learns from, as examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plad.data import by_prompt
from plad.losses import Loss
from plad.methods import Text, answered_by
from plad.models.prompts import Formatter
from plad.records import Generation, PreferencePair, Prompt
from plad.stages.context import Context
from plad.training.examples import Examples, from_answers, from_pairs, from_references


def examples_of(
    context: Context, text: Text, formatter: Formatter, loss: Loss, pairs: Sequence[PreferencePair] = ()
) -> Examples:
    """The text that a method learns from, in the workspace; of a method that learns from pairs, these."""
    file = context.workspace / f".{text}.jsonl"
    if text == "references":
        return from_references(context.prompts("train"), formatter, file)
    if text == "pairs":
        return from_pairs(pairs, formatter, loss, file)
    return from_answers(_answered(context, answered_by(text)), formatter, file)


def _answered(context: Context, names: Sequence[str]) -> Iterator[tuple[Prompt, list[str]]]:
    """The prompts of the distillation half that all of the models answered well, each sample of them with its peers."""
    unclean = context.recipe.pairs.hygiene.filter()
    answers = [context.generations(name) for name in names]
    for prompt, found in by_prompt(context.learnt_from(), *answers):
        if not names:
            yield prompt, []
            continue
        usable = [
            [] if name == "teacher" and unclean(prompt, _first(some)) else _usable(some)
            for name, some in zip(names, found, strict=True)
        ]
        for together in zip(*usable, strict=False):
            yield prompt, list(together)


def _first(samples: Sequence[Generation]) -> Generation | None:
    return samples[0] if samples and not samples[0].sample else None


def _usable(samples: Sequence[Generation]) -> list[str]:
    """Finished, non-empty answers, in the order of the samples."""
    return [one.response for one in samples if one.finished and one.response.strip()]
