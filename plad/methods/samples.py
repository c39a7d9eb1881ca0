"""On-policy methods: the student answers the prompts as it trains, and the teacher's distributions correct it."""

from __future__ import annotations

from typing import ClassVar

from plad import losses
from plad.methods.base import LossMethod, Text


class MiniLLM(LossMethod, losses.MiniLLM):
    """MiniLLM; the text beside its samples is people's references of the training half."""

    label: ClassVar[str] = "MiniLLM"
    learns_from: ClassVar[Text] = "samples"


class MiniLLMCode(LossMethod, losses.MiniLLMCode):
    """MiniLLM as its authors' code computes it; the text beside its samples is people's references."""

    label: ClassVar[str] = "MiniLLM, as coded"
    learns_from: ClassVar[Text] = "samples"


class GKD(LossMethod, losses.GKD):
    """Generalised knowledge distillation, on-policy throughout."""

    label: ClassVar[str] = "GKD, on-policy"
    learns_from: ClassVar[Text] = "samples"
