"""What the outputs are worth: every number with its interval."""

from __future__ import annotations

from plad.evaluation.measure import evaluate_outputs, summarise
from plad.evaluation.statistics import Estimate, mean, paired_difference, spearman, win_rate, wins

__all__ = ["Estimate", "evaluate_outputs", "mean", "paired_difference", "spearman", "summarise", "win_rate", "wins"]
