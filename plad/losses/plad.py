"""The two calibration losses of PLaD (arXiv 2406.02886), which are those of SLiC (arXiv 2210.00045).

Both want the chosen response to be likelier than the rejected one, by the student's own length-normalised
log-likelihood; neither has a reference model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from plad.errors import PladError
from plad.losses.gaps import Scale, comparable
from plad.losses.pairs import PairLoss, one_to_one
from plad.losses.sequence import LossOutput, Normalisation, Sequences


class Calibration(PairLoss):
    """`max(0, target − log q(y⁺|x) + log q(y⁻|x)) − λ·log q(y⁺|x)`. Subclasses say how large the gap must be."""

    margin: float = Field(1.0, ge=0, allow_inf_nan=False, description="β: the gap in nats that a pair must reach")
    normalise: Normalisation = Field("mean", description="divide a sequence's log-likelihood by its tokens, or not")

    def target(self, scores_BR: Tensor | None) -> float | Tensor:
        """The gap that each pair must reach, in nats: a number or (B,)."""
        return self.margin

    def hinge(self, sequences: Sequences) -> Tensor:
        """What each pair lacks of its gap, (B,)."""
        chosen_B, rejected_B = sequences.logps(self.normalise).unbind(-1)
        return (self.target(sequences.scores_BR) - (chosen_B - rejected_B)).clamp(min=0)

    def per_pair(self, sequences: Sequences) -> Tensor:
        return self.hinge(sequences)

    @property
    def everywhere(self) -> bool:
        """Whether pairs whose hinge is content have a gradient too."""
        return self.anchor > 0

    def __call__(self, sequences: Sequences) -> LossOutput:
        """As every pair loss; logged is also how many pairs still lack some of their gap."""
        sequences = one_to_one(sequences)
        output = super().__call__(sequences)
        active = (self.hinge(sequences) > 0).sum()
        return replace(output, metrics={**output.metrics, "active": active}, active=None if self.everywhere else active)


class RankingCalibration(Calibration):
    """`max(0, β − log q(y⁺) + log q(y⁻))`: the same gap for every pair (arXiv 2406.02886, ranking calibration)."""

    type: Literal["ranking"] = "ranking"


class MarginCalibration(Calibration):
    """`max(0, β·(s(y⁺) − s(y⁻)) − log q(y⁺) + log q(y⁻))`: a gap in proportion to a scorer's.

    A pair whose scores say that the rejected response was the better one gets a negative target: it must not be
    turned round by more than that (arXiv 2406.02886, margin calibration). The paper's gap is the scorer's own; on
    another `scale` β is what a pair of a typical gap for its length must reach.
    """

    needs_scores: ClassVar[bool] = True

    type: Literal["margin"] = "margin"
    scale: Scale = Field("score", description="of gaps: the scorer's own, or 1 for the median or middle one of a band")
    bands: int = Field(4, ge=1, description="of length, each with a scale of its own where it is not the scorer's")

    def rescaled(self, gaps: Sequence[float], lengths: Sequence[int]) -> list[float]:
        """On the loss's own scale, so that β means the same for every scorer (`gaps.comparable`)."""
        return comparable(gaps, lengths, self.scale, self.bands)

    def target(self, scores_BR: Tensor | None) -> Tensor:
        if scores_BR is None:
            raise PladError(
                "margin calibration needs chosen_score and rejected_score, but the pairs have none. "
                "Score them, or use `type: ranking`."
            )
        return self.margin * (scores_BR[:, 0] - scores_BR[:, 1])
