"""The two calibration losses of PLaD (arXiv 2406.02886), which are those of SLiC (arXiv 2210.00045).

Both want the chosen response to be likelier than the rejected one, by the student's own length-normalised
log-likelihood; neither has a reference model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from plad.errors import PladError
from plad.losses.pairs import PairLoss, one_to_one
from plad.losses.sequence import LossOutput, Normalisation, Sequences


class Calibration(PairLoss):
    """`max(0, target − log q(y⁺|x) + log q(y⁻|x)) − λ·log q(y⁺|x)`. Subclasses say how large the gap must be."""

    margin: float = Field(1.0, ge=0, allow_inf_nan=False, description="β: the gap in nats that a pair must reach")
    normalise: Normalisation = Field("mean", description="divide a sequence's log-likelihood by its tokens, or not")
    anchor: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="λ: weight of the chosen response's own likelihood; 0 is the paper"
    )

    def target(self, scores_BR: Tensor | None) -> float | Tensor:
        """The gap that each pair must reach, in nats: a number or (B,)."""
        return self.margin

    def hinge(self, sequences: Sequences) -> Tensor:
        """What each pair lacks of its gap, (B,)."""
        chosen_B, rejected_B = sequences.logps(self.normalise).unbind(-1)
        return (self.target(sequences.scores_BR) - (chosen_B - rejected_B)).clamp(min=0)

    def per_pair(self, sequences: Sequences) -> Tensor:
        """The hinge, and the anchor: the hinge alone is content when both likelihoods fall, the rejected one faster."""
        return self.hinge(sequences) - self.anchor * sequences.logps(self.normalise)[:, 0]

    def __call__(self, sequences: Sequences) -> LossOutput:
        """As every pair loss; logged is also how many pairs still lack some of their gap."""
        sequences = one_to_one(sequences)
        output = super().__call__(sequences)
        active = (self.hinge(sequences) > 0).sum()
        return replace(output, metrics={**output.metrics, "active": active}, active=None if self.anchor else active)


class RankingCalibration(Calibration):
    """`max(0, β − log q(y⁺) + log q(y⁻))`: the same gap for every pair (arXiv 2406.02886, ranking calibration)."""

    type: Literal["ranking"] = "ranking"


class MarginCalibration(Calibration):
    """`max(0, β·(s(y⁺) − s(y⁻)) − log q(y⁺) + log q(y⁻))`: a gap in proportion to a scorer's.

    A pair whose scores say that the rejected response was the better one gets a negative target: it must not be
    turned round by more than that (arXiv 2406.02886, margin calibration).
    """

    needs_scores: ClassVar[bool] = True

    type: Literal["margin"] = "margin"

    def target(self, scores_BR: Tensor | None) -> Tensor:
        if scores_BR is None:
            raise PladError(
                "margin calibration needs chosen_score and rejected_score, but the pairs have none. "
                "Score them, or use `type: ranking`."
            )
        return self.margin * (scores_BR[:, 0] - scores_BR[:, 1])
