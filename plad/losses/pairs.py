"""What every loss over preference pairs shares: the unit is the pair, and the metrics are those of its two sides."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from plad.losses.sequence import Loss, LossOutput, Normalisation, Sequences


def one_to_one(sequences: Sequences) -> Sequences:
    """Every rejected response beside the chosen one of its example: (P, 2, …) of (B, R, …), P ≥ B where R > 2."""
    if sequences.lengths_BR.shape[1] == 2:
        return sequences
    example_P, number_P = (sequences.lengths_BR[:, 1:] > 0).nonzero(as_tuple=True)

    def pairs(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else torch.stack([tensor[example_P, 0], tensor[example_P, number_P + 1]], dim=1)

    return Sequences(**{field.name: pairs(getattr(sequences, field.name)) for field in fields(sequences)})  # type: ignore[arg-type]


class PairLoss(Loss):
    """A loss of pairs; response 0 is y⁺, the preferred one, and response 1 is y⁻.

    An example may have several y⁻, all computed in one pass over its prompt: each makes a pair with its y⁺, and the
    loss is the mean over all pairs of the global batch, each by its weight where it has one.

    Added is `− λ·log q(y⁺)`: a preference alone is content when both likelihoods fall, the rejected one faster.

    A subclass has a field or a class variable `normalise`: the likelihood that it compares, and that is logged.
    """

    responses: ClassVar[int] = 2

    anchor: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="λ: weight of the chosen response's own likelihood; 0 is the paper"
    )

    @abstractmethod
    def per_pair(self, sequences: Sequences) -> Tensor:
        """The loss of each pair, (P,), of sequences of two responses."""

    def units(self, lengths_BR: Tensor) -> Tensor:
        """Pairs: rejected responses."""
        return (lengths_BR[:, 1:] > 0).sum()

    def __call__(self, sequences: Sequences) -> LossOutput:
        """The sum over the pairs; logged are the likelihoods of both sides and how often they are in order."""
        normalise: Normalisation = getattr(self, "normalise", "mean")
        sequences = one_to_one(sequences)
        logps_B2 = sequences.logps(normalise)
        chosen_B, rejected_B = logps_B2.detach().unbind(-1)
        loss_B = self.per_pair(sequences)
        if self.anchor:
            loss_B = loss_B - self.anchor * logps_B2[:, 0]
        if sequences.weights_BR is not None:
            loss_B = loss_B * sequences.weights_BR[:, 1]
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
