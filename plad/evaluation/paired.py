"""Two methods on the same prompts: who wins, by how much, and how surprising that would be if neither were better."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

from plad.evaluation.statistics import Vector, checked_pair, mean

FLIPS = 10_000
"""Random sign patterns of a permutation test; the smallest p-value is one in this many and one."""

_SIGNS = 4_000_000
"""Signs held in memory at once, 32 MB where they are multiplied."""


def versus(outcomes: Sequence[float] | Vector, seed: int = 0) -> dict[str, Any]:
    """One method against another by its outcome on each prompt: 1 a win, ½ a tie, 0 a loss.

    Returns:
        `win_rate` (ties ½, 95 % interval by bootstrap over prompts), `wins`, `ties`, `losses`, and the sign test's `p`.
    """
    outcomes_N = np.asarray(outcomes, dtype=np.float64)
    wins, losses = int((outcomes_N > 0.5).sum()), int((outcomes_N < 0.5).sum())
    return {
        "win_rate": mean(outcomes_N, seed).to_json(),
        "wins": wins,
        "ties": len(outcomes_N) - wins - losses,
        "losses": losses,
        "p": sign_test(wins, losses),
    }


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p-value of so many wins among wins and losses, if each were as likely; ties tell nothing."""
    n, fewer = wins + losses, min(wins, losses)
    tail = sum(comb(n, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**n))


def permutation_test(a: Sequence[float] | Vector, b: Sequence[float] | Vector, seed: int = 0) -> float:
    """The two-sided p-value of the mean difference of paired values, by flipping signs at random (Fisher 1935).

    Raises:
        PladError: the numbers differ or are 0, or some are NaN.
    """
    a_N, b_N = checked_pair(a, b)
    difference_N = a_N - b_N
    observed, rng = abs(difference_N.sum()), np.random.default_rng(seed)
    rows = max(1, _SIGNS // len(difference_N))
    extreme = 0
    for start in range(0, FLIPS, rows):
        size = min(rows, FLIPS - start)
        signs = rng.integers(0, 2, size=(size, len(difference_N)), dtype=np.int8) * 2 - 1
        # Sums of the same numbers in another order differ by rounding.
        extreme += int((np.abs(signs @ difference_N) >= observed - 1e-9 * max(1.0, observed)).sum())
    return (extreme + 1) / (FLIPS + 1)
