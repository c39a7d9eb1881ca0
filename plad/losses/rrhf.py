"""RRHF: responses ranked by their likelihood, and the likelihood of the best (Yuan et al. 2023, arXiv 2304.05302).

Shape legend: B examples, R responses.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from plad.losses.lists import ListLoss
from plad.losses.sequence import Normalisation, Sequences


class RRHF(ListLoss):
    """`Σ_{r_i < r_j} max(0, log q̄(y_i) − log q̄(y_j)) − log q(y_best)`: a hinge without a margin, and the best's text.

    The rank of a response is that of its source: the teacher's, y⁺, is the best, and those of the student are not
    ranked among themselves. The paper sums the likelihood of the best over its tokens (`text: sum`); `mean` divides by
    them, as the hinge does, so that long answers outweigh the ranking no more than short ones.
    """

    type: Literal["rrhf"] = "rrhf"
    weight: float = Field(1.0, ge=0, allow_inf_nan=False, description="of the likelihood of the best; 1 is the paper")
    text: Normalisation = Field(
        "sum", description="whether that is summed over the tokens, as in the paper, or their mean"
    )

    def per_list(self, sequences: Sequences, there_BR: Tensor) -> Tensor:
        logps_BR = sequences.logps(self.normalise)
        hinge_BR = (logps_BR[:, 1:] - logps_BR[:, :1]).clamp(min=0) * there_BR[:, 1:]
        return hinge_BR.sum(-1) - self.weight * sequences.logps(self.text)[:, 0]
