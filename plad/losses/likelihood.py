"""The negative log-likelihood of one response: supervised fine-tuning, and SeqKD on a teacher's text."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from plad.losses.sequence import Loss, LossOutput, Sequences


class NegativeLogLikelihood(Loss):
    """`− Σ_t log q(y_t | x, y_<t)`, averaged by the engine over the tokens of the global batch.

    On a human's text it is supervised fine-tuning; on a teacher's it is SeqKD (Kim and Rush 2016, arXiv 1606.07947).
    """

    type: Literal["nll"] = "nll"

    def units(self, lengths_BR: Tensor) -> Tensor:
        """Response tokens."""
        return lengths_BR.sum()

    def __call__(self, sequences: Sequences) -> LossOutput:
        loss = -sequences.token_logps_BRT.sum()
        return LossOutput(loss=loss, units=self.units(sequences.lengths_BR))
