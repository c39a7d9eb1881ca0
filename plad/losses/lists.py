"""What every loss over all responses to a prompt at once shares, and the two that compare them as a list.

Response 0 is y⁺, the teacher's or the one that is preferred; the others are the student's. The unit is the list.

Shape legend: B examples, R responses.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from plad.losses.sequence import Loss, LossOutput, Normalisation, Sequences, wanted


class ListLoss(Loss):
    """A loss of lists, each by the mean weight of its pairs. `normalise` is the likelihood that it compares."""

    responses: ClassVar[int] = 2

    normalise: Normalisation = Field("mean", description="divide a sequence's log-likelihood by its tokens, or not")

    @abstractmethod
    def per_list(self, sequences: Sequences, there_BR: Tensor) -> Tensor:
        """The loss of each list, (B,).

        Args:
            there_BR: which of the responses there are.
        """

    def units(self, lengths_BR: Tensor) -> Tensor:
        """Lists with something to compare."""
        return (lengths_BR[:, 1:] > 0).any(-1).sum()

    def __call__(self, sequences: Sequences) -> LossOutput:
        """The sum over the lists; logged are the means over a list's pairs of what every pair loss logs."""
        there_BR = sequences.lengths_BR > 0
        others_BR = there_BR[:, 1:]
        count_B = others_BR.sum(-1).clamp(min=1)
        loss_B = torch.where(others_BR.any(-1), self.per_list(sequences, there_BR), 0)
        if sequences.weights_BR is not None:
            loss_B = loss_B * (sequences.weights_BR[:, 1:] * others_BR).sum(-1) / count_B
        logps_BR = sequences.logps(self.normalise).detach()
        chosen_B1, rejected_BR = logps_BR[:, :1], logps_BR[:, 1:]
        means = {
            "margin": chosen_B1 - rejected_BR,
            "accuracy": (chosen_B1 > rejected_BR).float(),
            "chosen_logp": chosen_B1.expand_as(rejected_BR),
            "rejected_logp": rejected_BR,
        }
        metrics = {name: ((value * others_BR).sum(-1) / count_B).sum() for name, value in means.items()}
        return LossOutput(loss_B.sum(), self.units(sequences.lengths_BR), metrics)


class AnchoredList(ListLoss):
    """A comparison alone is content when all likelihoods fall; `− λ·log q(y⁺)` is added, as pair losses do."""

    anchor: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="λ: weight of the chosen response's own likelihood; 0 is the paper"
    )

    @abstractmethod
    def comparison(self, sequences: Sequences, there_BR: Tensor) -> Tensor:
        """The loss of each list without its anchor, (B,)."""

    def per_list(self, sequences: Sequences, there_BR: Tensor) -> Tensor:
        loss_B = self.comparison(sequences, there_BR)
        return loss_B - self.anchor * sequences.logps(self.normalise)[:, 0] if self.anchor else loss_B


class Listwise(AnchoredList):
    """`− log exp(β·log q̄(y⁺)) / Σ_i exp(β·log q̄(y_i))`: of all responses the preferred one is the likeliest.

    The top-one probability of Plackett and Luce, the softmax loss of LiPO (arXiv 2402.01878, section 4) with a label
    of 1 for y⁺ and 0 for the others. With one other response it is SimPO without its margin. It needs no scores, and
    has no reference model.
    """

    type: Literal["listwise"] = "listwise"
    beta: float = Field(2.0, gt=0, allow_inf_nan=False)

    def comparison(self, sequences: Sequences, there_BR: Tensor) -> Tensor:
        scores_BR = (self.beta * sequences.logps(self.normalise)).masked_fill(~there_BR, -torch.inf)
        return -scores_BR.log_softmax(-1)[:, 0]


class LiPO(AnchoredList):
    """LiPO-λ (arXiv 2402.01878, section 4): `− Σ_{ψ_i > ψ_j} Δ_ij·log σ(s_i − s_j)`, s = β·log q/q₀.

    `Δ_ij = |2^ψ_i − 2^ψ_j|·|1/log(1 + τ_i) − 1/log(1 + τ_j)|` with τ the place, from 1, of a response in the list that
    the student itself would make; no gradient goes through it. ψ is the share of the list's other responses that a
    response beats by score, ties half: a scorer's order counts, and its scale does not.
    """

    needs_scores: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = True

    type: Literal["lipo"] = "lipo"
    normalise: Normalisation = Field("sum", description="as in the paper; or divide by a response's tokens")
    beta: float = Field(0.1, gt=0, allow_inf_nan=False, description="how closely the student is held to its start")

    def comparison(self, sequences: Sequences, there_BR: Tensor) -> Tensor:
        gain_BR = sequences.logps(self.normalise) - sequences.reference_logps(self.normalise)
        s_BR = self.beta * gain_BR
        label_BR = _labels(wanted(sequences.scores_BR, "scores"), there_BR)
        better_BRR = (label_BR[:, :, None] > label_BR[:, None, :]) & _both(there_BR)
        discount_BR = 1 / torch.log1p(_places(s_BR.detach(), there_BR))
        weight_BRR = _apart(2**label_BR) * _apart(discount_BR)
        return -(weight_BRR * better_BRR * logsigmoid(s_BR[:, :, None] - s_BR[:, None, :])).sum((-1, -2))


def _labels(scores_BR: Tensor, there_BR: Tensor) -> Tensor:
    """The share of the other responses of its list that each beats, ties half, (B, R)."""
    mine, other = scores_BR[:, :, None], scores_BR[:, None, :]
    self_R = torch.eye(scores_BR.shape[1], dtype=torch.bool, device=scores_BR.device)
    won_BRR = ((mine > other) + 0.5 * (mine == other)) * (_both(there_BR) & ~self_R)
    return won_BRR.sum(-1) / (there_BR.sum(-1, keepdim=True) - 1).clamp(min=1)


def _places(s_BR: Tensor, there_BR: Tensor) -> Tensor:
    """The place of each response by s, 1 for the highest and those that are not there last, (B, R)."""
    order_BR = s_BR.masked_fill(~there_BR, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    return order_BR.argsort(-1).to(s_BR.dtype) + 1


def _both(there_BR: Tensor) -> Tensor:
    return there_BR[:, :, None] & there_BR[:, None, :]


def _apart(value_BR: Tensor) -> Tensor:
    """|v_i − v_j|, (B, R, R)."""
    return (value_BR[:, :, None] - value_BR[:, None, :]).abs()
