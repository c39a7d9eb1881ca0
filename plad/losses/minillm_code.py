"""MiniLLM as its authors' code computes it, which differs from the paper (arXiv 2306.08543)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from plad.losses.divergence import kl
from plad.losses.minillm import clipped
from plad.losses.sequence import Loss, LossOutput, Rollout, Sequences, Total, wanted

TINY = 1e-8
"""Added to a variance, which is 0 where all returns are equal."""


class MiniLLMCode(Loss):
    """The loss per token of the published code, with its settings as defaults.

    For a sample y of p̃ = α·p + (1 − α)·q, with r_t = log p(y_t)/q(y_t) as it was drawn, cut to ±c after scaling:

        R_t = 1/(T − t + 1)·Σ_{k ≥ t} γ^(k − t)·r_k,    A_t = (R_t − mean R)/√(var R + 1e-8)
        loss = mean_t [ KL(q(·|y_<t) ‖ p(·|y_<t)) − min(w_t·A_t, clip(w_t, 1 − ε, 1 + ε)·A_t) ] + λ·mean_t −log q(z_t)

    with w_t = q(y_t)/p̃(y_t), at most 1/(1 − α), and people's text z. The paper's R begins with r_{t+1}, is neither
    discounted nor whitened, and its KL has the weight w_t. Mean and variance of R are over the tokens of all samples of
    an optimiser step, and have no padding in them, as opposed to the code's. There is no dropout.

    Left out are the code's four passes over each set of samples (every step here draws its own), and the KL to the
    teacher along people's text, which the code mixes with its likelihood.
    """

    responses: ClassVar[int] = 2
    needs_teacher: ClassVar[bool] = True
    dropout: ClassVar[bool] = False

    type: Literal["minillm_code"] = "minillm_code"
    teacher_share: float = Field(0.2, ge=0, lt=1, description="α")
    scale: float = Field(
        2.0, gt=0, allow_inf_nan=False, description="of the rewards; whitening leaves only the limit's"
    )
    limit: float = Field(100.0, gt=0, description="c, how far a scaled reward may be from 0")
    discount: float = Field(0.95, gt=0, le=1, description="γ, a token's share of the reward of the one after it")
    clip: float = Field(0.2, gt=0, lt=1, description="ε, how far w_t may be from 1")
    text: float = Field(1.0, ge=0, allow_inf_nan=False, description="λ, of the likelihood of people's text")

    def rollout(self) -> Rollout:
        return Rollout(teacher_share=self.teacher_share, with_text=self.text > 0, credit=self.credit)

    def credit(self, rewards: Sequence[Tensor], total: Total) -> list[Tensor]:
        """A_t of every token of a process's samples, each (T,), from r_t; in fp64."""
        returns = [self._returns(reward_T.double()) for reward_T in rewards]
        all_N = torch.cat(returns)
        count, summed = total(torch.stack([all_N.new_tensor(len(all_N)), all_N.sum()]))
        mean = summed / count
        variance = total((all_N - mean).square().sum()) / count
        return [(return_T - mean) * (variance + TINY).rsqrt() for return_T in returns]

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        """The exact KL(q‖p) of one step."""
        return kl(student_SV.log_softmax(-1), teacher_SV.log_softmax(-1))

    def units(self, lengths_BR: Tensor) -> Tensor:
        """Tokens of samples."""
        return lengths_BR[:, 0].sum()

    def __call__(self, sequences: Sequences) -> LossOutput:
        logps_BRT = sequences.token_logps_BRT
        p_BT = wanted(sequences.teacher_logps_BRT, "the teacher's log-probabilities")[:, 0]
        kl_BT = wanted(sequences.divergence_BRT, "divergences")[:, 0]
        sampling_BT = wanted(sequences.sampling_logps_BRT, "the log-probabilities of its sampling")[:, 0]
        advantage_BRT = wanted(sequences.advantages_BRT, "advantages")
        ratio_BT = (logps_BRT[:, 0] - sampling_BT).exp()
        long = -clipped(ratio_BT, advantage_BRT[:, 0], self.clip).sum()
        # A text's tokens are credited with samples' tokens over texts': divided by the units it is a mean over them.
        text = -(advantage_BRT[:, 1:] * logps_BRT[:, 1:]).sum()
        metrics = {"reverse_kl": (logps_BRT[:, 0] - p_BT).sum().detach(), "text_nll": text.detach()}
        return LossOutput(kl_BT.sum() + long + self.text * text, self.units(sequences.lengths_BR), metrics)

    def _returns(self, reward_T: Tensor) -> Tensor:
        """R_t: what a token and those after it earn, discounted, over how many they are."""
        reward_T = (self.scale * reward_T).clamp(-self.limit, self.limit)
        place_T = torch.arange(len(reward_T), device=reward_T.device)
        ahead_TT = place_T - place_T[:, None]
        weight_TT = torch.where(ahead_TT >= 0, self.discount ** ahead_TT.clamp(min=0).double(), 0.0)
        return weight_TT @ reward_T / (len(reward_T) - place_T)
