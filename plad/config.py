"""The recipe: YAML and dotted overrides in, validated objects out. A mistake is refused with its line and value.

Every object of a recipe is the thing itself (a loss, a source, a scorer), not a description of it, and its `type:`
is looked up in the table of the folder that defines it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import Field, ValidationError, field_validator

from plad.data import SOURCES, Hygiene, Splits
from plad.errors import PladError, nearest
from plad.generation import ENGINES, TEACHERS, Sampling
from plad.generation.hf import HF
from plad.losses import LOSSES, RankingCalibration
from plad.methods import METHODS, SFT, Method, Plad, SeqKD
from plad.models import MODELS, Lora, PromptFormat
from plad.presets import beneath, preset
from plad.scoring import SCORERS, Length
from plad.scoring.judging import is_pairwise, needs_training, same_model
from plad.spec import Spec, variant
from plad.training.guard import Guard
from plad.training.launch import Launch
from plad.training.run import Optimisation
from plad.training.stored import TeacherLogits

Source: Any = variant(SOURCES)
Model: Any = variant(MODELS)
Teacher: Any = variant({**MODELS, **TEACHERS})
Backend: Any = variant(ENGINES)
Scorer: Any = variant(SCORERS)
AnyMethod: Any = variant(METHODS, default="plad")
Objective: Any = variant({name: LOSSES[name] for name in ("ranking", "margin")}, default="ranking")


class Task(Spec):
    """Where prompts come from and how they are divided."""

    source: Source
    splits: Splits = Splits()


class Training(Optimisation):
    """An optimisation of the whole model, or of a LoRA adapter."""

    lora: Lora | None = None

    @property
    def flops_a_weight(self) -> int:
        """Of a training token: 2 forwards, 4 backwards, 2 less where weights are frozen, 2 more to recompute."""
        return (4 if self.lora else 6) + 2 * self.gradient_checkpointing


class Distillation(Training):
    """The student's training by a method. LoRA by default, as in the paper; `lora: null` trains it whole.

    The optimiser steps are those of one epoch, or as many as stated, over the preference pairs, whatever the method; or
    as many as cost what these do (`equal: compute`), in FLOPs, the answers that were given beforehand included, or as
    many as `max_flops` pays for.
    """

    method: AnyMethod = Field(Plad(), description="what the run is about")
    loss: Objective = Field(RankingCalibration(), description="the calibration loss of method plad")
    lora: Lora | None = Lora()
    share: float = Field(1.0, gt=0, le=1, description="share of the distillation half's prompts that is learnt from")
    rounds: int = Field(1, ge=1, le=20, description="how often the student is sampled anew and goes on, at most")
    replay: float = Field(0.0, ge=0, le=1, description="share of the last round's pairs that a round learns from again")
    equal: Literal["steps", "compute"] = Field("steps", description="what all methods get alike; compute is estimated")
    max_flops: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="what a method's training may cost at most, its answers and all rounds included; sets the steps",
    )
    teacher_logits: TeacherLogits | None = Field(
        None,
        description="keep on disk what the teacher says along fixed text, in place of the teacher beside the student",
    )
    guard: Guard | None = Field(
        None, description="look at the student as it learns, and tell or act where it collapses"
    )
    keep: Literal["last", "best"] = Field(
        "last", description="best: the student of the look with the highest validation win rate, by evaluate.judge"
    )

    def settings_of(self, method: Method) -> Distillation:
        """Those of a method's own training: its rate, batch and rank where it names them."""
        own = {name: value for name in ("learning_rate", "batch_size") if (value := getattr(method, name))}
        if self.lora is not None and method.lora_rank:
            own["lora"] = self.lora.model_copy(update={"r": method.lora_rank})
        return self.model_copy(update=own)


class ModelRole(Spec):
    """A teacher or a student: where its weights come from, and its supervised fine-tuning (null for none)."""

    model: Model
    sft: Training | None = Training()


class TeacherRole(ModelRole):
    """A teacher may also be one of which nothing but text is seen: an API, or a file of recorded answers."""

    model: Teacher
    samples: int | None = Field(
        None, ge=1, description="its answers to a prompt of the distillation half; sample.samples where null"
    )
    prompt: PromptFormat | None = Field(
        None, description="how it is asked; as the student where null. Such as with examples, which the student lacks"
    )

    @property
    def text_only(self) -> bool:
        """Whether there are no weights to train, to measure or to look into."""
        return self.model.type in TEACHERS


class Sample(Sampling):
    """How teacher and student answer."""

    batch_size: int = Field(64, ge=1, description="answers at a time; part of what makes two runs equal")
    backend: Backend = Field(HF(), description="what runs a model whose weights are here")

    @property
    def once(self) -> Sample:
        """The same with one answer a prompt."""
        return self.model_copy(update={"samples": 1})

    @property
    def greedy(self) -> Sample:
        """One answer a prompt, at temperature 0."""
        return self.model_copy(update={"temperature": 0.0, "samples": 1})


class PairAudit(Spec):
    """Whether the teacher's answers are the better ones, asked before training of a scorer or a pairwise judge."""

    scorer: Scorer | None = Field(None, description="pairs.scorer where null")
    prompts: int = Field(200, ge=1, description="pairs looked at, one a prompt; an action is about all of them")
    action: Literal["keep", "flip", "drop", "weight"] = Field(
        "keep", description="what becomes of a pair whose rejected answer is the better one; weight: by how sure it is"
    )
    by_judge: bool = Field(False, description="let it be evaluate.judge, whose taste training then learns")


class Pairing(Spec):
    """How pairs are made. The scorer is used where the loss needs scores, or answers are chosen or ordered by them."""

    scorer: Scorer | None = None
    positives: Literal["first", "best"] = Field(
        "first", description="the teacher's first answer, or of several the one that the scorer likes best"
    )
    negatives: Literal["first", "all", "hardest", "random"] = Field(
        "first",
        description="which of the student's answers to a prompt; hardest is the one that it thinks likeliest",
    )
    real_share: float = Field(0.0, ge=0, le=1, description="ρ, the share of pairs that the scorer orders")
    hygiene: Hygiene = Hygiene()
    audit: PairAudit | None = None


class CalibrationCheck(Spec):
    """Whether likelihood tracks quality: samples of the initial and of the distilled student to some test prompts."""

    of: Literal["subject", "all"] = Field("subject", description="beside the initial student; all: every trained one")
    prompts: int = Field(64, ge=1)
    samples: int = Field(4, ge=2, description="a prompt")
    temperature: float = Field(1.0, gt=0, le=10)
    scorer: Scorer | None = Field(None, description="evaluate.judge where null")


class Evaluation(Spec):
    """How models answer prompts that they were not trained on, and who judges the answers."""

    judge: Scorer
    also: tuple[Scorer, ...] = Field((Length(),), description="scorers beside the judge; length should not win")
    calibration: CalibrationCheck | None = CalibrationCheck()
    split: Literal["test", "validation"] = Field("test", description="validation is for choosing settings")
    sampling: Sample | None = Field(None, description="that of sample where null")
    judge_prompts: int | None = Field(None, ge=1, description="training prompts that a judge learns from; null for all")
    judge_samples: int = Field(1000, ge=0, description="student's answers to training prompts that a judge learns from")

    @property
    def pairwise(self) -> bool:
        """Whether the judge compares two answers, as opposed to scoring one."""
        return is_pairwise(self.judge)

    @property
    def trains_judge(self) -> bool:
        """Whether the run itself makes the judge."""
        return needs_training(self.judge)

    @property
    def others(self) -> dict[str, Any]:
        """The scorers beside the judge by what they are called: their type, with a number where it comes again."""
        found: dict[str, Any] = {}
        for scorer in self.also:
            again = 1 + sum(other.type == scorer.type for other in found.values())
            found[scorer.type if again == 1 else f"{scorer.type}-{again}"] = scorer
        return found


TAKEN = ("teacher", "student", "judge", "results")
"""Names that stand for something else in a run folder."""


class Recipe(Spec):
    """Everything that determines a run."""

    name: str = Field("run", description="names the run's folder")
    seed: int = Field(1, ge=0, le=2**31)
    task: Task
    prompt: PromptFormat = PromptFormat()
    teacher: TeacherRole
    student: ModelRole
    sample: Sample = Sample()
    pairs: Pairing = Pairing()
    distill: Distillation = Distillation()
    baselines: dict[str, AnyMethod | None] = Field(
        {"sft": SFT(), "seqkd": SeqKD()},
        description="names of our own to methods to compare with; without `type` the name is the type; null is none",
    )
    evaluate: Evaluation
    launch: Launch = Field(Launch(), description="the processes that train; they change no result")

    @field_validator("name")
    @classmethod
    def _is_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError("must be letters, digits and any of . _ - (first neither . nor -), for it names a folder")
        return name

    @field_validator("baselines", mode="before")
    @classmethod
    def _typed_by_name(cls, baselines: Any) -> Any:
        """The two that always run unless they are null, and a `type` where the name says it."""
        if not isinstance(baselines, Mapping):
            return baselines
        named = {"sft": {}, "seqkd": {}, **baselines}
        return {
            name: {"type": name, **method} if isinstance(method, Mapping) else method for name, method in named.items()
        }

    @field_validator("baselines")
    @classmethod
    def _names_are_files(cls, baselines: dict[str, Any]) -> dict[str, Any]:
        for name in baselines:
            if not re.fullmatch(r"\w[\w.+-]*", name) or name in TAKEN:
                raise ValueError(
                    f"the name of a method is letters, digits and any of . _ + - and none of {', '.join(TAKEN)}; "
                    f"{name!r} names files"
                )
        return baselines

    @property
    def methods(self) -> dict[str, Method]:
        """How each trained student came to be, by its name; the last is the one that the run is about.

        That one is named after its method, and stands in the place of a baseline of the same name.
        """
        main = self.distill.method
        compared = {name: method for name, method in self.baselines.items() if method and name != main.type}
        return {**compared, main.type: main}

    def check(self) -> None:
        """What no single field can tell, before any work.

        Raises:
            PladError: with the rule, the value and the remedy.
        """
        for place, problem in self.problems():
            raise PladError(f"{place}: {problem}")

    def problems(self) -> Iterator[tuple[str, str]]:
        """Each mistake that no single field can tell, with the dotted key it is at."""
        for name in ("teacher", "student"):
            try:
                getattr(self, name).model.check()
            except PladError as error:
                yield f"{name}.model", str(error)
        if self.teacher.text_only and self.teacher.sft is not None:
            yield (
                "teacher.sft",
                f"only a model whose weights are here can be fine-tuned, but the teacher is of type "
                f"{self.teacher.model.type}. Set it to null.",
            )
        pairs = self.pairs
        if self.distill.rounds > 1 and self.distill.method.learns_from != "pairs":
            yield (
                "distill.rounds",
                f"a round makes new pairs, but a method of type {self.distill.method.type} learns from "
                f"{self.distill.method.learns_from}. Set it to 1, or use `type: plad`.",
            )
        if self.distill.max_flops and self.distill.max_steps:
            yield (
                "distill.max_steps",
                f"steps are counted by max_flops or by max_steps, but both are set, the latter to "
                f"{self.distill.max_steps}. Set one of them to null.",
            )
        yield from self._quantised_problems()
        yield from self._guard_problems()
        yield from self._launch_problems()
        if self._needing_scores and pairs.scorer is None:
            yield (
                "distill.loss",
                f"a loss of type {self._needing_scores[0]} needs scores, but pairs.scorer is null. "
                "Name a scorer there (such as `type: embedding`), or use `type: ranking`.",
            )
        yield from self._sample_problems()
        if pairs.real_share and pairs.scorer is None:
            yield (
                "pairs.real_share",
                f"a share of {pairs.real_share} is ordered by a scorer, but pairs.scorer is null. "
                "Name one there (such as `type: embedding`), or set the share to 0.",
            )
        yield from self._audit_problems()
        for name, method in self.methods.items():
            loss: Any = method.objective(self.distill.loss)
            if self.teacher.prompt and loss.needs_teacher:
                yield (
                    "teacher.prompt",
                    f"distributions are compared behind one prompt, but method {name} looks inside a teacher that is "
                    "asked in another way than the student. Set teacher.prompt to null, or leave the method out.",
                )
            if self.distill.teacher_logits and loss.rollout():
                yield (
                    "distill.teacher_logits",
                    f"method {name} draws its text as it trains, and a {loss.type} must ask the teacher about it. "
                    "Set teacher_logits to null, or leave the method to a run of its own.",
                )
            if method.lora_rank and self.distill.lora is None:
                yield (
                    "distill.lora",
                    f"method {name} names a lora_rank of {method.lora_rank}, but distill.lora is null: the student is "
                    "trained whole. Set it, such as `lora: {}`, or take the rank away.",
                )
        for label, scorer in self.evaluate.others.items():
            if needs_training(scorer):
                yield (
                    "evaluate.also",
                    f"{label} is a scorer to train, and only evaluate.judge is trained. "
                    "Give the `folder` of one that was trained (`plad train-reward` makes one), or make it the judge.",
                )
        new, kept = self.sample.max_new_tokens, self.prompt.max_response_tokens
        if new > kept:
            yield (
                "sample.max_new_tokens",
                f"training cuts a response after {kept} tokens (prompt.max_response_tokens), but it is {new}. "
                "Lower it, or raise prompt.max_response_tokens.",
            )

    def _sample_problems(self) -> Iterator[tuple[str, str]]:
        """Choices among the answers to a prompt that leave nothing to choose."""
        if self.pairs.positives == "best":
            if self.pairs.scorer is None:
                yield (
                    "pairs.positives",
                    "the best of the teacher's answers is for a scorer to say, but pairs.scorer is null. "
                    "Name one there (such as `type: embedding`), or set it to first.",
                )
            if (count := self.sampling_of("teacher").samples) < 2:
                yield (
                    "pairs.positives",
                    f"the best is chosen of several answers, but the teacher gives {count}. Raise teacher.samples.",
                )
        if self.pairs.negatives != "first" and self.sample.samples < 2:
            yield (
                "pairs.negatives",
                f"{self.pairs.negatives} is of several answers, but the student gives {self.sample.samples}. "
                "Raise sample.samples (and set teacher.samples, should the teacher give fewer).",
            )

    def _quantised_problems(self) -> Iterator[tuple[str, str]]:
        """Weights in fewer bits that would have to learn, or to answer through an engine that loads its own."""
        trained = {"teacher": [self.teacher.sft], "student": [self.student.sft, self.distill]}
        for name, trainings in trained.items():
            bits = getattr(getattr(self, name).model, "quantise", None)
            if bits and any(training is not None and training.lora is None for training in trainings):
                yield (
                    f"{name}.model.quantise",
                    f"weights in {bits} are frozen, but a training of the {name} has no adapter. Set its `lora: {{}}`, "
                    "such as distill.lora or sft.lora.",
                )
        if getattr(self.teacher.model, "quantise", None) and self.sample.backend.type != "hf":
            yield (
                "teacher.model.quantise",
                f"a teacher in fewer bits answers through sample.backend of type hf, not {self.sample.backend.type}. "
                "Use `type: hf`, or name a model that was saved in fewer bits for that engine.",
            )

    def _launch_problems(self) -> Iterator[tuple[str, str]]:
        """What asks the whole student in each process, where it is divided over them; batches that do not divide."""
        if self.launch.sharded:
            asking = [name for name, method in self.methods.items() if method.objective(self.distill.loss).rollout()]
            told = f"method {asking[0]} draws its text as it trains" if asking else "a guard looks at what it answers"
            if asking or self.distill.guard:
                yield (
                    "launch.strategy",
                    f"{told}, which needs the whole student in each process, but {self.launch.strategy} divides it. "
                    "Set it to ddp.",
                )
        for name, batch in self._batches().items():
            if batch % self.launch.processes:
                yield (
                    name,
                    f"a batch is that of all processes and divides over them, but {batch} is no multiple of "
                    f"{self.launch.processes} (launch.devices × launch.nodes).",
                )

    def _batches(self) -> dict[str, int]:
        """The batch of each training that several processes do, by its key."""
        tuned = {f"{role}.sft": getattr(self, role).sft for role in ("teacher", "student")}
        found = {f"{place}.batch_size": sft.batch_size for place, sft in tuned.items() if sft}
        main = self.distill.method
        for name, method in self.methods.items():
            own = "distill.method.batch_size" if method is main else f"baselines.{name}.batch_size"
            place = own if method.batch_size else "distill.batch_size"
            found[place] = self.distill.settings_of(method).batch_size
        return found

    def _guard_problems(self) -> Iterator[tuple[str, str]]:
        """A best step that nobody looks for, or an anchor that is not there to be raised."""
        guard, loss = self.distill.guard, self.distill.method.objective(self.distill.loss)
        if self.distill.keep == "best" and guard is None:
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

    def _audit_problems(self) -> Iterator[tuple[str, str]]:
        """Nobody to audit the pairs, or one who must not."""
        if (audit := self.pairs.audit) is None:
            return
        if self.auditor is None:
            yield (
                "pairs.audit",
                "an audit is for a scorer to make, but neither pairs.audit.scorer nor pairs.scorer names one. "
                "Name one (such as `type: embedding`).",
            )
        elif needs_training(self.auditor):
            yield (
                "pairs.audit",
                f"{self.auditor.type} is a scorer to train, and only evaluate.judge is trained. "
                "Give the `folder` of one that was trained (`plad train-reward` makes one).",
            )
        elif self.audits_by_judge and not audit.by_judge:
            yield (
                "pairs.audit",
                f"the scorer of the audit, {self.auditor.type}, is evaluate.judge too, so that training would learn "
                "the judge's taste and evaluation would reward it. Name another, or set by_judge: true, "
                "and the report says so.",
            )

    @property
    def auditor(self) -> Any:
        """Who audits the pairs."""
        return (self.pairs.audit.scorer if self.pairs.audit else None) or self.pairs.scorer

    @property
    def audits_by_judge(self) -> bool:
        """Whether that is evaluate.judge."""
        return same_model(self.auditor, self.evaluate.judge)

    def prompt_of(self, name: str) -> PromptFormat:
        """How a model is shown prompts; the teacher may be asked in another way than the student."""
        return (self.teacher.prompt if name == "teacher" else None) or self.prompt

    def sampling_of(self, name: str) -> Sample:
        """How a model answers the distillation half; the teacher may give another number of answers."""
        own = self.teacher.samples if name == "teacher" else None
        return self.sample.model_copy(update={"samples": own or self.sample.samples})

    @property
    def trackers(self) -> list[str]:
        """Who follows one training or another."""
        trainings = (self.teacher.sft, self.student.sft, self.distill)
        return list(dict.fromkeys(name for training in trainings if training for name in training.report_to))

    @property
    def scores_pairs(self) -> bool:
        """Whether pairs.scorer is used at all."""
        return bool(self._needing_scores) or self.pairs.real_share > 0 or self.pairs.positives == "best"

    @property
    def _needing_scores(self) -> list[str]:
        """The types of the losses that look at scores."""
        losses: list[Any] = [method.objective(self.distill.loss) for method in self.methods.values()]
        return [loss.type for loss in losses if loss.needs_scores]

    def seed_for(self, purpose: str) -> int:
        """A seed for one purpose, from 0 to 2³¹ − 1, so that no two stages draw the same numbers."""
        return int.from_bytes(hashlib.sha256(f"{self.seed} {purpose}".encode()).digest()[:4], "big") >> 1

    def to_yaml(self) -> str:
        """The recipe with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        overrides: dotted settings such as `distill.loss.margin=0.5`; the value is YAML.

    Raises:
        PladError: the file is missing or not YAML, a key is unknown, a value is of the wrong type, or the whole makes
            no sense. The message has the line, the value and the nearest right name.
    """
    data, marks = _parse(read_recipe_text(path), path)
    for override in overrides:
        _override(data, override, marks)
    return _validated(_preset(data, marks, path), marks, path)


def _preset(data: dict[str, Any], marks: Marks, path: Path) -> dict[str, Any]:
    """The recipe with the settings that its `preset:` stands for, where it has none of its own."""
    if "preset" not in data:
        return data
    try:
        settings = preset(data["preset"])
    except PladError as error:
        raise PladError(f"{_where(['preset'], marks, path)}: preset: {error}") from None
    return beneath(settings, {key: value for key, value in data.items() if key != "preset"})


def _validated(data: Mapping[str, Any], marks: Marks, path: Path) -> Recipe:
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        told = [_explain(problem, marks, path) for problem in error.errors()]
        raise PladError("\n".join(dict.fromkeys(told))) from None
    if problems := list(recipe.problems()):
        told = [f"{_where(place.split('.'), marks, path)}: {place}: {problem}" for place, problem in problems]
        raise PladError("\n".join(told))
    return recipe


def changed(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """A recipe with some dotted settings changed.

    Raises:
        PladError: as `load_recipe`.
    """
    data: dict[str, Any] = recipe.model_dump(mode="json")
    marks: Marks = {}
    for override in overrides:
        _override(data, override, marks)
    return _validated(data, marks, Path("the recipe"))


def parse_settings(overrides: Sequence[str]) -> dict[str, Any]:
    """Dotted settings, `KEY=VALUE` with YAML for a value, as a mapping.

    Raises:
        PladError: one of them is not.
    """
    data: dict[str, Any] = {}
    for override in overrides:
        _override(data, override, {})
    return data


def read_recipe_text(path: Path) -> str:
    """The text of a recipe file.

    Raises:
        PladError: there is none.
    """
    if not path.is_file():
        beside = [str(p) for folder in (path.parent, Path("recipes")) for p in sorted(folder.glob("*.yaml"))]
        raise PladError(f"there is no recipe {path}.{nearest(str(path), beside)} `plad init` writes one.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise PladError(f"{path}, line {line}: a recipe is UTF-8 text, but this is not. Save it as UTF-8.") from None


Marks = dict[tuple[str, ...], str]
"""Where each key of a recipe was set: its line in the file, or the override."""


def _parse(text: str, path: Path) -> tuple[dict[str, Any], Marks]:
    marks: Marks = {}
    try:
        data = yaml.safe_load(text)
        _mark(yaml.compose(text, Loader=yaml.SafeLoader), (), marks, path)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise PladError(f"{path}{line}: a recipe is YAML, but this is not: {problem}. Mend it there.") from None
    except RecursionError:
        raise PladError(f"{path}: a recipe is a tree, but an alias (*name) in it holds itself. Remove it.") from None
    if not isinstance(data, dict):
        found = "is empty" if data is None else f"holds a {type(data).__name__}"
        raise PladError(f"{path}: a recipe is a mapping of sections, but this {found}. `plad init` writes one.")
    return data, marks


def _mark(node: Any, at: tuple[str, ...], marks: Marks, path: Path) -> None:
    """Note on which line each key stands; refuse one that stands twice, of which YAML would keep the last."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        place, here = (*at, str(key.value)), f"{path}, line {key.start_mark.line + 1}"
        if place in marks:
            first = marks[place].rpartition(" ")[2]
            raise PladError(f"{here}: {'.'.join(place)} stands twice, first on line {first}. Remove one of the two.")
        marks[place] = here
        _mark(value, place, marks, path)


def _override(data: dict[str, Any], override: str, marks: Marks) -> None:
    """Set one dotted key."""
    dotted, equals, text = override.partition("=")
    shown = _without_keys(override)
    *parents, last = path = dotted.split(".")
    if not equals or not all(path):
        raise PladError(f"--set takes KEY=VALUE, such as distill.loss.margin=0.5, but this is {shown!r}.")
    here = data
    for depth, key in enumerate(parents, start=1):
        inner = {} if here.get(key) is None else here[key]
        if not isinstance(inner, dict):
            above = ".".join(path[:depth])
            raise PladError(f"--set {shown}: {above} is {_shown(inner)} in the recipe and has no keys of its own.")
        # A copy: under an alias (*name) the same mapping stands in several places, and one of them is meant.
        here[key] = dict(inner)
        here = here[key]
    try:
        here[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        raise PladError(f"--set {shown}: the value is not YAML ({problem}). Put it in quotes.") from None
    if last == "type":
        _drop_others(here, parents)
    for place in [place for place in marks if place[: len(path)] == tuple(path)]:
        del marks[place]
    marks[tuple(path)] = f"--set {shown}"


def _without_keys(text: str) -> str:
    """A setting as it may be shown: what stands behind `api_key` and its like is nobody's business."""
    secret = r"(?:api[_-]?key|authori[sz]ation|password|secret|access_?token)"
    return re.sub(rf"""(?i)({secret}\w*["']?\s*[:=]\s*["']?)(?:bearer\s+)?[^\s,}}"']+""", r"\1…", text)


def _drop_others(settings: dict[str, Any], place: Sequence[str]) -> None:
    """With a new type go the settings that only other variants have: a resolved recipe has all of them written out."""
    kinds = _follow(place)[1]
    own = {name for kind in kinds if _tag(kind) == settings["type"] for name in kind.model_fields}
    others = {name for kind in kinds for name in kind.model_fields}
    for name in others - own if own else ():
        settings.pop(name, None)


def _where(place: Sequence[str], marks: Marks, path: Path) -> str:
    """Where the value at a place was set: by an override of it or of a part of it, or in the file, or round it."""
    depth = len(place)
    set_below = (mark for key, mark in marks.items() if mark.startswith("--set") and key[:depth] == tuple(place))
    round_it = (marks[key] for n in range(depth, 0, -1) if (key := tuple(place[:n])) in marks)
    return next(set_below, None) or next(round_it, str(path))


def _explain(problem: Any, marks: Marks, path: Path) -> str:
    """One line a mistake: file, line, dotted key, what is wrong, and the nearest right name."""
    place, kinds = _follow(problem["loc"])
    if place and place[-1].startswith("api_key"):
        problem = {**problem, "input": "…"}
    name = ".".join(place) or "the recipe"
    return f"{_where(place, marks, path)}: {name}: {_what(problem, kinds)}"


def _what(problem: Any, kinds: Sequence[type[Spec]]) -> str:
    """What is wrong. `kinds` are the classes that can stand at the place of the problem."""
    kind, value, message = problem["type"], problem["input"], problem["msg"]
    types = [tag for option in kinds if (tag := _tag(option))]
    if kind == "extra_forbidden":
        # The class that refused the key stands one step above it.
        _, owners = _follow(problem["loc"][:-1])
        names = list(owners[0].model_fields) if len(owners) == 1 else []
        return f"unknown key.{nearest(str(problem['loc'][-1]), names)} Known: {', '.join(names)}."
    if kind == "missing":
        return "is required, but is not there. Add it."
    if kind == "union_tag_invalid":
        given = str(value["type"])
        return f"unknown type {given!r}.{nearest(given, types)} Known: {', '.join(types)}."
    if kind == "union_tag_not_found":
        found = "has none" if isinstance(value, Mapping) else f"is {_shown(value)}"
        return f"must be a mapping with a `type:`, but {found}. Known: {', '.join(types)}."
    if kind == "model_type":
        names = [field for option in kinds for field in option.model_fields]
        return f"must be a mapping of settings, but is {_shown(value)}. Known: {', '.join(names)}."
    rule = re.sub(", (unable to|got a) .*", "", message.removeprefix("Value error, ").replace("Input should", "must"))
    rule = (rule[0].lower() + rule[1:]).replace("a valid tuple", "a list").replace("a valid string", "text")
    if kind == "value_error" and isinstance(value, Mapping):
        return f"{rule}."
    return f"{rule}, but is {_shown(value)}." + (" Put it in quotes." if kind == "string_type" and value else "")


def _shown(value: Any) -> str:
    """A value as YAML writes it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _follow(location: Sequence[Any]) -> tuple[list[str], list[type[Spec]]]:
    """The keys that pydantic's location stands for, and the classes that can stand there.

    Where there is a choice of classes the location names the variant, which is no key of the file.
    """
    place: list[str] = []
    kinds: list[type[Spec]] = [Recipe]
    named = False
    for step in location:
        if named:  # a key that the user made up
            place.append(str(step))
            named = False
            continue
        if len(kinds) > 1 and step in map(_tag, kinds):
            kinds = [kind for kind in kinds if _tag(kind) == step]
            continue
        place.append(str(step))
        if isinstance(step, int):
            continue  # one of a list, all of whose members can be the same
        field = kinds[0].model_fields.get(step) if len(kinds) == 1 else None
        kinds = _specs(field.annotation) if field else []
        named = field is not None and get_origin(field.annotation) is dict
    return place, kinds


def _specs(annotation: Any) -> list[type[Spec]]:
    """The classes of ours in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _specs(part)]


def _tag(kind: type[Spec]) -> str | None:
    """What `type:` says of a variant."""
    field = kind.model_fields.get("type")
    return str(field.default) if field else None
