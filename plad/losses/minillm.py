"""MiniLLM: the reverse KL of whole sequences, by policy gradient (Gu et al. 2023, arXiv 2306.08543)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from plad.losses.divergence import kl
from plad.losses.sequence import Loss, LossOutput, Rollout, Sequences, wanted


class MiniLLM(Loss):
    """Section 2.2 of the paper: single-step decomposition, teacher-mixed sampling, length normalisation, clipping.

    For a sample y of p̃ = α·p + (1 − α)·q, with r_t = log p(y_t)/q(y_t) and the importance weight
    w_t = q(y_t)/p̃(y_t) of one token in place of the whole prefix, the loss has the gradient

        Σ_t  w_t·∇ KL(q(·|y_<t) ‖ p(·|y_<t))  −  w_t·R_{t+1}·∇ log q(y_t),    R_{t+1} = mean of r_t' over t' > t

    Without a teacher's share and without length normalisation (R is then the sum) this is an unbiased estimate of the
    gradient of KL(q(y|x) ‖ p(y|x)). The second term is clipped as PPO's (arXiv 1707.06347, equation 7), with p̃ as the
    policy that sampled. Added is λ times the negative log-likelihood per token of people's text, as response 1 of
    examples of their own.
    """

    responses: ClassVar[int] = 2
    needs_teacher: ClassVar[bool] = True

    type: Literal["minillm"] = "minillm"
    teacher_share: float = Field(0.2, ge=0, lt=1, description="α")
    length_normalise: bool = Field(True, description="the mean of the rewards to come in place of their sum")
    clip: float | None = Field(0.2, gt=0, lt=1, description="ε, how far w_t may be from 1; null for no limit")
    text: float = Field(1.0, ge=0, allow_inf_nan=False, description="λ, of the likelihood of people's text")

    def rollout(self) -> Rollout:
        return Rollout(teacher_share=self.teacher_share, with_text=self.text > 0)

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        """The exact KL(q‖p) of one step; its gradient needs no sampling of y_t."""
        return kl(student_SV.log_softmax(-1), teacher_SV.log_softmax(-1))

    def units(self, lengths_BR: Tensor) -> Tensor:
        """Samples."""
        return (lengths_BR[:, 0] > 0).sum()

    def __call__(self, sequences: Sequences) -> LossOutput:
        q_BT, length_B = sequences.token_logps_BRT[:, 0], sequences.lengths_BR[:, 0]
        p_BT = wanted(sequences.teacher_logps_BRT, "the teacher's log-probabilities")[:, 0]
        kl_BT = wanted(sequences.divergence_BRT, "divergences")[:, 0]
        sampling_BT = wanted(sequences.sampling_logps_BRT, "the log-probabilities of its sampling")[:, 0]
        reward_BT = (p_BT - q_BT).detach()
        ratio_BT = (q_BT - sampling_BT).exp()
        single = (ratio_BT.detach() * kl_BT).sum()
        long = -clipped(ratio_BT, self._returns(reward_BT, length_B), self.clip).sum()
        text = self._text(sequences)
        metrics = {
            "reverse_kl": -reward_BT.sum(),
            "text_nll": text.detach(),
        }
        return LossOutput(single + long + self.text * text, self.units(sequences.lengths_BR), metrics)

    def _returns(self, reward_BT: Tensor, length_B: Tensor) -> Tensor:
        """R_{t+1} of every t: the mean, or the sum, of the rewards after it; 0 at the end."""
        after_BT = reward_BT.flip(-1).cumsum(-1).flip(-1) - reward_BT
        if not self.length_normalise:
            return after_BT
        left_BT = length_B[:, None] - 1 - torch.arange(reward_BT.shape[1], device=reward_BT.device)
        return after_BT / left_BT.clamp(min=1)

    def _text(self, sequences: Sequences) -> Tensor:
        if sequences.lengths_BR.shape[1] < 2:
            return sequences.token_logps_BRT.new_zeros(())
        return -sequences.logps("mean")[:, 1].sum()


def clipped(ratio_BT: Tensor, return_BT: Tensor, clip: float | None) -> Tensor:
    """`min(ρ·R, clip(ρ, 1 − ε, 1 + ε)·R)`, whose gradient is ρ·R·∇log q where it is not clipped."""
    plain_BT = ratio_BT * return_BT
    if clip is None:
        return plain_BT
    return torch.minimum(plain_BT, ratio_BT.clamp(1 - clip, 1 + clip) * return_BT)
