"""SLiC-HF: the hinge of ranking calibration, anchored by the likelihood of a target."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from plad.losses.plad import Calibration
from plad.losses.sequence import Sequences


class SlicHF(Calibration):
    """`max(0, δ − log q(y⁺) + log q(y⁻)) − λ·log q(y⁺)` (Zhao et al. 2023, arXiv 2305.10425, equation 1).

    The target of the second term is the chosen response; the paper has the fine-tuning target there, which a
    preference over the distillation half does not have.
    """

    type: Literal["slic_hf"] = "slic_hf"
    weight: float = Field(0.1, ge=0, allow_inf_nan=False, description="λ, of the likelihood of the target")

    @property
    def everywhere(self) -> bool:
        return self.weight > 0 or super().everywhere

    def per_pair(self, sequences: Sequences) -> Tensor:
        return self.hinge(sequences) - self.weight * sequences.logps(self.normalise)[:, 0]
