from __future__ import annotations

import numpy as np
import pytest

from plad.errors import PladError
from plad.evaluation import statistics
from plad.evaluation.statistics import Estimate, mean, mean_over_seeds, paired_difference, spearman, win_rate, wins


def test_wins_by_hand() -> None:
    assert wins([2, 1, 1, 0], [1, 1, 2, -1]).tolist() == [1, 0.5, 0, 1]
    assert win_rate([2, 1, 1, 0], [1, 1, 2, -1]).value == 0.625


def test_a_share_has_the_binomial_interval() -> None:
    # 0.3 ± 1.96·√(0.3·0.7/1000) = ± 0.0284.
    estimate = mean([1.0] * 300 + [0.0] * 700)
    assert estimate.value == pytest.approx(0.3)
    assert estimate.low == pytest.approx(0.3 - 0.0284, abs=0.003)
    assert estimate.high == pytest.approx(0.3 + 0.0284, abs=0.003)
    assert estimate.n == 1000


def test_three_prompts_have_the_exact_quantiles() -> None:
    # Of 27 resamples of (0, 0, 1), 8 have mean 0 and 1 has mean 1: more than 2.5 % each.
    assert mean([0.0, 0.0, 1.0]) == Estimate(1 / 3, 0.0, 1.0, 3)


def test_pairing_takes_out_what_both_share() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=400) * 10
    difference = paired_difference(shared + 0.5, shared + rng.normal(size=400) * 0.1)
    assert difference.value == pytest.approx(0.5, abs=0.02)
    assert difference.high - difference.low < 0.04


def test_equal_seeds_are_equal_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=100)
    whole = mean(values, seed=1)
    assert whole != mean(values, seed=2)
    monkeypatch.setattr(statistics, "BLOCK", 1_000)
    assert mean(values, seed=1) == whole


def test_one_prompt_is_its_own_interval() -> None:
    assert mean([0.25]).to_json() == {"value": 0.25, "low": 0.25, "high": 0.25, "n": 1}


def test_nothing_nan_and_unpaired_are_refused() -> None:
    with pytest.raises(PladError, match="0 values"):
        mean([])
    with pytest.raises(PladError, match="2 of 3 are NaN"):
        win_rate([float("nan"), 1, float("nan")], [1, 2, 3])
    with pytest.raises(PladError, match="2 and 1 values"):
        paired_difference([1, 2], [1])


def test_spearman_by_hand() -> None:
    # Rank differences 0, 1, 1, 0: 1 − 6·2/(4·15) = 0.8.
    assert spearman([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx(0.8)
    assert spearman([1, 2, 3], [9, 5, 1]) == pytest.approx(-1)
    # Ties: ranks (1.5, 1.5, 3) and (1, 2, 3), covariance 1.5, norms √1.5 and √2.
    assert spearman([1, 1, 2], [1, 2, 3]) == pytest.approx(1.5 / 3**0.5)
    assert spearman([1, 1], [1, 2]) is None


def test_spearman_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a, b = rng.integers(10, size=200), rng.normal(size=200)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_the_spread_between_seeds_is_in_the_interval() -> None:
    # Within a seed nothing varies, so that only the draw of seeds does: of 27 draws one has (0, 0, 0), mean 0, and one
    # (1, 1, 1), mean 1: 3.7 % each, more than 2.5 %.
    found = mean_over_seeds([[0.0] * 50, [0.5] * 50, [1.0] * 50])
    assert found == Estimate(0.5, 0.0, 1.0, 150)
    assert mean([0.0] * 50 + [0.5] * 50 + [1.0] * 50).low > 0.4, "as if the prompts of all seeds were one sample"


def test_seeds_alike_leave_the_spread_between_prompts() -> None:
    # Halves of 0 and 1, 400 a seed: three draws of such a mean vary by √(0.25/1200), ± 1.96 times that is 0.0283.
    found = mean_over_seeds([[0.0, 1.0] * 200] * 3)
    assert found.value == 0.5
    assert found.high - 0.5 == pytest.approx(0.0283, abs=0.004)
    assert 0.5 - found.low == pytest.approx(0.0283, abs=0.004)


def test_every_seed_weighs_the_same_and_one_is_a_mean() -> None:
    assert mean_over_seeds([[1.0] * 10, [0.0] * 30]).value == 0.5
    values = np.random.default_rng(0).normal(size=50)
    assert mean_over_seeds([values]) == mean(values)
    with pytest.raises(PladError, match="0 values"):
        mean_over_seeds([[1.0], []])
