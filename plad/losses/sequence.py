"""The log-likelihood of a sequence: the only place where token log-probabilities become one number.

Shape legend: B examples, R responses of one example, T response tokens (the longest of the batch).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

Normalisation = Literal["mean", "sum"]


@dataclass(frozen=True)
class Sequences:
    """What a model says of the responses of a batch.

    Attributes:
        token_logps_BRT: log q(y_t | x, y_<t) in fp32, 0 where there is no token.
        lengths_BR: the number of tokens of each response, its end token included; 0 where an example has
            fewer than R responses.
        scores_BR: what a scorer gave each response, or None.
    """

    token_logps_BRT: Tensor
    lengths_BR: Tensor
    scores_BR: Tensor | None = None

    def logps(self, normalise: Normalisation = "mean") -> Tensor:
        """log q(y | x) of each response, (B, R): the mean over its tokens (METHODS: divided by T) or their sum."""
        total_BR = self.token_logps_BRT.sum(-1)
        return total_BR / self.lengths_BR.clamp(min=1) if normalise == "mean" else total_BR


@dataclass(frozen=True)
class LossOutput:
    """A loss summed over its units, and what to log, summed likewise.

    The engine divides by the number of units in the *global* batch, so that accumulation and several processes give
    the same average as one large batch. `active` counts the units that have a gradient, where a loss can tell: the
    engine makes no backward pass for none.
    """

    loss: Tensor
    units: Tensor
    active: Tensor | None = None
    metrics: dict[str, Tensor] = field(default_factory=dict)


class Loss(Protocol):
    """A named objective: how many responses an example holds, and the loss of a batch of them."""

    @property
    def responses(self) -> int:
        """1 for a likelihood of the chosen response, 2 for a preference."""

    @property
    def needs_scores(self) -> bool:
        """Whether every response must carry a scorer's score."""

    def units(self, lengths_BR: Tensor) -> Tensor:
        """How many units (pairs or tokens) a batch of these response lengths holds."""

    def __call__(self, sequences: Sequences) -> LossOutput:
        """The loss of a batch, summed over its units."""
