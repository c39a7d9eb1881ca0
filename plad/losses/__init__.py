"""What a student is trained to do: small named objects, each a function of what a model says of a batch."""

from plad.losses.divergence import GKD, KD, ForwardKL, JensenShannon, ReverseKL, TotalVariation
from plad.losses.dpo import DPO, IPO
from plad.losses.likelihood import NegativeLogLikelihood
from plad.losses.minillm import MiniLLM
from plad.losses.minillm_code import MiniLLMCode
from plad.losses.orpo import ORPO
from plad.losses.plad import MarginCalibration, RankingCalibration
from plad.losses.sequence import Loss, LossOutput, Rollout, Sequences
from plad.losses.simpo import SimPO
from plad.losses.slic import SlicHF

LOSSES = {
    "ranking": RankingCalibration,
    "margin": MarginCalibration,
    "nll": NegativeLogLikelihood,
    "dpo": DPO,
    "ipo": IPO,
    "simpo": SimPO,
    "orpo": ORPO,
    "slic_hf": SlicHF,
    "kd": KD,
    "f_kl": ForwardKL,
    "f_rkl": ReverseKL,
    "f_js": JensenShannon,
    "f_tvd": TotalVariation,
    "minillm": MiniLLM,
    "minillm_code": MiniLLMCode,
    "gkd": GKD,
}

__all__ = [
    "DPO",
    "GKD",
    "IPO",
    "KD",
    "LOSSES",
    "ORPO",
    "ForwardKL",
    "JensenShannon",
    "Loss",
    "LossOutput",
    "MarginCalibration",
    "MiniLLM",
    "MiniLLMCode",
    "NegativeLogLikelihood",
    "RankingCalibration",
    "ReverseKL",
    "Rollout",
    "Sequences",
    "SimPO",
    "SlicHF",
    "TotalVariation",
]
