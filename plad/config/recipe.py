"""The recipe: everything that determines a run, as one validated object."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import Field, field_validator

from plad.config.sections import AnyMethod, Distillation, Evaluation, ModelRole, Pairing, Sample, Task, TeacherRole
from plad.methods import SFT, Method, SeqKD
from plad.models import PromptFormat
from plad.scoring.judging import same_model
from plad.spec import Spec
from plad.training.launch import Launch

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
        return bool(self.needing_scores) or self.pairs.real_share > 0 or self.pairs.positives == "best"

    @property
    def needing_scores(self) -> list[str]:
        """The types of the losses that look at scores."""
        losses: list[Any] = [method.objective(self.distill.loss) for method in self.methods.values()]
        return [loss.type for loss in losses if loss.needs_scores]

    def seed_for(self, purpose: str) -> int:
        """A seed for one purpose, from 0 to 2³¹ − 1, so that no two stages draw the same numbers."""
        return int.from_bytes(hashlib.sha256(f"{self.seed} {purpose}".encode()).digest()[:4], "big") >> 1

    def to_yaml(self) -> str:
        """The recipe with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
