"""The judge, and the store of what scorers have said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plad.records import Generation, read_jsonl
from plad.runs import publish
from plad.scoring.judging import needs_training, remembering
from plad.scoring.store import ScoreStore
from plad.stages.context import Context
from plad.stages.sample import answer_prompts


def train_judge(context: Context) -> dict[str, Any]:
    """Train the judge, if it is one to train, on the training half and the initial student's answers to it."""
    judge = context.recipe.evaluate.judge
    if not needs_training(judge):
        return {"description": judge.description}
    prompts = context.prompts("train")[: context.recipe.evaluate.judge_prompts]
    held_out = context.prompts("validation")
    asked = {"train": prompts[: context.recipe.evaluate.judge_samples], "validation": held_out}
    answers = {}
    for part, some in asked.items():
        target = context.workspace / f"answers-{part}.jsonl"
        answer_prompts(context, "student", some, context.recipe.sample.once, target, f"judge's {part}")
        answers[part] = list(read_jsonl(target, Generation))
    with context.display.bar("training the judge", None) as advance:
        total = [0]

        def done(more: int) -> None:
            total[0] += more
            advance(total[0], {})

        trained = judge.train_on(prompts, held_out, answers["train"], answers["validation"], progress=done)
    partial = context.workspace / "judge"
    trained.save(partial)
    publish(partial, context.run.path("judge"))
    return {"description": trained.description, "accuracy": list(trained.accuracy)}


def judge_of(context: Context) -> Any:
    """The recipe's judge, trained by this run where it is one to train."""
    judge = context.recipe.evaluate.judge
    if not needs_training(judge):
        return judge
    from plad.scoring.trained import TrainedScorer

    return TrainedScorer.load(context.run.path("judge"))


@contextmanager
def remembered(context: Context, scorer: Any) -> Iterator[Any]:
    """A scorer that looks into the run's store first, and into those of the runs beside it.

    Nothing is scored, or asked and paid for, twice.
    """
    name = "scores.sqlite"
    with ScoreStore(context.run.path(name), [folder / name for folder in context.run.beside]) as store:
        yield remembering(scorer, store)
