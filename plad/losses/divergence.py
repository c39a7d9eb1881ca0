"""Losses on token distributions: how far the student's next-token distribution is from the teacher's.

Written as functions of logits, so that a temperature can be applied, and of log-probabilities. p is the teacher's
distribution, q the student's; a KL divergence is in nats.

Shape legend: B examples, R responses, T response tokens, S response tokens of the batch, V tokens of both vocabularies.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from plad.losses.sequence import Loss, LossOutput, Rollout, Sequences, wanted


def kl(a_SV: Tensor, b_SV: Tensor) -> Tensor:
    """`Σ_v a(v)·log a(v)/b(v)` of log-probabilities, (S,). A token that a rules out (−∞) adds nothing."""
    gap_SV = torch.where(a_SV.isneginf(), 0, a_SV - b_SV)
    return (a_SV.exp() * gap_SV).sum(-1)


def mixture(a_SV: Tensor, b_SV: Tensor, share: float) -> Tensor:
    """log(share·a + (1 − share)·b) of log-probabilities, (S, V)."""
    return torch.logaddexp(a_SV + math.log(share), b_SV + math.log1p(-share))


class TokenDivergence(Loss):
    """A divergence averaged over the response tokens of the global batch, all responses alike.

    With as many responses of either model, that is the mean of the two expectations, divided by the mean length.
    """

    needs_teacher: ClassVar[bool] = True

    def units(self, lengths_BR: Tensor) -> Tensor:
        """Response tokens."""
        return lengths_BR.sum()

    def __call__(self, sequences: Sequences) -> LossOutput:
        loss = wanted(sequences.divergence_BRT, "divergences").sum()
        return LossOutput(loss=loss, units=self.units(sequences.lengths_BR))


class KD(TokenDivergence):
    """`(1 − λ)·τ²·KL(p_τ‖q_τ) − λ·log q(y_t)`: word-level distillation (Hinton et al. 2015, arXiv 1503.02531).

    τ² keeps the gradient's size as the temperature rises (section 2 there).
    """

    type: Literal["kd"] = "kd"
    temperature: float = Field(1.0, gt=0, le=100, description="τ, that of both models")
    nll: float = Field(0.0, ge=0, le=1, description="λ, the share of the likelihood of the text")

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        q_SV, p_SV = ((logits / self.temperature).log_softmax(-1) for logits in (student_SV, teacher_SV))
        return kl(p_SV, q_SV)

    def __call__(self, sequences: Sequences) -> LossOutput:
        kl_BRT = wanted(sequences.divergence_BRT, "divergences")
        nll = -sequences.token_logps_BRT.sum()
        loss = (1 - self.nll) * self.temperature**2 * kl_BRT.sum() + self.nll * nll
        metrics = {"kl": kl_BRT.detach().sum(), "nll": nll.detach()}
        return LossOutput(loss=loss, units=self.units(sequences.lengths_BR), metrics=metrics)


class ForwardKL(TokenDivergence):
    """`KL(p‖q)` along the teacher's text (Wen et al. 2023, arXiv 2307.15190)."""

    type: Literal["f_kl"] = "f_kl"

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        return kl(teacher_SV.log_softmax(-1), student_SV.log_softmax(-1))


class ReverseKL(TokenDivergence):
    """`KL(q‖p)` along the initial student's text (arXiv 2307.15190)."""

    type: Literal["f_rkl"] = "f_rkl"

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        return kl(student_SV.log_softmax(-1), teacher_SV.log_softmax(-1))


class JensenShannon(TokenDivergence):
    """`½·E_{y∼p} KL(p‖m) + ½·E_{y∼q₀} KL(q‖m)` with m = ½(p + q) (arXiv 2307.15190).

    Response 0 is the teacher's text, response 1 the initial student's. The gradient goes through m.
    """

    responses: ClassVar[int] = 2

    type: Literal["f_js"] = "f_js"

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        q_SV, p_SV = student_SV.log_softmax(-1), teacher_SV.log_softmax(-1)
        own_SV = torch.where((response_S == 0)[:, None], p_SV, q_SV)
        return kl(own_SV, mixture(p_SV, q_SV, 0.5))


class TotalVariation(TokenDivergence):
    """`½·E_{y∼p} TV + ½·E_{y∼q₀} TV` with TV = ½·Σ_v |p(v) − q(v)| (arXiv 2307.15190)."""

    responses: ClassVar[int] = 2

    type: Literal["f_tvd"] = "f_tvd"

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        return (teacher_SV.softmax(-1) - student_SV.softmax(-1)).abs().sum(-1) / 2


class DistiLLM2(TokenDivergence):
    """`KL(p‖α·p + (1 − α)·q)` along the teacher's text, `KL(q‖(1 − α)·p + α·q)` along the initial student's.

    The contrast of DistiLLM-2 (Ko et al. 2025, arXiv 2503.07067, section 3) of the skewed divergences of DistiLLM
    (arXiv 2402.03898): the first raises what the teacher says, the second lowers what the student says and the teacher
    would not. Response 0 is the teacher's text, response 1 the initial student's, and the gradient goes through the
    mixtures. α is fixed: the paper's schedule of it, and of the share of each half, is left out.
    """

    responses: ClassVar[int] = 2

    type: Literal["distillm2"] = "distillm2"
    alpha: float = Field(0.1, gt=0, lt=1, description="share of a distribution itself in what it is compared with")

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        q_SV, p_SV = student_SV.log_softmax(-1), teacher_SV.log_softmax(-1)
        first_S1 = (response_S == 0)[:, None]
        own_SV, other_SV = torch.where(first_S1, p_SV, q_SV), torch.where(first_S1, q_SV, p_SV)
        return kl(own_SV, mixture(own_SV, other_SV, self.alpha))


class GKD(TokenDivergence):
    """`β·KL(p‖m) + (1 − β)·KL(q‖m)`, m = β·p + (1 − β)·q, along the student's own new samples.

    The generalised Jensen-Shannon divergence, on-policy (Agarwal et al. 2023, arXiv 2306.13649). Towards
    β = 0 it acts like KL(p‖q), towards 1 like KL(q‖p). No gradient goes through the sampling.
    """

    type: Literal["gkd"] = "gkd"
    beta: float = Field(0.5, gt=0, lt=1)
    temperature: float = Field(1.0, gt=0, le=10, description="of the samples")

    def rollout(self) -> Rollout:
        return Rollout(temperature=self.temperature)

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        q_SV, p_SV = student_SV.log_softmax(-1), teacher_SV.log_softmax(-1)
        m_SV = mixture(p_SV, q_SV, self.beta)
        return self.beta * kl(p_SV, m_SV) + (1 - self.beta) * kl(q_SV, m_SV)
