"""Scorers: how good is a response to a prompt? Higher is better."""

from __future__ import annotations

from plad.scoring.base import Progress, Scorer
from plad.scoring.bradley_terry import BradleyTerry
from plad.scoring.embedding import Embedding
from plad.scoring.function import Function
from plad.scoring.judge import Judge
from plad.scoring.length import Length
from plad.scoring.ray import RayScoring
from plad.scoring.reward_model import RewardModel
from plad.scoring.rouge import Rouge

SCORERS = {
    "bradley_terry": BradleyTerry,
    "embedding": Embedding,
    "function": Function,
    "judge": Judge,
    "length": Length,
    "ray": RayScoring,
    "reward_model": RewardModel,
    "rouge": Rouge,
}

__all__ = [
    "SCORERS",
    "BradleyTerry",
    "Embedding",
    "Function",
    "Judge",
    "Length",
    "Progress",
    "RayScoring",
    "RewardModel",
    "Rouge",
    "Scorer",
]
