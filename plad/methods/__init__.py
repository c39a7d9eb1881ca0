"""The methods that a student is distilled by, each a line in a recipe: `distill.method.type`, or under `baselines`."""

from plad.methods.base import Method, Text, answered_by
from plad.methods.divergence import DistiLLM2, FDistillJS, FDistillKL, FDistillRKL, FDistillTVD
from plad.methods.pairs import DPO, IPO, ORPO, RRHF, LiPO, Listwise, Plad, SimPO, SlicHF
from plad.methods.samples import GKD, MiniLLM, MiniLLMCode
from plad.methods.text import KD, SFT, SeqKD, SeqKDWithKD

METHODS = {
    "plad": Plad,
    "sft": SFT,
    "seqkd": SeqKD,
    "kd": KD,
    "seqkd+kd": SeqKDWithKD,
    "f_kl": FDistillKL,
    "f_rkl": FDistillRKL,
    "f_js": FDistillJS,
    "f_tvd": FDistillTVD,
    "minillm": MiniLLM,
    "minillm_code": MiniLLMCode,
    "gkd": GKD,
    "dpo": DPO,
    "ipo": IPO,
    "simpo": SimPO,
    "orpo": ORPO,
    "slic_hf": SlicHF,
    "listwise": Listwise,
    "lipo": LiPO,
    "rrhf": RRHF,
    "distillm2": DistiLLM2,
}

__all__ = ["METHODS", "SFT", "Method", "Plad", "SeqKD", "Text", "answered_by"]
