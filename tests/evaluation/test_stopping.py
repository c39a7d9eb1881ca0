"""When rounds end, by scores made by hand."""

from __future__ import annotations

import pytest

from plad.evaluation.statistics import Estimate, win_rate
from plad.evaluation.stopping import reason_to_stop

AHEAD = Estimate(0.7, 0.6, 0.8, 50)


def rate(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 50)


def test_it_goes_on_while_the_teacher_wins_and_validation_does_not_fall() -> None:
    assert reason_to_stop(AHEAD, rate(0.4), rate(0.4)) is None
    assert reason_to_stop(AHEAD, rate(0.2), None) is None


def test_a_fall_ends_it() -> None:
    told = reason_to_stop(AHEAD, rate(0.4), rate(0.45))
    assert told == "the validation win rate fell from 45.0 to 40.0 %"


@pytest.mark.parametrize(("low", "ends"), [(0.5, True), (0.501, False), (0.3, True)])
def test_a_teacher_that_may_be_no_better_ends_it(low: float, ends: bool) -> None:
    told = reason_to_stop(Estimate(0.6, low, 0.7, 50), rate(0.5), rate(0.4))
    assert (told is not None) == ends
    assert told is None or "60.0 %" in told


def test_scores_made_by_hand() -> None:
    # Of 20 prompts the teacher wins 20, then 10: its interval lies above ½, and then holds it.
    always, even = [1.0] * 20, [1.0, 0.0] * 10
    assert reason_to_stop(win_rate(always, [0.5] * 20), rate(0.5), rate(0.5)) is None
    assert reason_to_stop(win_rate(even, [0.5] * 20), rate(0.5), rate(0.5)) is not None
