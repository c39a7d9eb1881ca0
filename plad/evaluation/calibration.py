"""Does a model's likelihood track quality? PLaD's claim, tested on several samples a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from plad.evaluation.statistics import Estimate, mean, paired_difference, spearman


@dataclass(frozen=True)
class Calibration:
    """Per prompt, or None where all samples are worth the same: rank correlation and pairwise accuracy."""

    correlations: list[float | None]
    accuracies: list[float | None]

    def to_json(self, seed: int = 0) -> dict[str, Any]:
        """The means over the prompts where they are defined, with bootstrap intervals; None where none is."""
        return {
            "rank_correlation": _estimate(self.correlations, seed),
            "pairwise_accuracy": _estimate(self.accuracies, seed),
        }

    def change_from(self, before: Calibration, seed: int = 0) -> dict[str, Any]:
        """What changed since `before`, paired by prompt, over the prompts where both are defined."""
        return {
            "rank_correlation": _change(self.correlations, before.correlations, seed),
            "pairwise_accuracy": _change(self.accuracies, before.accuracies, seed),
        }


def calibration(logps: Sequence[Sequence[float]], scores: Sequence[Sequence[float]]) -> Calibration:
    """Compare a model's log-likelihoods of its own samples with what a scorer makes of them.

    Args:
        logps: one row a prompt, one length-normalised log-likelihood a sample; `scores` likewise.
    """
    rows = list(zip(logps, scores, strict=True))
    return Calibration([_correlation(*row) for row in rows], [_accuracy(*row) for row in rows])


def curve(logps: Sequence[Sequence[float]], scores: Sequence[Sequence[float]], seed: int = 0) -> list[dict[str, Any]]:
    """The share of a prompt's other samples that a sample beats (ties ½), by its place in order of likelihood.

    Returns:
        One estimate a place, least likely first. A model whose likelihood says nothing of quality is flat at ½.
    """
    places_NK = [_beaten_by_place(row, quality) for row, quality in zip(logps, scores, strict=True)]
    return [mean(column, seed).to_json() for column in zip(*places_NK, strict=True)]


def _beaten_by_place(logps: Sequence[float], scores: Sequence[float]) -> list[float]:
    order = sorted(range(len(logps)), key=lambda k: (logps[k], k))
    quality = np.asarray(scores, dtype=np.float64)
    # Less ½ for the sample itself, which ties with itself.
    beaten = [((quality < own).sum() + 0.5 * (quality == own).sum() - 0.5) / max(1, len(scores) - 1) for own in quality]
    return [float(beaten[k]) for k in order]


def _correlation(logps: Sequence[float], scores: Sequence[float]) -> float | None:
    return spearman(logps, scores) if len(scores) > 1 else None


def _accuracy(logps: Sequence[float], scores: Sequence[float]) -> float | None:
    """Of the pairs of samples that differ in quality, the share in which the better one is likelier (ties ½)."""
    right = [
        0.5 * (1 + np.sign(logps[a] - logps[b]) * np.sign(scores[a] - scores[b]))
        for a, b in combinations(range(len(scores)), 2)
        if scores[a] != scores[b]
    ]
    return float(np.mean(right)) if right else None


def _estimate(values: Sequence[float | None], seed: int) -> dict[str, Any] | None:
    defined = [value for value in values if value is not None]
    return mean(defined, seed).to_json() if defined else None


def _change(after: Sequence[float | None], before: Sequence[float | None], seed: int) -> dict[str, Any] | None:
    both = [(a, b) for a, b in zip(after, before, strict=True) if a is not None and b is not None]
    if not both:
        return None
    change: Estimate = paired_difference([a for a, _ in both], [b for _, b in both], seed)
    return change.to_json()
