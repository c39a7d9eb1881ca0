"""Answers of the models of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plad.config import Sample
from plad.records import Prompt
from plad.runs import write_jsonl
from plad.stages.context import Context
from plad.stages.models import dtype_of


def sample(context: Context, name: str) -> dict[str, Any]:
    """The teacher's or the student's answers on the distillation half."""
    prompts = context.prompts("distill")
    target = context.run.path("generations", f"{name}.jsonl")
    return answer_prompts(context, name, prompts, context.recipe.sampling_of(name), target, f"sample {name}")


def answer_prompts(
    context: Context, name: str, prompts: Sequence[Prompt], sampling: Sample, target: Path, purpose: str
) -> dict[str, Any]:
    """Answer prompts with a model of the run. Each answer is kept as it arrives; a second call asks for the rest."""
    from plad.answers import Answering

    answering = Answering(context.run, context.recipe, name, sampling, dtype_of(context.recipe, name))
    total = len(prompts) * sampling.samples
    with context.display.bar(f"sampling {purpose}", total) as advance:
        write_jsonl(target, answering.answers(prompts, context.seed(purpose), lambda done: advance(done, {})))
    summary = answering.summary()
    if failed := summary.get("failed"):
        context.display.say(f"  {failed} of {len(prompts)} prompts were set aside; {target} says why")
    return summary
