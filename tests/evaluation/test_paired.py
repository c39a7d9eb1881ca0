from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from plad.errors import PladError
from plad.evaluation.paired import FLIPS, permutation_test, sign_test, versus


def test_the_sign_test_by_hand() -> None:
    # 8 of 10 or more extreme, both ways: 2·(1 + 10 + 45)/1024.
    assert sign_test(8, 2) == sign_test(2, 8) == pytest.approx(2 * 56 / 1024)
    assert sign_test(5, 5) == sign_test(0, 0) == 1.0
    assert sign_test(0, 5) == 2 / 32


@pytest.mark.parametrize(("wins", "losses"), [(3, 9), (60, 40), (411, 389), (1500, 1300)])
def test_the_sign_test_is_scipys_exact_binomial_test(wins: int, losses: int) -> None:
    assert sign_test(wins, losses) == pytest.approx(stats.binomtest(wins, wins + losses).pvalue, rel=1e-9)


def test_the_permutation_test_against_all_sign_patterns() -> None:
    a, b = np.array([0.9, 0.4, 0.8, 0.3, 0.7, 0.6, 0.2, 1.0]), np.array([0.1, 0.5, 0.2, 0.3, 0.1, 0.2, 0.4, 0.5])
    differences = a - b
    sums = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=8)]
    exact = np.mean([total >= abs(differences.sum()) - 1e-12 for total in sums])
    assert permutation_test(a, b) == pytest.approx(exact, abs=4 * (exact / FLIPS) ** 0.5)


def test_the_permutation_test_is_uniform_where_nothing_differs_and_small_where_much_does() -> None:
    rng = np.random.default_rng(0)
    values = [permutation_test(*rng.normal(size=(2, 30)), seed=seed) for seed in range(60)]
    assert stats.kstest(values, "uniform").pvalue > 0.01
    assert permutation_test(np.ones(40), np.zeros(40)) == 1 / (FLIPS + 1)
    assert permutation_test([1.0, 2.0], [1.0, 2.0]) == 1.0


def test_versus_counts_ties_apart() -> None:
    told = versus([1, 1, 1, 0.5, 0.5, 0])
    assert (told["wins"], told["ties"], told["losses"]) == (3, 2, 1)
    assert told["win_rate"]["value"] == pytest.approx(4 / 6)
    assert told["win_rate"]["n"] == 6
    # 3 of 4 decided: 2·(1 + 4)/16.
    assert told["p"] == 10 / 16


def test_unpaired_values_are_refused() -> None:
    with pytest.raises(PladError, match="2 and 1 values"):
        permutation_test([1, 2], [1])
