"""What a student is trained to do: small named objects, each a function of sequence log-likelihoods."""

from plad.losses.likelihood import NegativeLogLikelihood
from plad.losses.plad import MarginCalibration, RankingCalibration
from plad.losses.sequence import Loss, LossOutput, Sequences

LOSSES = {
    "ranking": RankingCalibration,
    "margin": MarginCalibration,
    "nll": NegativeLogLikelihood,
}

__all__ = [
    "LOSSES",
    "Loss",
    "LossOutput",
    "MarginCalibration",
    "NegativeLogLikelihood",
    "RankingCalibration",
    "Sequences",
]
