from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from plad.errors import PladError
from plad.evaluation.agreement import agreement
from plad.evaluation.statistics import ratio


def test_agreement_by_hand() -> None:
    one = {"a": [3, 1, 0], "b": [2, 2, 0], "c": [1, 3, 0]}
    other = {"a": [9, 1, 1], "b": [9, 2, 2], "c": [1, 1, 3]}
    told = agreement(one, other)
    # Prompt 1: a–b is a tie of the other's, a–c and b–c agree. Prompt 2: a–b agrees, a–c is a tie, b–c does not.
    # Prompt 3: the one decides nothing.
    assert told["pairwise"]["value"] == 3 / 4
    assert told["pairwise"]["n"] == 4
    first, second = (
        stats.spearmanr([row[k] for row in one.values()], [row[k] for row in other.values()]) for k in (0, 1)
    )
    assert told["spearman"]["value"] == pytest.approx((first.statistic + second.statistic) / 2)
    assert told["spearman"]["n"] == 2


def test_agreement_with_oneself_is_whole_and_with_the_opposite_none() -> None:
    scores = {name: np.random.default_rng(seed).normal(size=20) for seed, name in enumerate("abc")}
    opposite = {name: -values for name, values in scores.items()}
    for other, share, rank in ((scores, 1, 1), (opposite, 0, -1)):
        told = agreement(scores, other)
        assert told["pairwise"] == {"value": share, "low": share, "high": share, "n": 60}
        assert told["spearman"]["value"] == pytest.approx(rank)


def test_nothing_decided_is_nothing_said() -> None:
    assert agreement({"a": [1], "b": [1]}, {"a": [1], "b": [2]}) == {"pairwise": None, "spearman": None}
    with pytest.raises(PladError, match="the same models, but got a and b"):
        agreement({"a": [1]}, {"b": [1]})


def test_a_ratio_weighs_prompts_by_their_base() -> None:
    # 1 of 1 and 0 of 3; resamples of two give 1, 1/4 or 0.
    estimate = ratio([1, 0], [1, 3])
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0.25, 0.0, 1.0, 4)
    # A prompt without base changes neither the value nor, drawn twice, the interval.
    assert ratio([1, 0, 0], [1, 3, 0]).value == 0.25
