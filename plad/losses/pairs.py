"""What every loss over preference pairs shares: the unit is the pair, and the metrics are those of its two sides."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from plad.losses.sequence import Loss, LossOutput, Normalisation, Sequences, count


class PairLoss(Loss):
    """A loss of B pairs; response 0 is y⁺, the preferred one, and response 1 is y⁻.

    A subclass has a field or a class variable `normalise`: the likelihood that it compares, and that is logged.
    """

    responses: ClassVar[int] = 2

    @abstractmethod
    def per_pair(self, sequences: Sequences) -> Tensor:
        """The loss of each pair, (B,)."""

    def units(self, lengths_BR: Tensor) -> Tensor:
        """Pairs."""
        return count(lengths_BR.shape[0], lengths_BR)

    def __call__(self, sequences: Sequences) -> LossOutput:
        """The sum over the pairs; logged are the likelihoods of both sides and how often they are in order."""
        normalise: Normalisation = getattr(self, "normalise", "mean")
        chosen_B, rejected_B = sequences.logps(normalise).detach().unbind(-1)
        loss_B = self.per_pair(sequences)
        return LossOutput(
            loss=loss_B.sum(),
            units=self.units(sequences.lengths_BR),
            metrics={
                "margin": (chosen_B - rejected_B).sum(),
                "accuracy": (chosen_B > rejected_B).sum(),
                "chosen_logp": chosen_B.sum(),
                "rejected_logp": rejected_B.sum(),
            },
        )
