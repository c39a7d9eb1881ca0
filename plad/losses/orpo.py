"""ORPO: the likelihood of the chosen response, and the ratio of the odds of both."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from plad.losses.pairs import PairLoss
from plad.losses.sequence import Sequences


class ORPO(PairLoss):
    """`− 1/|y⁺|·log q(y⁺) − λ·log σ(log odds(y⁺) − log odds(y⁻))` (arXiv 2403.07691, equations 6 and 7).

    `odds(y) = P/(1 − P)` with P the geometric mean of the token probabilities (equation 4 there).
    """

    type: Literal["orpo"] = "orpo"
    weight: float = Field(0.1, ge=0, allow_inf_nan=False, description="λ, of the odds ratio beside the likelihood")

    def per_pair(self, sequences: Sequences) -> Tensor:
        logps_BR = sequences.logps("mean")
        odds_BR = logps_BR - _log1m_exp(logps_BR)
        return -logps_BR[:, 0] - self.weight * logsigmoid(odds_BR[:, 0] - odds_BR[:, 1])


def _log1m_exp(x: Tensor) -> Tensor:
    """log(1 − eˣ) for x < 0. A response that is certain (x = 0) would have infinite odds and no gradient."""
    x = x.clamp(max=-torch.finfo(x.dtype).eps)
    return torch.log(-torch.expm1(x))
