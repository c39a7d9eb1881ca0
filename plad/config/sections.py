"""The sections of a recipe. Every object is the thing itself (a loss, a source, a scorer), not a description of it, and
its `type:` is looked up in the table of the folder that defines it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from plad.data import SOURCES, Hygiene, Splits
from plad.generation import ENGINES, TEACHERS, Sampling
from plad.generation.hf import HF
from plad.losses import LOSSES, RankingCalibration
from plad.methods import METHODS, Method, Plad
from plad.models import MODELS, Lora, PromptFormat
from plad.scoring import SCORERS, Length
from plad.scoring.judging import is_pairwise, needs_training
from plad.spec import Spec, variant
from plad.training.guard import Guard
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
