"""The text of a run that a student learns from, as examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plad.losses import Loss
from plad.methods import Text, answered_by
from plad.models.prompts import Formatter
from plad.records import PreferencePair, Prompt
from plad.stages.context import Context
from plad.training.examples import Examples, from_answers, from_pairs, from_references


def examples_of(
    context: Context, text: Text, formatter: Formatter, loss: Loss, pairs: Sequence[PreferencePair] = ()
) -> Examples:
    """The text that a method learns from; of a method that learns from pairs, these."""
    if text == "references":
        return from_references(context.prompts("train"), formatter)
    if text == "pairs":
        return from_pairs(pairs, formatter, loss)
    return from_answers(_answered(context, answered_by(text)), formatter)


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
