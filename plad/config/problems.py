"""What no single field of a recipe can tell: the rules between fields, each a function of the whole recipe."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from plad.config.recipe import Recipe
from plad.errors import PladError
from plad.scoring.judging import needs_training

Problems = Iterator[tuple[str, str]]
"""Each mistake with the dotted key it is at."""


def check(recipe: Recipe) -> None:
    """Refuse a recipe that makes no sense as a whole, however it came to be.

    Raises:
        PladError: with the rule, the value and the remedy.
    """
    for place, problem in problems(recipe):
        raise PladError(f"{place}: {problem}")


def problems(recipe: Recipe) -> Problems:
    """Every mistake that no single field can tell."""
    return chain.from_iterable(rule(recipe) for rule in RULES)


def _models(recipe: Recipe) -> Problems:
    """Models that are not there, or cannot be trained."""
    for name in ("teacher", "student"):
        try:
            getattr(recipe, name).model.check()
        except PladError as error:
            yield f"{name}.model", str(error)
    if recipe.teacher.text_only and recipe.teacher.sft is not None:
        yield (
            "teacher.sft",
            f"only a model whose weights are here can be fine-tuned, but the teacher is of type "
            f"{recipe.teacher.model.type}. Set it to null.",
        )


def _distillation(recipe: Recipe) -> Problems:
    """Rounds that make nothing new, and steps that are counted twice."""
    if recipe.distill.rounds > 1 and recipe.distill.method.learns_from != "pairs":
        yield (
            "distill.rounds",
            f"a round makes new pairs, but a method of type {recipe.distill.method.type} learns from "
            f"{recipe.distill.method.learns_from}. Set it to 1, or use `type: plad`.",
        )
    if recipe.distill.max_flops and recipe.distill.max_steps:
        yield (
            "distill.max_steps",
            f"steps are counted by max_flops or by max_steps, but both are set, the latter to "
            f"{recipe.distill.max_steps}. Set one of them to null.",
        )


def _choices_of_answers(recipe: Recipe) -> Problems:
    """Choices among the answers to a prompt that leave nothing to choose."""
    if recipe.pairs.positives == "best":
        if recipe.pairs.scorer is None:
            yield (
                "pairs.positives",
                "the best of the teacher's answers is for a scorer to say, but pairs.scorer is null. "
                "Name one there (such as `type: embedding`), or set it to first.",
            )
        if (count := recipe.sampling_of("teacher").samples) < 2:
            yield (
                "pairs.positives",
                f"the best is chosen of several answers, but the teacher gives {count}. Raise teacher.samples.",
            )
    if recipe.pairs.negatives != "first" and recipe.sample.samples < 2:
        yield (
            "pairs.negatives",
            f"{recipe.pairs.negatives} is of several answers, but the student gives {recipe.sample.samples}. "
            "Raise sample.samples (and set teacher.samples, should the teacher give fewer).",
        )


def _quantised(recipe: Recipe) -> Problems:
    """Weights in fewer bits that would have to learn, or to answer through an engine that loads its own."""
    trained = {"teacher": [recipe.teacher.sft], "student": [recipe.student.sft, recipe.distill]}
    for name, trainings in trained.items():
        bits = getattr(getattr(recipe, name).model, "quantise", None)
        if bits and any(training is not None and training.lora is None for training in trainings):
            yield (
                f"{name}.model.quantise",
                f"weights in {bits} are frozen, but a training of the {name} has no adapter. Set its `lora: {{}}`, "
                "such as distill.lora or sft.lora.",
            )
    if getattr(recipe.teacher.model, "quantise", None) and recipe.sample.backend.type != "hf":
        yield (
            "teacher.model.quantise",
            f"a teacher in fewer bits answers through sample.backend of type hf, not {recipe.sample.backend.type}. "
            "Use `type: hf`, or name a model that was saved in fewer bits for that engine.",
        )


def _launch(recipe: Recipe) -> Problems:
    """What asks the whole student in each process, where it is divided over them; batches that do not divide."""
    if recipe.launch.sharded:
        asking = [name for name, method in recipe.methods.items() if method.objective(recipe.distill.loss).rollout()]
        told = f"method {asking[0]} draws its text as it trains" if asking else "a guard looks at what it answers"
        if asking or recipe.distill.guard:
            yield (
                "launch.strategy",
                f"{told}, which needs the whole student in each process, but {recipe.launch.strategy} divides it. "
                "Set it to ddp.",
            )
    for name, batch in _batches(recipe).items():
        if batch % recipe.launch.processes:
            yield (
                name,
                f"a batch is that of all processes and divides over them, but {batch} is no multiple of "
                f"{recipe.launch.processes} (launch.devices × launch.nodes).",
            )


def _batches(recipe: Recipe) -> dict[str, int]:
    """The batch of each training that several processes do, by its key."""
    tuned = {f"{role}.sft": getattr(recipe, role).sft for role in ("teacher", "student")}
    found = {f"{place}.batch_size": sft.batch_size for place, sft in tuned.items() if sft}
    main = recipe.distill.method
    for name, method in recipe.methods.items():
        own = "distill.method.batch_size" if method is main else f"baselines.{name}.batch_size"
        place = own if method.batch_size else "distill.batch_size"
        found[place] = recipe.distill.settings_of(method).batch_size
    return found


def _guard(recipe: Recipe) -> Problems:
    """A best step that nobody looks for, or an anchor that is not there to be raised."""
    guard, loss = recipe.distill.guard, recipe.distill.method.objective(recipe.distill.loss)
    if recipe.distill.keep == "best" and guard is None:
        yield (
            "distill.keep",
            "the best is of the steps that a guard looks at, but distill.guard is null. "
            "Set it, such as `guard: {every: 50}`, or keep the last.",
        )
    if guard is not None and guard.action == "anchor" and not hasattr(loss, "anchor"):
        yield (
            "distill.guard",
            f"its action raises the anchor of the loss, but a loss of type {loss.type} has none. "
            "Choose tell, stop or lower.",
        )


def _pair_audit(recipe: Recipe) -> Problems:
    """Nobody to audit the pairs, or one who must not."""
    if (audit := recipe.pairs.audit) is None:
        return
    if recipe.auditor is None:
        yield (
            "pairs.audit",
            "an audit is for a scorer to make, but neither pairs.audit.scorer nor pairs.scorer names one. "
            "Name one (such as `type: embedding`).",
        )
    elif needs_training(recipe.auditor):
        yield (
            "pairs.audit",
            f"{recipe.auditor.type} is a scorer to train, and only evaluate.judge is trained. "
            "Give the `folder` of one that was trained (`plad train-reward` makes one).",
        )
    elif recipe.audits_by_judge and not audit.by_judge:
        yield (
            "pairs.audit",
            f"the scorer of the audit, {recipe.auditor.type}, is evaluate.judge too, so that training would learn "
            "the judge's taste and evaluation would reward it. Name another, or set by_judge: true, "
            "and the report says so.",
        )


def _scores(recipe: Recipe) -> Problems:
    """Scores that nobody gives."""
    if recipe.needing_scores and recipe.pairs.scorer is None:
        yield (
            "distill.loss",
            f"a loss of type {recipe.needing_scores[0]} needs scores, but pairs.scorer is null. "
            "Name a scorer there (such as `type: embedding`), or use `type: ranking`.",
        )
    if recipe.pairs.real_share and recipe.pairs.scorer is None:
        yield (
            "pairs.real_share",
            f"a share of {recipe.pairs.real_share} is ordered by a scorer, but pairs.scorer is null. "
            "Name one there (such as `type: embedding`), or set the share to 0.",
        )


def _methods(recipe: Recipe) -> Problems:
    """What a method asks of the teacher or of the student, and does not get."""
    for name, method in recipe.methods.items():
        loss: Any = method.objective(recipe.distill.loss)
        if recipe.teacher.prompt and loss.needs_teacher:
            yield (
                "teacher.prompt",
                f"distributions are compared behind one prompt, but method {name} looks inside a teacher that is "
                "asked in another way than the student. Set teacher.prompt to null, or leave the method out.",
            )
        if recipe.distill.teacher_logits and loss.rollout():
            yield (
                "distill.teacher_logits",
                f"method {name} draws its text as it trains, and a {loss.type} must ask the teacher about it. "
                "Set teacher_logits to null, or leave the method to a run of its own.",
            )
        if method.lora_rank and recipe.distill.lora is None:
            yield (
                "distill.lora",
                f"method {name} names a lora_rank of {method.lora_rank}, but distill.lora is null: the student is "
                "trained whole. Set it, such as `lora: {}`, or take the rank away.",
            )


def _evaluation(recipe: Recipe) -> Problems:
    """Scorers that would have to be trained, and are not."""
    for label, scorer in recipe.evaluate.others.items():
        if needs_training(scorer):
            yield (
                "evaluate.also",
                f"{label} is a scorer to train, and only evaluate.judge is trained. "
                "Give the `folder` of one that was trained (`plad train-reward` makes one), or make it the judge.",
            )


def _lengths(recipe: Recipe) -> Problems:
    """Answers that are drawn longer than training reads them."""
    new, kept = recipe.sample.max_new_tokens, recipe.prompt.max_response_tokens
    if new > kept:
        yield (
            "sample.max_new_tokens",
            f"training cuts a response after {kept} tokens (prompt.max_response_tokens), but it is {new}. "
            "Lower it, or raise prompt.max_response_tokens.",
        )


RULES = (
    _models,
    _distillation,
    _quantised,
    _guard,
    _launch,
    _scores,
    _choices_of_answers,
    _pair_audit,
    _methods,
    _evaluation,
    _lengths,
)
