"""SimPO: DPO without a reference model, on length-normalised likelihoods, with a margin."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from plad.losses.pairs import PairLoss
from plad.losses.sequence import Sequences


class SimPO(PairLoss):
    """`− log σ(β/|y⁺|·log q(y⁺) − β/|y⁻|·log q(y⁻) − γ)` (Meng et al. 2024, arXiv 2405.14734, equation 6)."""

    type: Literal["simpo"] = "simpo"
    beta: float = Field(2.0, gt=0, allow_inf_nan=False)
    gamma: float = Field(1.0, ge=0, allow_inf_nan=False, description="the margin, on the scale of β times nats")

    def per_pair(self, sequences: Sequences) -> Tensor:
        chosen_B, rejected_B = sequences.logps("mean").unbind(-1)
        return -logsigmoid(self.beta * (chosen_B - rejected_B) - self.gamma)
