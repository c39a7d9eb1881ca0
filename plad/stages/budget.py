"""What a method's training costs in FLOPs, and how many steps it may take for what pairs cost, or for a budget.

An estimate of the multiplications with weights: 2 FLOPs a weight and token forwards, and what `flops_a_weight` says for
training (Kaplan et al. 2020, section 2.1). In it are the answers given before, by whichever models the method learns
from, the teacher's passes, and what is drawn in training; scorers, attention and the vocabulary's size are not, nor a
teacher whose weights are elsewhere. Prompts count as the student's tokenizer cuts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from plad.config import Distillation
from plad.losses import Loss, RankingCalibration
from plad.methods import Method
from plad.models.prompts import Formatter
from plad.records import PreferencePair
from plad.stages.context import Context
from plad.training.examples import Examples, alike, from_pairs


@dataclass(frozen=True)
class Cost:
    """FLOPs before the training, and of one of its steps."""

    before: float
    step: float

    def of(self, steps: int) -> float:
        """Of so many steps and what comes before them."""
        return self.before + steps * self.step

    def steps_for(self, flops: float, rounds: int = 1, again: float = 0.0) -> int:
        """The steps that this much pays for in each of so many rounds, one at least.

        Args:
            again: FLOPs before the training of every round but the first.
        """
        return max(1, int((flops - self.before - (rounds - 1) * again) / rounds // self.step))


@dataclass(frozen=True)
class Sizes:
    """The weights of both models (0 for a teacher that is elsewhere), and the mean tokens of the student's answers."""

    student: int
    teacher: int
    answer: float


def cost(
    sizes: Sizes, settings: Distillation, loss: Loss, data: Examples, text: Examples | None, before: float
) -> Cost:
    """Of training by a loss on examples, and on `text` beside what is drawn for them."""
    rollout, seen = loss.rollout(), fmean(data.tokens)
    flops = 0.0
    if rollout:
        seen += sizes.answer
        flops += 2 * seen * (sizes.student + (sizes.teacher if rollout.asks_teacher else 0))
        seen += fmean(text.tokens) if text else 0
    flops += seen * (settings.flops_a_weight * sizes.student + (2 * sizes.teacher if loss.needs_teacher else 0))
    reference = 2 * sizes.student * sum(data.tokens) if loss.needs_reference else 0
    return Cost(before + reference, settings.batch_size * flops)


def steps_and_cost(
    context: Context,
    method: Method,
    first: bool,
    loss: Loss,
    formatter: Formatter,
    pairs: Sequence[PreferencePair],
    data: Examples,
    text: Examples | None,
) -> tuple[int, float]:
    """The steps that a method takes, and the FLOPs that this is.

    Args:
        first: whether it is in its first round, or its only one. For each further one the student alone has answered,
            at the cost of its first answers.
        pairs: what the steps are counted by, and what a cost is compared with.
    """
    shared = context.recipe.distill
    settings = shared.settings_of(method)
    sizes = _sizes(context)
    steps = _steps(settings, pairs)
    answers = _answers(context, sizes, formatter)
    whole, later = (
        cost(sizes, settings, loss, data, text, sum(answers[name] for name in names))
        for names in (method.answered_by, ("student",))
    )
    own = whole if first else later
    if shared.max_flops is not None:
        rounds = shared.rounds if method is context.recipe.distill.method else 1
        steps = whole.steps_for(shared.max_flops, rounds, later.before)
    elif shared.equal == "compute":
        paired = from_pairs(pairs, formatter, RankingCalibration(), context.workspace / ".counted.jsonl")
        both = cost(sizes, shared, RankingCalibration(), paired, None, sum(answers.values()))
        steps = own.steps_for(both.of(_steps(shared, pairs)))
    return steps, own.of(steps)


def _steps(settings: Distillation, pairs: Iterable[PreferencePair]) -> int:
    if settings.max_steps:
        return settings.max_steps
    examples = sum(1 for _ in alike(pairs))
    return round(-(-examples // settings.batch_size) * settings.epochs)


def _sizes(context: Context) -> Sizes:
    weights = {name: _summary(context, f"sft/{name}").get("parameters", 0) for name in ("teacher", "student")}
    answered = _summary(context, "sample/student")
    return Sizes(weights["student"], weights["teacher"], answered["tokens"] / answered["n"])


def _answers(context: Context, sizes: Sizes, formatter: Formatter) -> dict[str, float]:
    """FLOPs of each model's answers to the prompts that are learnt from."""
    asked = context.learnt_from()
    read = sum(map(len, formatter.all_prompt_ids(prompt.prompt for prompt in asked)))
    flops = {}
    for name in ("teacher", "student"):
        samples, answered = context.recipe.sampling_of(name).samples, _summary(context, f"sample/{name}")
        said = len(asked) * answered["tokens"] / answered["n"]
        flops[name] = 2 * getattr(sizes, name) * samples * (read + said)
    return flops


def _summary(context: Context, task: str) -> dict[str, Any]:
    return dict((context.run.finished(task) or {}).get("summary", {}))
