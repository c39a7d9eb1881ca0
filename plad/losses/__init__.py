"""What a student is trained to do: small named objects, each a function of what a model says of a batch."""

from plad.losses.divergence import GKD, KD, DistiLLM2, ForwardKL, JensenShannon, ReverseKL, TotalVariation
from plad.losses.dpo import DPO, IPO
from plad.losses.likelihood import NegativeLogLikelihood
from plad.losses.lists import LiPO, Listwise
from plad.losses.minillm import MiniLLM
from plad.losses.minillm_code import MiniLLMCode
from plad.losses.orpo import ORPO
from plad.losses.plad import MarginCalibration, RankingCalibration
from plad.losses.rrhf import RRHF
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
    "listwise": Listwise,
    "lipo": LiPO,
    "rrhf": RRHF,
    "distillm2": DistiLLM2,
}

__all__ = [
    "DPO",
    "GKD",
    "IPO",
    "KD",
    "LOSSES",
    "ORPO",
    "RRHF",
    "DistiLLM2",
    "ForwardKL",
    "JensenShannon",
    "LiPO",
    "Listwise",
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
