"""The tasks of a run, each with what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from plad.config import Distillation, Recipe
from plad.estimate.costs import Costs
from plad.estimate.counting import Assumed, counted
from plad.estimate.lines import Line
from plad.generation import Store
from plad.methods import Text, answered_by
from plad.scoring.judging import paid_for
from plad.speed import Speed


def estimate(recipe: Recipe, speed: Speed, store: Store | None = None, assumed: Assumed | None = None) -> list[Line]:
    """One line a task, in the order of the run. Reads the task and loads tokenizers; asks no server anything.

    Args:
        store: where answers may stand already.
        assumed: what is taken as given, so that data and models need not be there.

    Raises:
        PladError: a model has no room on the GPUs, or nothing tells how large it is.
    """
    return list(_Tasks(recipe, Costs(recipe, speed, store, counted(recipe, assumed or Assumed()))).lines())


class _Tasks:
    """What a recipe asks for, in the order of the run."""

    def __init__(self, recipe: Recipe, costs: Costs):
        self.recipe, self.costs, self.prompts = recipe, costs, costs.counted.prompts
        self.learnt = round(recipe.distill.share * self.prompts["distill"])
        sampling = recipe.evaluate.sampling or recipe.sample
        self.testing = sampling.once

    def lines(self) -> Iterator[Line]:
        recipe, costs = self.recipe, self.costs
        for name in costs.counted.models:
            if (sft := getattr(recipe, name).sft) is not None:
                yield costs.training(f"sft/{name}", name, self.prompts["train"], sft, responses=1)
        for name in ("teacher", "student"):
            yield costs.asked(f"sample/{name}", name, "distill", recipe.sampling_of(name), f"sample {name}")
        yield from self._audit("pair/audit")
        yield from self._kept_logits()
        for name in recipe.methods:
            yield self._distilled(name)
            yield from self._looks(name, f"distill/{name}")
        yield from self._further_rounds()
        yield from self._evaluation()

    @property
    def _negatives(self) -> int:
        """Pairs that a prompt makes."""
        return self.recipe.sample.samples if self.recipe.pairs.negatives == "all" else 1

    def _examples(self, text: Text) -> int:
        """The prompts that a method learns from."""
        return self.prompts["train"] if text == "references" else self.learnt

    def _distilled(self, name: str) -> Line:
        recipe, method = self.recipe, self.recipe.methods[name]
        responses = {"both": 2, "pairs": 1 + self._negatives}.get(method.learns_from, 1)
        beside = self.costs.beside(method.objective(recipe.distill.loss))
        settings = recipe.distill.settings_of(method)
        if recipe.distill.max_flops is not None:
            one = settings.model_copy(update={"max_steps": 1})
            step = self.costs.training("", "student", self.learnt, one, responses, beside).flops
            rounds = recipe.distill.rounds if method is recipe.distill.method else 1
            # The most: what the answers cost, which stand on lines of their own, goes off it.
            settings = one.model_copy(update={"max_steps": max(1, int(recipe.distill.max_flops / rounds // step))})
        # The steps are counted by the pairs, whatever they are taken on.
        line = self.costs.training(f"distill/{name}", "student", self.learnt, settings, responses, beside)
        return replace(line, prompts=self._examples(method.learns_from))

    def _audit(self, task: str) -> Iterator[Line]:
        """A judge behind a server that looks at some of the pairs, or where something is done about them at all."""
        audit = self.recipe.pairs.audit
        if audit is None or not paid_for(self.recipe.auditor):
            return
        pairs = self.learnt * self._negatives
        looked = min(audit.prompts, pairs) if audit.action == "keep" else pairs
        yield self.costs.verdicts(task, self.recipe.auditor, looked, 1)

    def _looks(self, name: str, task: str) -> Iterator[Line]:
        """What the guard of a training asks the student, and of its answers a judge behind a server."""
        recipe, guard = self.recipe, self.recipe.distill.guard
        if guard is None:
            return
        looks = _looks(recipe.distill.settings_of(recipe.methods[name]), self.learnt, guard.every)
        probed, best = min(guard.prompts, self.learnt * self._negatives), recipe.distill.keep == "best"
        held_out = self.prompts["validation"] if best else 0
        # Its answers are those of this process, whatever answers elsewhere.
        line = self.costs.answers(f"{task}/guard", "student", looks * (probed + held_out), recipe.sample.once)
        length = self.costs.counted.lengths["student"]
        reading = 2.0 * self.costs.counted.weights("student") * looks * probed * (length.prompt + length.answer)
        yield replace(line, flops=line.flops + reading)
        if best and paid_for(recipe.evaluate.judge):
            yield self.costs.verdicts(f"{task}/guard, judge", recipe.evaluate.judge, looks * held_out, 1)

    def _kept_logits(self) -> Iterator[Line]:
        """The teacher's one pass along each text of which the recipe keeps what it says."""
        recipe, length = self.recipe, self.costs.counted.lengths["student"]
        if recipe.distill.teacher_logits is None:
            return
        inside = [m for m in recipe.methods.values() if m.objective(recipe.distill.loss).needs_teacher]
        for text in dict.fromkeys(method.learns_from for method in inside):
            examples = self._examples(text)
            # Of several answers each is an example; those of both models stand behind one prompt.
            samples = min((recipe.sampling_of(name).samples for name in answered_by(text)), default=1)
            prompt_tokens = round(examples * samples * length.prompt)
            tokens = round(examples * samples * (2 if text == "both" else 1) * length.answer)
            flops = 2.0 * self.costs.counted.weights("teacher") * (prompt_tokens + tokens)
            line = Line(f"distill/logits/{text}", examples, prompt_tokens, tokens, flops, bound="computing")
            yield self.costs.computed(line, self.costs.speed.training)

    def _further_rounds(self) -> Iterator[Line]:
        """All that the recipe allows: what each is checked by, and from the second on its answers and training."""
        recipe, held_out = self.recipe, self.prompts["validation"]
        if recipe.distill.rounds == 1:
            return
        # The last method is the one that goes through the rounds.
        name = list(recipe.methods)[-1]
        for number in range(recipe.distill.rounds + 1):
            task = f"distill/{name}@{number}"
            if number == 0:
                check = (f"{task}/check, teacher", "teacher", "validation")
                yield self.costs.asked(*check, self.testing, "validation teacher")
            if number > 1:
                yield self.costs.answers(f"{task}/pairs", "student", self.learnt, recipe.sample)
                yield from self._audit(f"{task}/audit")
                yield replace(self._distilled(name), task=task)
                yield from self._looks(name, task)
            yield self.costs.answers(f"{task}/check", "student", held_out, self.testing)
            if paid_for(recipe.evaluate.judge):
                models = 1 if number else 2
                yield self.costs.verdicts(f"{task}/check, judge", recipe.evaluate.judge, held_out, models)

    def _evaluation(self) -> Iterator[Line]:
        recipe, costs, split = self.recipe, self.costs, self.recipe.evaluate.split
        if learns := self._judged():
            yield costs.answers("evaluate/judge", "student", learns, recipe.sample.once)
        for name in ("teacher", "student", *recipe.methods):
            yield costs.asked(f"evaluate/{name}", name, split, self.testing, f"test {name}")
        if (check := recipe.evaluate.calibration) is not None:
            several = recipe.sample.model_copy(update={"samples": check.samples})
            measured = 2 if check.of == "subject" else 1 + len(recipe.methods)
            prompts = measured * min(check.prompts, self.prompts[split])
            yield costs.answers("evaluate/calibration", "student", prompts, several)
            if paid_for(scorer := check.scorer or recipe.evaluate.judge):
                yield costs.verdicts("evaluate/calibration, judge", scorer, prompts, check.samples)
        others = {f"evaluate/also-{name}": scorer for name, scorer in recipe.evaluate.others.items()}
        judges: dict[str, Any] = {"evaluate/verdicts": recipe.evaluate.judge, **others}
        # Every model against the references, and all but one against the initial student.
        comparisons = 2 * (2 + len(recipe.methods)) - 1
        for task, judge in judges.items():
            if paid_for(judge):
                yield costs.verdicts(task, judge, self.prompts[split], comparisons)

    def _judged(self) -> int:
        """How many of the student's answers a judge learns from."""
        judge = self.recipe.evaluate.judge
        if not hasattr(judge, "train_on") or getattr(judge, "folder", None) is not None:
            return 0
        return min(self.recipe.evaluate.judge_samples, self.prompts["train"]) + self.prompts["validation"]


def _looks(settings: Distillation, examples: int, every: int) -> int:
    """At the start, every so many steps, and after the last."""
    steps = settings.max_steps or round(-(-examples // settings.batch_size) * settings.epochs)
    return 1 + -(-steps // every)
