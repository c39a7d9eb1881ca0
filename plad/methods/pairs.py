"""Methods that learn from the pseudo-preference pairs. None looks inside the teacher."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from plad import losses
from plad.losses import Loss, MarginCalibration, RankingCalibration
from plad.methods.base import LossMethod, Method, Text


class Plad(Method):
    """PLaD (arXiv 2406.02886): the calibration loss that the recipe names in distill.loss, or one of its own."""

    label: ClassVar[str] = "PLaD"
    learns_from: ClassVar[Text] = "pairs"

    type: Literal["plad"] = "plad"
    loss: RankingCalibration | MarginCalibration | None = Field(
        None, discriminator="type", description="that of distill where null; to compare two of them in one run"
    )

    @property
    def calibrated(self) -> bool:
        return self.loss is None

    def objective(self, calibration: Loss) -> Loss:
        return self.loss or calibration


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


class Listwise(LossMethod, losses.Listwise):
    """The teacher's answer against all of the student's at once (`pairs.negatives: all`)."""

    label: ClassVar[str] = "Listwise"
    learns_from: ClassVar[Text] = "pairs"


class LiPO(LossMethod, losses.LiPO):
    """LiPO-λ: all answers in the order of pairs.scorer, held to the initial student."""

    label: ClassVar[str] = "LiPO"
    learns_from: ClassVar[Text] = "pairs"


class RRHF(LossMethod, losses.RRHF):
    """RRHF: the teacher's answer above the student's, and its likelihood."""

    label: ClassVar[str] = "RRHF"
    learns_from: ClassVar[Text] = "pairs"


class SlicHF(LossMethod, losses.SlicHF):
    """SLiC-HF: ranking calibration and the likelihood of the teacher's answer."""

    label: ClassVar[str] = "SLiC-HF"
    learns_from: ClassVar[Text] = "pairs"
