from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from plad.evaluation.length import RIDGE, by_length, fit_logistic, length_controlled


def slow_fit(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same objective by a general minimiser."""

    def loss(beta: np.ndarray) -> float:
        logits = beta[0] + beta[1] * x
        fit = weights @ (y * logits - np.logaddexp(0, logits))
        return float(-fit + RIDGE / 2 * beta @ beta)

    return minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-8}).x


@pytest.mark.parametrize("kind", ["ordinary", "ties", "separable", "all won"])
def test_the_fit_is_that_of_a_general_minimiser(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = np.tanh(rng.normal(size=120))
    y = (rng.random(120) < expit(0.4 + 1.5 * x)).astype(float)
    if kind == "ties":
        y[::3] = 0.5
    if kind == "separable":
        y = (x > 0).astype(float)
    if kind == "all won":
        y = np.ones(120)
    weights = rng.integers(0, 4, size=(2, 120)).astype(float)
    ours = fit_logistic(weights, x, y)
    assert ours == pytest.approx(np.stack([slow_fit(x, y, row) for row in weights]), rel=1e-3, abs=1e-3)


def test_a_winner_by_length_alone_is_no_winner_at_equal_length() -> None:
    rng = np.random.default_rng(1)
    words, other = rng.integers(5, 25, size=1500) + 6, rng.integers(5, 25, size=1500)
    delta = np.tanh((words - other) / (words - other).std())
    outcomes = (rng.random(1500) < expit(2.5 * delta)).astype(float)
    estimate = length_controlled(outcomes, words, other)
    assert outcomes.mean() > 0.65
    assert estimate.low < 0.5 < estimate.high
    assert estimate.high - estimate.low < 0.1


def test_where_length_does_not_matter_the_win_rate_stays_what_it_was() -> None:
    rng = np.random.default_rng(2)
    outcomes = (rng.random(1000) < 0.7).astype(float)
    same = length_controlled(outcomes, np.full(1000, 8), np.full(1000, 8))
    # ± 1.96·√(0.7·0.3/1000).
    assert same.value == pytest.approx(outcomes.mean(), abs=1e-4)
    assert (same.high - same.low) / 2 == pytest.approx(0.0284, abs=0.004)
    longer = length_controlled(outcomes, rng.integers(1, 30, 1000), rng.integers(1, 30, 1000))
    assert longer.value == pytest.approx(outcomes.mean(), abs=0.01)


def test_equal_seeds_are_equal() -> None:
    rng = np.random.default_rng(3)
    won, words, other = rng.integers(0, 2, 50), rng.integers(1, 9, 50), rng.integers(1, 9, 50)
    assert length_controlled(won, words, other, seed=4) == length_controlled(won, words, other, seed=4)
    assert length_controlled(won, words, other, seed=4) != length_controlled(won, words, other, seed=5)


def test_bins_of_length_by_hand() -> None:
    words = [1] * 8 + [2] * 8 + [3] * 8 + [9] * 8
    outcomes = [0] * 8 + [0.5] * 8 + [1] * 4 + [0] * 4 + [1] * 8
    bins = by_length(outcomes, words)
    assert [(row["from"], row["to"]) for row in bins] == [(1, 1), (2, 2), (3, 3), (9, 9)]
    assert [row["win_rate"]["value"] for row in bins] == [0, 0.5, 0.5, 1]
    assert all(row["win_rate"]["n"] == 8 for row in bins)


def test_small_bins_are_merged_and_every_prompt_is_in_one() -> None:
    (few,) = by_length([1] * 5, [1, 2, 3, 4, 5])
    assert (few["from"], few["to"], few["win_rate"]["n"]) == (1, 5, 5)
    assert [row["win_rate"]["n"] for row in by_length([1] * 30, [7] * 30)] == [30]
    words = np.random.default_rng(0).integers(1, 40, 200)
    bins = by_length(np.ones(200), words)
    assert sum(row["win_rate"]["n"] for row in bins) == 200
    assert all(before["to"] < after["from"] for before, after in pairwise(bins))
