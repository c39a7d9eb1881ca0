"""What a model of the run thinks of answers."""

from __future__ import annotations

from collections.abc import Sequence

from plad.models.load import pad_id
from plad.records import PromptText
from plad.stages.context import Context
from plad.stages.models import load_for_answers
from plad.training.layout import Example
from plad.training.score import response_logps


def likelihoods(
    context: Context, name: str, prompts: Sequence[PromptText], answers: Sequence[Sequence[tuple[str, bool]]]
) -> list[list[float]]:
    """log q(y | x) of the answers to each prompt, normalised as the recipe's loss does it.

    Args:
        answers: a row a prompt; an answer is its text, and whether the model ended it.
    """
    model, tokenizer, formatter = load_for_answers(context, name)
    examples = [
        Example(formatter.prompt_ids(prompt), [formatter.response_ids(text, finished) for text, finished in row])
        for prompt, row in zip(prompts, answers, strict=True)
    ]
    with context.display.bar(f"likelihoods of {name}", len(examples)) as advance:
        done = [0]

        def more(count: int) -> None:
            done[0] += count
            advance(done[0], {})

        normalise = context.recipe.distill.loss.normalise
        return response_logps(model, pad_id(tokenizer), examples, normalise, progress=more)
