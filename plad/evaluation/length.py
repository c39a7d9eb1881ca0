"""Length, the usual way to win without being better: win rates with length held equal, and by length.

Shape suffixes: N prompts, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plad.evaluation.statistics import BLOCK, Estimate, Vector, checked_pair, mean

RESAMPLES = 1_000
RIDGE = 0.01
"""A weak pull to zero, without which a model that wins every prompt has no finite estimate."""
STEPS = 30
FEWEST = 8
"""Prompts of a length bin; fewer say nothing."""


def length_controlled(
    outcomes: Sequence[float] | Vector,
    words: Sequence[float] | Vector,
    other_words: Sequence[float] | Vector,
    seed: int = 0,
) -> Estimate:
    """The win rate that would be left if both answers were of one length.

    Logistic regression of the outcome on the difference in length, read off where the difference is none:
    `P(win) = σ(θ + φ·tanh(Δ/s))`, value σ(θ), with Δ the difference in words and s its standard deviation. It is the
    length term of length-controlled AlpacaEval (Dubois et al. 2024, arXiv 2404.04475); its term for the difficulty of
    an instruction needs many models and is left out. The interval is a bootstrap over prompts that fits each time.

    Args:
        outcomes: 1, ½ or 0 a prompt.

    Raises:
        PladError: the numbers differ or are 0, or some are NaN.
    """
    won_N, words_N = checked_pair(outcomes, words)
    _, other_N = checked_pair(outcomes, other_words)
    delta_N = words_N - other_N
    x_N = np.tanh(delta_N / delta_N.std()) if delta_N.std() > 0 else np.zeros_like(delta_N)
    count, rng = len(won_N), np.random.default_rng(seed)
    rows = max(1, BLOCK // (8 * count))
    fits = [fit_logistic(np.ones((1, count)), x_N, won_N)]
    for start in range(0, RESAMPLES, rows):
        weights_BN = rng.multinomial(count, np.full(count, 1 / count), size=min(rows, RESAMPLES - start))
        fits.append(fit_logistic(weights_BN.astype(np.float64), x_N, won_N))
    theta_B = np.concatenate([fit[:, 0] for fit in fits])
    value, rates_B = _sigmoid(theta_B[0]), _sigmoid(theta_B[1:])
    low, high = np.quantile(rates_B, (0.025, 0.975))
    return Estimate(float(value), float(low), float(high), count)


def fit_logistic(weights_BN: Vector, x_N: Vector, y_N: Vector) -> Vector:
    """Newton's method on B weighted logistic regressions of y on x at once.

    Maximises `Σ w (y log p + (1−y) log(1−p)) − RIDGE/2 (θ² + φ²)` with `p = σ(θ + φx)`.

    Returns:
        (B, 2): θ and φ.
    """
    beta_B2 = np.zeros((len(weights_BN), 2))
    for _ in range(STEPS):
        p_BN = _sigmoid(beta_B2[:, :1] + beta_B2[:, 1:] * x_N)
        error_BN, spread_BN = weights_BN * (y_N - p_BN), weights_BN * p_BN * (1 - p_BN)
        g0_B = error_BN.sum(1) - RIDGE * beta_B2[:, 0]
        g1_B = error_BN @ x_N - RIDGE * beta_B2[:, 1]
        h00_B, h01_B, h11_B = spread_BN.sum(1) + RIDGE, spread_BN @ x_N, spread_BN @ (x_N * x_N) + RIDGE
        determinant_B = h00_B * h11_B - h01_B**2
        step_B2 = np.stack([h11_B * g0_B - h01_B * g1_B, h00_B * g1_B - h01_B * g0_B], axis=1) / determinant_B[:, None]
        # Where nearly every prompt is won, a whole step can overshoot.
        beta_B2 += np.clip(step_B2, -2, 2)
        if np.abs(step_B2).max() < 1e-9:
            break
    return beta_B2


def by_length(
    outcomes: Sequence[float] | Vector, words: Sequence[float] | Vector, seed: int = 0, bins: int = 4
) -> list[dict[str, Any]]:
    """The win rate in bins of output words that hold about as many prompts each; bins under 8 prompts are merged.

    Returns:
        `{"from", "to", "win_rate"}` a bin, shortest outputs first; both ends in words and inclusive.
    """
    won_N, words_N = checked_pair(outcomes, words)
    edges = np.unique(np.quantile(words_N, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    place_N = np.searchsorted(edges, words_N, side="left")
    groups: list[NDArray[np.intp]] = []
    for place in range(len(edges) + 1):
        rows = np.flatnonzero(place_N == place)
        if groups and (len(rows) < FEWEST or len(groups[-1]) < FEWEST):
            groups[-1] = np.concatenate([groups[-1], rows])
        elif len(rows):
            groups.append(rows)
    return [
        {
            "from": int(words_N[rows].min()),
            "to": int(words_N[rows].max()),
            "win_rate": mean(won_N[rows], seed).to_json(),
        }
        for rows in groups
    ]


def _sigmoid(x: Vector) -> Vector:
    return 0.5 * (1 + np.tanh(x / 2))
