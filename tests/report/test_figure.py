"""The drawing of a study's figure: what its axis says, and that series of one colour are told apart."""

from __future__ import annotations

import re

from plad.report.figure import Series, figure_chart


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value, "high": value, "n": 10}


def test_ticks_of_shares_below_one_per_cent_are_told_apart() -> None:
    few, many = (
        str(figure_chart("c", "T", "x", [Series("a", "plad", ((1.0, estimate(0.0)), (2.0, estimate(top))))], None).svg)
        for top in (0.003, 0.6)
    )
    assert "0.1 %" in few
    ticks = re.findall(r">(\S+) %<", few)
    assert len(ticks) == len(set(ticks)) > 2
    assert ">20 %<" in many


def test_series_of_one_colour_differ_in_their_lines() -> None:
    points = ((1.0, estimate(0.4)), (2.0, estimate(0.5)))
    alike, once = (
        str(figure_chart("c", "T", "x", [Series("a", "other", points), Series("b", hue, points)]).svg)
        for hue in ("other", "other-2")
    )
    assert alike.count("stroke-dasharray") > once.count("stroke-dasharray")
