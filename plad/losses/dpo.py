"""Preference losses that are relative to the initial student, whose log-likelihoods are computed once, beforehand."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from plad.losses.pairs import PairLoss
from plad.losses.sequence import Normalisation, Sequences


class _Relative(PairLoss):
    """A function of `h = log q(y⁺)/q₀(y⁺) − log q(y⁻)/q₀(y⁻)`."""

    needs_reference: ClassVar[bool] = True

    normalise: Normalisation = Field("sum", description="as in the paper; or divide by a response's tokens")

    def advantage(self, sequences: Sequences) -> Tensor:
        """h of each pair in nats, (B,)."""
        gain_BR = sequences.logps(self.normalise) - sequences.reference_logps(self.normalise)
        return gain_BR[:, 0] - gain_BR[:, 1]


class DPO(_Relative):
    """`− log σ(β·h)` (Rafailov et al. 2023, arXiv 2305.18290, equation 7)."""

    type: Literal["dpo"] = "dpo"
    beta: float = Field(0.1, gt=0, allow_inf_nan=False, description="how closely the student is held to its start")

    def per_pair(self, sequences: Sequences) -> Tensor:
        return -logsigmoid(self.beta * self.advantage(sequences))


class IPO(_Relative):
    """`(h − 1/2τ)²`: a target for the gap where DPO would widen it for ever (arXiv 2310.12036, equation 17)."""

    type: Literal["ipo"] = "ipo"
    tau: float = Field(0.1, gt=0, allow_inf_nan=False, description="the gap aimed at is 1/2τ nats")

    def per_pair(self, sequences: Sequences) -> Tensor:
        return (self.advantage(sequences) - 1 / (2 * self.tau)) ** 2
