"""What the guard of a training asks: the pairs' own prompts, and the validation split where the best step is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from plad.data import drawn
from plad.losses import NegativeLogLikelihood
from plad.models.load import pad_id
from plad.models.prompts import Formatter
from plad.records import PreferencePair, Prompt
from plad.stages.context import Context
from plad.stages.judge import judge_of, remembered
from plad.training.examples import from_pairs
from plad.training.guard import Answers, Probe

if TYPE_CHECKING:
    from plad.training.guarding import Guarding


def guarding(
    context: Context, pairs: Sequence[PreferencePair], tokenizer: Any, formatter: Formatter, model: Any
) -> Guarding:
    """The guard that the recipe names, over pairs drawn by chance. The student answers in this process, greedily."""
    from plad.training.guarding import Guarding

    recipe = context.recipe
    settings = recipe.distill.guard
    assert settings is not None
    asked = drawn(pairs, settings.prompts, context.seed("guard"))
    prompts = [Prompt(pair.id, pair.prompt) for pair in asked]
    best = recipe.distill.keep == "best"

    held_out = context.prompts("validation")
    probe = Probe(
        chosen=list(from_pairs(asked, formatter, NegativeLogLikelihood())),
        answers=partial(_greedy, context, model, formatter, prompts),
        held_out=partial(_greedy, context, model, formatter, held_out) if best else None,
        judge=_judge(context, held_out) if best else None,
    )
    return Guarding(settings, probe, pad_id(tokenizer), context.workspace, best, context.display.say)


def _greedy(context: Context, model: Any, formatter: Formatter, prompts: Sequence[Prompt]) -> Answers:
    """The model's likeliest answers, in the order of the prompts."""
    from plad.generation.hf import HFGenerator
    from plad.training.likelihood import base_model

    sampling = context.recipe.sample.greedy
    generator = HFGenerator(base_model(model), formatter, sampling.batch_size)
    found = {answer.id: answer for answer in generator.generate(prompts, sampling, seed=0)}
    return [(found[prompt.id].response, found[prompt.id].finished) for prompt in prompts]


def _judge(context: Context, prompts: Sequence[Prompt]) -> Callable[[Answers], float]:
    """The win rate of answers over the references, by the run's judge, which is loaded once."""
    from plad.evaluation.statistics import wins
    from plad.scoring.judging import judge_answers

    judge = judge_of(context)

    def rate(answers: Answers) -> float:
        with remembered(context, judge) as asked:
            scores = judge_answers(asked, prompts, [text for text, _ in answers]).scores
        return float(wins([one.score for one in scores], [one.reference_score for one in scores]).mean())

    return rate
