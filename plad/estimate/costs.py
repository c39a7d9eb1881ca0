"""What one piece of work costs: an answering, a training, verdicts of a judge that is paid for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plad.config import Recipe, Sample, Training
from plad.estimate.counting import Counted
from plad.estimate.decoding import Work, decoding
from plad.estimate.lines import Line
from plad.generation import OpenAI, Store, Usage
from plad.generation.cached import unanswered
from plad.generation.openai import OpenAIGenerator
from plad.losses import Loss
from plad.records import Prompt
from plad.speed import Speed

LIMITS, TRAINING = "the server's limits", "computing"

EAGER_SHARE = 1 / 3
"""What transformers reaches of an engine that batches continuously: its batches wait for their longest answer, and each
step is launched from Python. A rule of thumb."""


class Costs:
    """Of a recipe, by what was counted and by what the machine reaches."""

    def __init__(self, recipe: Recipe, speed: Speed, store: Store | None, counted: Counted):
        self.recipe, self.speed, self.store, self.counted = recipe, speed, store, counted

    def training(
        self, task: str, name: str, examples: int, settings: Training, responses: int, beside: float = 0.0
    ) -> Line:
        """A training of one of the models; `beside` are FLOPs a token that others compute meanwhile."""
        seen = settings.max_steps * settings.batch_size if settings.max_steps else round(examples * settings.epochs)
        length = self.counted.lengths[name]
        prompt_tokens, tokens = round(seen * length.prompt), round(seen * responses * length.answer)
        flops = (settings.flops_a_weight * self.counted.weights(name) + beside) * (prompt_tokens + tokens)
        return self.computed(Line(task, examples, prompt_tokens, tokens, flops, bound=TRAINING), self.speed.training)

    def beside(self, loss: Loss) -> float:
        """FLOPs a token beside the student's training: the teacher's passes, and what draws the text as it trains."""
        teacher, rollout = self.counted.weights("teacher"), loss.rollout()
        drawing = self.counted.weights("student") + (teacher if rollout and rollout.asks_teacher else 0)
        reads = loss.needs_teacher and self.recipe.distill.teacher_logits is None
        return 2.0 * ((teacher if reads else 0) + (drawing if rollout else 0))

    def asked(self, task: str, name: str, split: str, sampling: Sample, purpose: str) -> Line:
        """A model's answers to a split, by a server or by weights that are here."""
        model, prompts = self.recipe.teacher.model if name == "teacher" else None, self.counted.prompts[split]
        if isinstance(model, OpenAI):
            return self._bought(task, model, split, sampling, self.recipe.seed_for(purpose))
        if name == "teacher" and self.recipe.teacher.text_only:  # recorded: nothing is computed
            length = self.counted.lengths["teacher"]
            tokens = round(prompts * sampling.samples * min(length.answer, sampling.max_new_tokens))
            return Line(task, prompts, round(prompts * length.prompt), tokens)
        return self.answers(task, name, prompts, sampling)

    def answers(self, task: str, name: str, prompts: int, sampling: Sample) -> Line:
        """Answers by weights that are here; of every trained student as of the initial one."""
        role = "teacher" if name == "teacher" else "student"
        length, answers = self.counted.lengths[role], prompts * sampling.samples
        each = min(length.answer, sampling.max_new_tokens)
        prompt_tokens, tokens = round(answers * length.prompt), round(answers * each)
        flops = 2.0 * self.counted.weights(role) * (prompt_tokens + tokens)
        line = Line(task, prompts, prompt_tokens, tokens, flops)
        if self.speed.gpu is None or role not in self.counted.models:
            return self.computed(line, self.speed.sampling)
        engine, copies, shards = _copies(sampling.backend)
        work = Work(answers, length.prompt, each, sampling.batch_size)
        used = min(self.speed.count // shards, copies) * shards
        found = decoding(self.speed.gpu, used, self.counted.models[role], work, shards)
        line = replace(line, idle=self.speed.count - used)
        return self._timed(line, found.seconds / (EAGER_SHARE if engine == "hf" else 1), found.bound)

    def verdicts(self, task: str, judge: Any, prompts: int, comparisons: int) -> Line:
        """A judge behind a server, asked about so many comparisons a prompt, each in both orders.

        Equal and empty answers are not asked for, so this is the most there may be.
        """
        requests, length = 2 * prompts * comparisons, self.counted.lengths["student"]
        rubric = length.per_character * len(judge.template)
        prompt_tokens = round(requests * (rubric + length.prompt + 2 * length.answer))
        usage = Usage(prompt_tokens, requests * judge.max_new_tokens)
        money, hours = judge.model.price.of(usage), _paced(judge.model, requests, usage)
        return Line(
            task,
            prompts,
            prompt_tokens,
            usage.tokens,
            0.0,
            hours,
            requests,
            money,
            money,
            bound=LIMITS if hours else "",
        )

    def computed(self, line: Line, flops_a_second: float) -> Line:
        """The line with the time that its FLOPs take."""
        return self._timed(line, line.flops / flops_a_second, line.bound)

    def _timed(self, line: Line, seconds: float, bound: str) -> Line:
        hours = seconds / 3600
        busy = hours * self.speed.count if self.speed.gpu else 0.0
        return replace(line, hours=hours, gpu_hours=busy, bound=bound)

    def _bought(self, task: str, model: OpenAI, split: str, sampling: Sample, seed: int) -> Line:
        """What is left to ask a server for: a request for every kind of prompt that lacks an answer."""
        prompts, count = self.counted.of(split), self.counted.prompts[split]
        missing = [sampling.samples] * count if prompts is None else self._missing(model, prompts, sampling, seed)
        requests, asked = sum(map(bool, missing)), sum(missing)
        length = self.counted.lengths["teacher"]
        prompt_tokens = round(requests * length.prompt)
        tokens = round(asked * min(length.answer, sampling.max_new_tokens))
        likely, most = (Usage(prompt_tokens, n) for n in (tokens, asked * sampling.max_new_tokens))
        hours = _paced(model, requests, likely)
        return Line(
            task,
            count,
            prompt_tokens,
            tokens,
            hours=hours,
            requests=requests,
            money=model.price.of(likely),
            money_at_most=model.price.of(most),
            kept=len(missing) * sampling.samples - asked,
            bound=LIMITS if hours else "",
        )

    def _missing(self, model: OpenAI, prompts: Any, sampling: Sample, seed: int) -> list[int]:
        """How many answers each kind of prompt lacks."""
        generator = OpenAIGenerator(model, self.recipe.prompt_of("teacher"), Usage())
        wanted: list[tuple[Prompt, list[int]]] = unanswered(generator, prompts, sampling, seed, self.store)
        return [len(numbers) for _, numbers in wanted]


def _copies(backend: Any) -> tuple[str, int, int]:
    """What runs the model, how many copies of it there are, and the GPUs that share one."""
    engine = getattr(backend, "engine", backend)  # that of Ray's workers
    return engine.type, getattr(backend, "workers", 1), getattr(engine, "tensor_parallel", 1)


def _paced(model: OpenAI, requests: int, usage: Usage) -> float | None:
    """The hours that the limits of a server make of it; unknown where it has none."""
    limits = model.limits
    minutes = []
    if limits.requests_per_minute:
        minutes.append(requests / limits.requests_per_minute)
    if limits.tokens_per_minute:
        minutes.append((usage.prompt_tokens + usage.tokens) / limits.tokens_per_minute)
    return max(minutes) / 60 if minutes else None
