from __future__ import annotations

import numpy as np
import pytest

from plad.evaluation.calibration import calibration, curve

LOGPS = [[-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0], [-1.0, -1.0, -2.0], [-1.0, -2.0, -3.0]]
SCORES = [[3.0, 2.0, 1.0], [2.0, 3.0, 1.0], [5.0, 1.0, 1.0], [4.0, 4.0, 4.0]]


def test_calibration_by_hand() -> None:
    found = calibration(LOGPS, SCORES)
    # Ranks turned in one pair of three; then a tie in likelihood (½) and a pair in order; then nothing to tell.
    assert found.accuracies == [1.0, pytest.approx(2 / 3), 0.75, None]
    assert found.correlations == [pytest.approx(1.0), pytest.approx(0.5), pytest.approx(0.5), None]
    told = found.to_json()
    assert told["pairwise_accuracy"]["value"] == pytest.approx((1 + 2 / 3 + 0.75) / 3)
    assert told["pairwise_accuracy"]["n"] == told["rank_correlation"]["n"] == 3


def test_the_change_is_paired_by_prompt_where_both_are_defined() -> None:
    before = calibration([[-1, -2]] * 3, [[1, 2], [1, 1], [2, 1]])
    after = calibration([[-1, -2]] * 3, [[2, 1], [1, 2], [2, 1]])
    change = after.change_from(before)["pairwise_accuracy"]
    # 0 → 1, undefined before, 1 → 1.
    assert (change["value"], change["n"]) == (0.5, 2)
    nothing = calibration([[-1, -2]], [[1, 1]])
    assert nothing.to_json() == nothing.change_from(nothing) == {"rank_correlation": None, "pairwise_accuracy": None}


def test_one_sample_says_nothing() -> None:
    assert calibration([[-1.0]], [[2.0]]).to_json()["rank_correlation"] is None


def test_the_curve_by_hand() -> None:
    # Least likely first: it beats none of two, then one of two, then both; and with ties of all, half everywhere.
    assert [place["value"] for place in curve(LOGPS[:1], SCORES[:1])] == [0.0, 0.5, 1.0]
    assert [place["value"] for place in curve(LOGPS[3:], SCORES[3:])] == [0.5, 0.5, 0.5]
    assert [place["value"] for place in curve([LOGPS[0], LOGPS[0]], [SCORES[0], SCORES[0][::-1]])] == [0.5, 0.5, 0.5]


def test_likelihood_that_says_nothing_is_at_half() -> None:
    rng = np.random.default_rng(0)
    found = calibration(rng.normal(size=(800, 4)).tolist(), rng.normal(size=(800, 4)).tolist()).to_json()
    assert found["pairwise_accuracy"]["low"] < 0.5 < found["pairwise_accuracy"]["high"]
    assert found["rank_correlation"]["low"] < 0 < found["rank_correlation"]["high"]
