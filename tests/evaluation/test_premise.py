"""Whether PLaD's premise holds, of outcomes made by hand."""

from __future__ import annotations

import pytest

from plad.errors import PladError
from plad.evaluation.premise import premise, warning
from plad.evaluation.statistics import Estimate


def test_overall_by_length_and_by_kind() -> None:
    # The teacher wins all 10 short ones and 2 of 10 long ones: 12 of 20. Of the prefixes (places 0 and 10) it wins one.
    outcomes = [1.0] * 12 + [0.0] * 8
    kinds = ["prefix" if place in (0, 12) else "informative" for place in range(20)]
    found = premise(outcomes, [3] * 10 + [9] * 10, kinds)
    assert (found["teacher_better"]["value"], found["teacher_better"]["n"]) == (0.6, 20)
    assert [(row["from"], row["to"], row["win_rate"]["value"]) for row in found["by_length"]] == [
        (3, 3, 1),
        (9, 9, 0.2),
    ]
    assert {kind: (row["value"], row["n"]) for kind, row in found["by_kind"].items()} == {
        "prefix": (0.5, 2),
        "informative": (pytest.approx(11 / 18), 18),
    }
    assert found["teacher_better"]["low"] < 0.5
    assert "is not shown" in found["warning"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.51, 0.7, None), (0.5, 0.7, "is not shown"), (0.3, 0.49, "does not hold"), (0.3, 0.5, "is not shown")],
)
def test_a_warning_says_no_more_than_the_interval(low: float, high: float, said: str | None) -> None:
    told = warning(Estimate(0.45, low, high, 200))
    assert (told is None) == (said is None)
    assert said is None or (said in str(told) and "45.0 % of 200 pairs" in str(told))


def test_no_pairs_are_refused() -> None:
    with pytest.raises(PladError, match="one prompt or more"):
        premise([], [], [])
