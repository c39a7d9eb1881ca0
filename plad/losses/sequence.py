"""What a model says of a batch, and what a loss is: the only place where token log-probabilities become one number.

Shape legend: B examples, R responses of one example, T response tokens (the longest of the batch), S the response
tokens of the whole batch, V vocabulary.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from plad.spec import Spec

Normalisation = Literal["mean", "sum"]

Total = Callable[[Tensor], Tensor]
"""The sum of a tensor over all processes."""

Credit = Callable[[Sequence[Tensor], Total], list[Tensor]]
"""From rewards log p(y_t)/q(y_t) of each of this process's samples of a step to what their tokens are credited with."""


@dataclass(frozen=True)
class Sequences:
    """What a model says of the responses of a batch.

    Attributes:
        token_logps_BRT: log q(y_t | x, y_<t) in fp32, 0 where there is no token.
        lengths_BR: the number of tokens of each response, its end token included; 0 where an example has
            fewer than R responses.
        scores_BR: what a scorer gave each response, or None.
        reference_logps_BR: log q₀(y | x), the sum over the tokens, under the student before training; or None.
        teacher_logps_BRT: log p(y_t | x, y_<t) under the teacher; None for a loss that has no use for one.
        divergence_BRT: the loss's own divergence of the two token distributions; None likewise.
        sampling_logps_BRT: log-probability of each token under what it was drawn from; None unless drawn in training.
        advantages_BRT: what each token that was drawn is credited with; None for a loss whose `rollout` credits none.
        weights_BR: what the pair of each rejected response counts for; None where all count alike.
    """

    token_logps_BRT: Tensor
    lengths_BR: Tensor
    scores_BR: Tensor | None = None
    reference_logps_BR: Tensor | None = None
    teacher_logps_BRT: Tensor | None = None
    divergence_BRT: Tensor | None = None
    sampling_logps_BRT: Tensor | None = None
    advantages_BRT: Tensor | None = None
    weights_BR: Tensor | None = None

    def logps(self, normalise: Normalisation = "mean") -> Tensor:
        """log q(y | x) of each response, (B, R): the mean over its tokens (METHODS: divided by T) or their sum."""
        return self._normalised(self.token_logps_BRT.sum(-1), normalise)

    def reference_logps(self, normalise: Normalisation = "sum") -> Tensor:
        """log q₀(y | x) of each response under the initial student, (B, R), likewise."""
        return self._normalised(wanted(self.reference_logps_BR, "reference log-probabilities"), normalise)

    def _normalised(self, total_BR: Tensor, normalise: Normalisation) -> Tensor:
        return total_BR / self.lengths_BR.clamp(min=1) if normalise == "mean" else total_BR


def wanted(tensor: Tensor | None, what: str) -> Tensor:
    """The tensor, which whoever calls the loss must have computed.

    Raises:
        ValueError: it is None. The engine computes what the loss declares, so no user meets this.
    """
    if tensor is None:
        raise ValueError(f"this loss needs {what}, and the sequences hold none.")
    return tensor


@dataclass(frozen=True)
class LossOutput:
    """A loss summed over its units, and what to log, summed likewise.

    The engine divides by the number of units in the *global* batch, so that accumulation and several processes give
    the same average as one large batch. `active` counts the units that have a gradient, where a loss can tell: the
    engine makes no backward pass for none.
    """

    loss: Tensor
    units: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    active: Tensor | None = None


@dataclass(frozen=True)
class Rollout:
    """How a loss that learns from the student's own samples wants them drawn, token by token.

    Attributes:
        teacher_share: α; the next token is drawn from α·p + (1 − α)·q.
        with_text: add as many texts of people as there are samples, as response 1 of examples of their own.
        credit: makes advantages of rewards, where the loss weighs a step's samples together. Each token of a text is
            then credited with the number of tokens of the step's samples over that of its texts.
    """

    temperature: float = 1.0
    teacher_share: float = 0.0
    with_text: bool = False
    credit: Credit | None = None

    @property
    def asks_teacher(self) -> bool:
        """Whether the teacher reads along as the samples are drawn."""
        return self.teacher_share > 0 or self.credit is not None


class Loss(Spec):
    """A named objective: what an example must hold, and the loss of a batch of them.

    A subclass names what the engine must compute for it; the defaults are those of a plain likelihood.
    """

    responses: ClassVar[int] = 1
    """1 for a likelihood of the chosen response, 2 for a preference."""
    needs_scores: ClassVar[bool] = False
    """Whether every response must carry a scorer's score."""
    needs_reference: ClassVar[bool] = False
    """Whether every response must carry its log-likelihood under the initial student."""
    needs_teacher: ClassVar[bool] = False
    """Whether the teacher's token distributions are compared with the student's, by `divergence`."""
    dropout: ClassVar[bool] = True
    """Whether the student trains with its dropout; without it gradient checkpointing is off too."""

    def rollout(self) -> Rollout | None:
        """How to sample in training; None for a loss over a fixed data set."""
        return None

    def divergence(self, student_SV: Tensor, teacher_SV: Tensor, response_S: Tensor) -> Tensor:
        """The divergence of two token distributions at every position, (S,); asked for where `needs_teacher`.

        Args:
            student_SV: fp32 logits over the tokens that both models have.
            teacher_SV: the same of the teacher; no gradient goes there.
            response_S: the number of the response that each position belongs to.
        """
        raise NotImplementedError

    def rescaled(self, gaps: Sequence[float], lengths: Sequence[int]) -> list[float]:
        """The gaps in score of all pairs of a data set as this loss takes them; asked for where `needs_scores`.

        Args:
            lengths: tokens of the preferred responses.
        """
        return list(gaps)

    @abstractmethod
    def units(self, lengths_BR: Tensor) -> Tensor:
        """How many units (pairs or tokens) a batch of these response lengths holds."""

    @abstractmethod
    def __call__(self, sequences: Sequences) -> LossOutput:
        """The loss of a batch, summed over its units."""


def count(number: int, like: Tensor) -> Tensor:
    """A number as a tensor on the device of `like`."""
    return torch.tensor(number, device=like.device)
