"""Methods that learn from the pseudo-preference pairs. None looks inside the teacher."""

from __future__ import annotations

from typing import ClassVar, Literal

from plad import losses
from plad.losses import Loss
from plad.methods.base import LossMethod, Method, Text


class Plad(Method):
    """PLaD (arXiv 2406.02886): the calibration loss that the recipe names in distill.loss."""

    label: ClassVar[str] = "PLaD"
    learns_from: ClassVar[Text] = "pairs"
    calibrated: ClassVar[bool] = True

    type: Literal["plad"] = "plad"

    def objective(self, calibration: Loss) -> Loss:
        return calibration


class DPO(LossMethod, losses.DPO):
    """DPO, held to the initial student."""

    label: ClassVar[str] = "DPO"
    learns_from: ClassVar[Text] = "pairs"


class IPO(LossMethod, losses.IPO):
    """IPO, held to the initial student."""

    label: ClassVar[str] = "IPO"
    learns_from: ClassVar[Text] = "pairs"


class SimPO(LossMethod, losses.SimPO):
    """SimPO."""

    label: ClassVar[str] = "SimPO"
    learns_from: ClassVar[Text] = "pairs"


class ORPO(LossMethod, losses.ORPO):
    """ORPO."""

    label: ClassVar[str] = "ORPO"
    learns_from: ClassVar[Text] = "pairs"


class SlicHF(LossMethod, losses.SlicHF):
    """SLiC-HF: ranking calibration and the likelihood of the teacher's answer."""

    label: ClassVar[str] = "SLiC-HF"
    learns_from: ClassVar[Text] = "pairs"
