"""A divergence of sequences, step by step, on answers that both models gave before training: f-distill, DistiLLM-2."""

from __future__ import annotations

from typing import ClassVar

from plad import losses
from plad.losses import ForwardKL, JensenShannon, ReverseKL, TotalVariation
from plad.methods.base import LossMethod, Text


class FDistillKL(LossMethod, ForwardKL):
    """KL(p‖q) along the teacher's answers."""

    label: ClassVar[str] = "f-distill, KL"
    learns_from: ClassVar[Text] = "teacher"


class FDistillRKL(LossMethod, ReverseKL):
    """KL(q‖p) along the initial student's answers."""

    label: ClassVar[str] = "f-distill, RKL"
    learns_from: ClassVar[Text] = "student"


class FDistillJS(LossMethod, JensenShannon):
    """The Jensen-Shannon divergence along both."""

    label: ClassVar[str] = "f-distill, JS"
    learns_from: ClassVar[Text] = "both"


class FDistillTVD(LossMethod, TotalVariation):
    """The total variation distance along both."""

    label: ClassVar[str] = "f-distill, TVD"
    learns_from: ClassVar[Text] = "both"


class DistiLLM2(LossMethod, losses.DistiLLM2):
    """DistiLLM-2: a skewed KL(p‖·) along the teacher's answers, a skewed KL(q‖·) along the initial student's."""

    label: ClassVar[str] = "DistiLLM-2"
    learns_from: ClassVar[Text] = "both"
