"""What a method is: which text the student learns from, and which loss it minimises on it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from plad.losses import Loss
from plad.spec import Spec

Text = Literal["references", "teacher", "student", "both", "pairs", "samples"]
"""People's references of the training half; on the distillation half the teacher's answers, the initial student's, or
both in this order; the preference pairs made of them; or prompts alone, which the student answers as it trains."""


class Method(Spec):
    """A way to train the initial student further. All methods of a run take the same optimiser steps."""

    label: ClassVar[str]
    """What tables and charts call it."""
    learns_from: ClassVar[Text]
    learning_rate: float | None = Field(None, gt=0, description="that of distill where null")
    batch_size: int | None = Field(None, ge=1, description="likewise; the steps see as many examples either way")
    lora_rank: int | None = Field(None, ge=1, description="likewise, that of distill.lora")

    @property
    def answered_by(self) -> tuple[str, ...]:
        """The models whose answers to the distillation half it learns from."""
        both = ("teacher", "student")
        none: tuple[str, ...] = ()
        found = {"references": none, "samples": none, "both": both, "pairs": both}
        return found.get(self.learns_from, (self.learns_from,))

    @property
    def calibrated(self) -> bool:
        """Whether its loss is the recipe's distill.loss."""
        return False

    def objective(self, calibration: Loss) -> Loss:
        """The loss, which for PLaD is the recipe's `calibration` unless it names one of its own."""
        raise NotImplementedError


class LossMethod(Method, Loss):
    """A method whose settings are those of its loss: the object is both."""

    def objective(self, calibration: Loss) -> Loss:
        return self
