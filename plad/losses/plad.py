"""The two calibration losses of PLaD (arXiv 2406.02886), which are those of SLiC (arXiv 2210.00045).

Both want the chosen response to be likelier than the rejected one, by the student's own length-normalised
log-likelihood; neither has a reference model.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from plad.errors import PladError
from plad.losses.sequence import LossOutput, Normalisation, Sequences
from plad.spec import Spec


class _Calibration(Spec):
    """A hinge on log q(y⁺|x) − log q(y⁻|x). Subclasses say how large the gap must be."""

    responses: ClassVar[int] = 2
    needs_scores: ClassVar[bool] = False

    margin: float = Field(1.0, ge=0, allow_inf_nan=False, description="β: the gap in nats that a pair must reach")
    normalise: Normalisation = Field("mean", description="divide a sequence's log-likelihood by its tokens, or not")
    anchor: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="λ: weight of the chosen response's own likelihood; 0 is the paper"
    )

    def target(self, scores_BR: Tensor | None) -> float | Tensor:
        """The gap that each pair must reach, in nats: a number or (B,)."""
        raise NotImplementedError

    def units(self, lengths_BR: Tensor) -> Tensor:
        """Pairs."""
        return torch.tensor(lengths_BR.shape[0], device=lengths_BR.device)

    def __call__(self, sequences: Sequences) -> LossOutput:
        """`Σ max(0, target − log q(y⁺) + log q(y⁻)) − λ·log q(y⁺)` over B pairs; response 0 is y⁺, 1 is y⁻.

        The hinge alone is content when both likelihoods fall, the rejected one faster; the anchor is not.
        """
        chosen_B, rejected_B = sequences.logps(self.normalise).unbind(-1)
        gap_B = chosen_B - rejected_B
        hinge_B = (self.target(sequences.scores_BR) - gap_B).clamp(min=0)
        active = (hinge_B > 0).sum()
        return LossOutput(
            loss=(hinge_B - self.anchor * chosen_B).sum(),
            units=self.units(sequences.lengths_BR),
            active=None if self.anchor else active,
            metrics={
                "margin": gap_B.detach().sum(),
                "accuracy": (gap_B > 0).sum(),
                "active": active,
                "chosen_logp": chosen_B.detach().sum(),
                "rejected_logp": rejected_B.detach().sum(),
            },
        )


class RankingCalibration(_Calibration):
    """`max(0, β − log q(y⁺) + log q(y⁻))`: the same gap for every pair (arXiv 2406.02886, ranking calibration)."""

    type: Literal["ranking"] = "ranking"

    def target(self, scores_BR: Tensor | None) -> float:
        return self.margin


class MarginCalibration(_Calibration):
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
