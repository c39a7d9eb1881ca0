"""What a run will take, told before anything runs: prompts, tokens, requests, money, FLOPs, hours.

Tokens are counted on the task's own prompts. An answer is taken to be as long as the task's references, and at most
as long as the recipe lets it be. What a server has answered before is in the store and costs nothing; of a model whose
weights are here that is known once the run has them. FLOPs are 2 a weight and token forwards, 4 more for training (2
where the weights themselves are frozen, under LoRA): Kaplan et al. 2020, section 2.1. Hours are FLOPs over what the
machine reaches, so within a factor of two or three; judges and scorers whose weights are here are not in them, nor is
loading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from plad.config import Recipe, Sample, Training
from plad.data import SplitData, split
from plad.generation import OpenAI, Sampling, Store, Usage
from plad.generation.cached import unanswered
from plad.generation.openai import OpenAIGenerator
from plad.losses import Loss
from plad.methods import Text, answered_by
from plad.models.prompts import Formatter
from plad.records import Prompt
from plad.report.numbers import duration
from plad.scoring.judging import paid_for
from plad.speed import Speed

_COUNTED = 500


@dataclass(frozen=True)
class Line:
    """The cost of one task. `tokens` are those of answers as expected; `money` is what a server takes for them.

    `kept` answers are in the store already: what is told of a server's tokens, requests and money is without them.
    """

    task: str
    prompts: int
    prompt_tokens: int
    tokens: int
    flops: float = 0.0
    hours: float | None = None
    requests: int = 0
    money: float = 0.0
    money_at_most: float = 0.0
    kept: int = 0


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a prompt, of a reference with its end token, and of a character, under one model's tokenizer."""

    prompt: float
    answer: float
    per_character: float


def estimate(recipe: Recipe, speed: Speed, store: Store | None = None) -> list[Line]:
    """One line a task, in the order of the run. Reads the task and loads tokenizers; asks no server anything.

    Args:
        store: where answers may stand already.
    """
    return _Estimate(recipe, speed, store).lines()


class _Estimate:
    """Counts once, then multiplies."""

    def __init__(self, recipe: Recipe, speed: Speed, store: Store | None):
        self.recipe, self.speed, self.store = recipe, speed, store
        self.data = split(recipe.task.source.prompts(), recipe.task.splits, recipe.seed)
        self.lengths: dict[str, Lengths] = {}
        self.weights: dict[str, int] = {}
        formatters = []
        for name in ["student"] if recipe.teacher.text_only else ["teacher", "student"]:
            formatters.append(self._count(name, getattr(recipe, name).model))
        if recipe.prompt.too_long == "drop":
            self.data = _fitting(self.data, formatters)
        # Nobody knows the tokenizer behind a server: the student's stands in for it.
        self.lengths.setdefault("teacher", self.lengths["student"])

    def lines(self) -> list[Line]:
        recipe, data = self.recipe, self.data
        found = []
        for name in self.weights:
            if (sft := getattr(recipe, name).sft) is not None:
                found.append(self._training(f"sft/{name}", name, len(data.train), sft, responses=1))
        for name in ("teacher", "student"):
            found.append(self._asked(f"sample/{name}", name, data.distill, recipe.sampling_of(name), f"sample {name}"))
        learnt = round(recipe.distill.share * len(data.distill))
        found += self._kept_logits(learnt)
        for name, method in recipe.methods.items():
            pairs = 1 + (recipe.sample.samples if recipe.pairs.negatives == "all" else 1)
            responses = {"both": 2, "pairs": pairs}.get(method.learns_from, 1)
            settings, beside = recipe.distill.settings_of(method), self._beside(method.objective(recipe.distill.loss))
            # The steps are counted by the pairs, whatever they are taken on.
            line = self._training(f"distill/{name}", "student", learnt, settings, responses, beside)
            found.append(replace(line, prompts=self._examples(method.learns_from, learnt)))
        if recipe.distill.rounds > 1:
            # The last method is the one that goes through the rounds, and the last line its first.
            found += self._further_rounds(found[-1], learnt)
        if asked := _judged(recipe, data):
            once = recipe.sample.model_copy(update={"samples": 1})
            found.append(self._answers("evaluate/judge", "student", asked, once))
        testing = (recipe.evaluate.sampling or recipe.sample).model_copy(update={"samples": 1})
        tested = getattr(data, recipe.evaluate.split)
        for name in ("teacher", "student", *recipe.methods):
            found.append(self._asked(f"evaluate/{name}", name, tested, testing, f"test {name}"))
        if (check := recipe.evaluate.calibration) is not None:
            several = recipe.sample.model_copy(update={"samples": check.samples})
            found.append(self._answers("evaluate/calibration", "student", 2 * min(check.prompts, len(tested)), several))
        others = {f"evaluate/also-{name}": scorer for name, scorer in recipe.evaluate.others.items()}
        judges = {"evaluate/verdicts": recipe.evaluate.judge, **others}
        return found + [self._compared(task, judge, tested) for task, judge in judges.items() if paid_for(judge)]

    def _further_rounds(self, first: Line, learnt: int) -> list[Line]:
        """All that the recipe allows: what each is checked by, and from the second on its answers and training."""
        recipe, held_out = self.recipe, len(self.data.validation)
        testing = (recipe.evaluate.sampling or recipe.sample).model_copy(update={"samples": 1})
        found = [self._answers(f"{first.task}@0/check, teacher", "teacher", held_out, testing)]
        for number in range(recipe.distill.rounds + 1):
            if number > 1:
                pairs = self._answers(f"{first.task}@{number}/pairs", "student", learnt, recipe.sample)
                found += [pairs, replace(first, task=f"{first.task}@{number}")]
            found.append(self._answers(f"{first.task}@{number}/check", "student", held_out, testing))
        return found

    def _examples(self, text: Text, learnt: int) -> int:
        """The prompts that a method learns from."""
        return len(self.data.train) if text == "references" else learnt

    def _kept_logits(self, learnt: int) -> list[Line]:
        """The teacher's one pass along each text of which the recipe keeps what it says."""
        recipe, length = self.recipe, self.lengths["student"]
        if recipe.distill.teacher_logits is None:
            return []
        inside = [m for m in recipe.methods.values() if m.objective(recipe.distill.loss).needs_teacher]
        found = []
        for text in dict.fromkeys(method.learns_from for method in inside):
            examples = self._examples(text, learnt)
            # Of several answers each is an example; those of both models stand behind one prompt.
            samples = min((recipe.sampling_of(name).samples for name in answered_by(text)), default=1)
            prompt_tokens = round(examples * samples * length.prompt)
            tokens = round(examples * samples * (2 if text == "both" else 1) * length.answer)
            flops = 2.0 * self.weights.get("teacher", 0) * (prompt_tokens + tokens)
            hours = flops / self.speed.training / 3600
            found.append(Line(f"distill/logits/{text}", examples, prompt_tokens, tokens, flops, hours))
        return found

    def _count(self, name: str, model: Any) -> Formatter:
        tokenizer = model.tokenizer([f"{prompt.text}\n{prompt.reference}" for prompt in self.data.train])
        formatter = self.recipe.prompt.bind(tokenizer, model.shape().encoder_decoder)
        self.weights[name] = model.parameters(tokenizer)
        self.lengths[name] = _lengths(formatter, self.data)
        return formatter

    def _beside(self, loss: Loss) -> float:
        """FLOPs a token beside the student's training: the teacher's passes, and what draws the text as it trains."""
        teacher, rollout = self.weights.get("teacher", 0), loss.rollout()
        drawing = self.weights["student"] + (teacher if rollout and rollout.asks_teacher else 0)
        reads = loss.needs_teacher and self.recipe.distill.teacher_logits is None
        return 2.0 * ((teacher if reads else 0) + (drawing if rollout else 0))

    def _training(
        self, task: str, name: str, examples: int, settings: Training, responses: int, beside: float = 0.0
    ) -> Line:
        seen = settings.max_steps * settings.batch_size if settings.max_steps else round(examples * settings.epochs)
        length = self.lengths[name]
        prompt_tokens, tokens = round(seen * length.prompt), round(seen * responses * length.answer)
        flops = (settings.flops_a_weight * self.weights[name] + beside) * (prompt_tokens + tokens)
        return Line(task, examples, prompt_tokens, tokens, flops, flops / self.speed.training / 3600)

    def _asked(self, task: str, name: str, prompts: Sequence[Prompt], sampling: Sample, purpose: str) -> Line:
        """A model's answers to a split, by a server or by weights that are here."""
        model = self.recipe.teacher.model if name == "teacher" else None
        if isinstance(model, OpenAI):
            return self._bought(task, model, prompts, sampling, self.recipe.seed_for(purpose))
        if name == "teacher" and self.recipe.teacher.text_only:  # recorded: nothing is computed
            length = self.lengths["teacher"]
            tokens = round(len(prompts) * sampling.samples * min(length.answer, sampling.max_new_tokens))
            return Line(task, len(prompts), round(len(prompts) * length.prompt), tokens)
        return self._answers(task, name, len(prompts), sampling)

    def _bought(self, task: str, model: OpenAI, prompts: Sequence[Prompt], sampling: Sample, seed: int) -> Line:
        """What is left to ask a server for: a request for every kind of prompt that lacks an answer."""
        generator = OpenAIGenerator(model, self.recipe.prompt, Usage())
        wanted = unanswered(generator, prompts, sampling, seed, self.store)
        requests, asked = sum(bool(missing) for _, missing in wanted), sum(len(missing) for _, missing in wanted)
        length = self.lengths["teacher"]
        prompt_tokens = round(requests * length.prompt)
        tokens = round(asked * min(length.answer, sampling.max_new_tokens))
        likely, most = (Usage(prompt_tokens, n) for n in (tokens, asked * sampling.max_new_tokens))
        return Line(
            task,
            len(prompts),
            prompt_tokens,
            tokens,
            hours=_paced(model, requests, likely),
            requests=requests,
            money=model.price.of(likely),
            money_at_most=model.price.of(most),
            kept=len(wanted) * sampling.samples - asked,
        )

    def _compared(self, task: str, judge: Any, prompts: Sequence[Prompt]) -> Line:
        """A judge behind a server: every model against the references, and all but one against the initial student.

        Each comparison is two requests. Equal and empty answers are not asked for, so this is the most there may be.
        """
        requests = 2 * len(prompts) * (2 * (2 + len(self.recipe.methods)) - 1)
        length = self.lengths["student"]
        rubric = length.per_character * len(judge.template)
        prompt_tokens = round(requests * (rubric + length.prompt + 2 * length.answer))
        usage = Usage(prompt_tokens, requests * judge.max_new_tokens)
        money = judge.model.price.of(usage)
        hours = _paced(judge.model, requests, usage)
        return Line(task, len(prompts), prompt_tokens, usage.tokens, 0.0, hours, requests, money, money)

    def _answers(self, task: str, name: str, prompts: int, sampling: Sampling) -> Line:
        role = "teacher" if name == "teacher" else "student"
        length, asked = self.lengths[role], prompts * sampling.samples
        prompt_tokens, tokens = round(asked * length.prompt), round(asked * min(length.answer, sampling.max_new_tokens))
        flops = 2.0 * self.weights[role] * (prompt_tokens + tokens)
        return Line(task, prompts, prompt_tokens, tokens, flops, flops / self.speed.sampling / 3600)


def table(lines: Sequence[Line], budget: float | None = None) -> str:
    """The estimate for a person."""
    heads = ("", "prompts", "prompt tokens", "answer tokens", "requests", "money", "at most", "TFLOP", "time")
    rows = [_cells(line) for line in (*lines, _total(lines))]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    told = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))])
        for row in (heads, *rows)
    ]
    told += [
        f"{line.task}: {line.kept:,} answers are in the store already, and cost nothing." for line in lines if line.kept
    ]
    most = _total(lines).money_at_most
    if budget is not None and most > budget:
        told.append(f"Up to {most:.2f} may be spent, which is over the budget of {budget:g}: the run may stop there.")
    return "\n".join(line.rstrip() for line in told)


def _total(lines: Iterable[Line]) -> Line:
    added: dict[str, Any] = {}
    for name in ("prompts", "prompt_tokens", "tokens", "flops", "requests", "money", "money_at_most", "kept"):
        added[name] = sum(getattr(line, name) for line in lines)
    return Line("in all", hours=sum(line.hours or 0.0 for line in lines), **added)


def _cells(line: Line) -> tuple[str, ...]:
    counts = (line.prompts, line.prompt_tokens, line.tokens, line.requests)
    money = [f"{amount:.2f}" if line.requests or line.kept else "–" for amount in (line.money, line.money_at_most)]
    work = f"{line.flops / 1e12:,.2f}" if line.flops else "–"
    return (line.task, *(f"{n:,}" if n else "–" for n in counts), *money, work, duration((line.hours or 0.0) * 3600))


def _judged(recipe: Recipe, data: SplitData) -> int:
    """How many of the student's answers a judge learns from."""
    judge = recipe.evaluate.judge
    if not hasattr(judge, "train_on") or getattr(judge, "folder", None) is not None:
        return 0
    return min(recipe.evaluate.judge_samples, len(data.train)) + len(data.validation)


def _paced(model: OpenAI, requests: int, usage: Usage) -> float | None:
    """The hours that the limits of a server make of it; unknown where it has none."""
    limits = model.limits
    minutes = []
    if limits.requests_per_minute:
        minutes.append(requests / limits.requests_per_minute)
    if limits.tokens_per_minute:
        minutes.append((usage.prompt_tokens + usage.tokens) / limits.tokens_per_minute)
    return max(minutes) / 60 if minutes else None


def _fitting(data: SplitData, formatters: Sequence[Formatter]) -> SplitData:
    """Without the prompts that the run will drop, since they are too long for one of the models."""

    def fitting(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
        return tuple(prompt for prompt in prompts if all(f.fits(prompt.prompt) for f in formatters))

    return replace(
        data,
        train=fitting(data.train),
        distill=fitting(data.distill),
        validation=fitting(data.validation),
        test=fitting(data.test),
    )


def _lengths(formatter: Formatter, data: SplitData) -> Lengths:
    limit = formatter.spec.max_prompt_tokens
    kept = [prompt for prompt in data.distill[:_COUNTED] if formatter.fits(prompt.prompt)]
    references = [prompt.reference or "" for prompt in data.train[:_COUNTED]]  # in the order of hashes: a fair sample
    answers = [len(formatter.response_ids(reference)) for reference in references]
    return Lengths(
        fmean(len(formatter.prompt_ids(prompt.prompt)) for prompt in kept) if kept else float(limit),
        fmean(answers),
        sum(answers) / max(1, sum(map(len, references))),
    )
