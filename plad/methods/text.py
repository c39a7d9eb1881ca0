"""Methods that learn from text by its likelihood, with or without the teacher's distributions beside it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from plad import losses
from plad.losses import Loss, NegativeLogLikelihood
from plad.methods.base import LossMethod, Method, Text


class _Likelihood(Method):
    def objective(self, calibration: Loss) -> Loss:
        return NegativeLogLikelihood()


class SFT(_Likelihood):
    """Supervised fine-tuning, continued: the initial student goes on with people's references."""

    label: ClassVar[str] = "SFT, continued"
    learns_from: ClassVar[Text] = "references"

    type: Literal["sft"] = "sft"


class SeqKD(_Likelihood):
    """The likelihood of the teacher's answers (Kim and Rush 2016, arXiv 1606.07947); needs no look inside it."""

    label: ClassVar[str] = "SeqKD"
    learns_from: ClassVar[Text] = "teacher"

    type: Literal["seqkd"] = "seqkd"


class KD(LossMethod, losses.KD):
    """Standard, word-level distillation along people's references."""

    label: ClassVar[str] = "Standard KD"
    learns_from: ClassVar[Text] = "references"


class SeqKDWithKD(LossMethod, losses.KD):
    """Word-level distillation along the teacher's answers, which some codes call SeqKD; under a label of its own."""

    label: ClassVar[str] = "SeqKD + KD"
    learns_from: ClassVar[Text] = "teacher"

    type: Literal["seqkd+kd"] = "seqkd+kd"  # type: ignore[assignment]  # the same loss under another name
    nll: float = Field(0.5, ge=0, le=1, description="λ, the share of the likelihood of the text")
