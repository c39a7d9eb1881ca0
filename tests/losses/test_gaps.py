"""Gaps in scores on a scale of their own, by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plad.losses.gaps import comparable
from plad.losses.plad import MarginCalibration

EIGHT = [0.1, -0.2, 0.3, 0.4, 0.4, 0.8, -1.0, 2.0]  # sizes: the median is 0.4


def test_over_the_median_of_a_band() -> None:
    assert comparable(EIGHT, [5] * 8, "median", 4) == pytest.approx([0.25, -0.5, 0.75, 1, 1, 2, -2.5, 5])


def test_ranks_of_a_band() -> None:
    # 2r/9 of ranks 1, 2, 3, (4 + 5)/2 twice, 6, 7, 8, with the signs of the gaps
    expected = [2 / 9, -4 / 9, 6 / 9, 1, 1, 12 / 9, -14 / 9, 16 / 9]
    assert comparable(EIGHT, [5] * 8, "rank", 4) == pytest.approx(expected)


def test_lengths_have_scales_of_their_own() -> None:
    gaps, lengths = [*EIGHT, *(10 * gap for gap in EIGHT)], [5] * 8 + [20] * 8
    short, long = (comparable(gaps, lengths, "median", 2)[part] for part in (slice(0, 8), slice(8, 16)))
    assert short == pytest.approx(long)
    assert comparable(gaps, lengths, "median", 1)[:8] != pytest.approx(short), "one band for all"


def test_pairs_of_one_length_are_never_apart_and_a_small_rest_joins_its_neighbour() -> None:
    # 9 of length 5 in a band whose share is 8; the 3 behind are too few for one of their own: one band of 12.
    gaps = [1.0] * 9 + [3.0] * 3
    assert comparable(gaps, [5] * 9 + [9] * 3, "median", 2) == pytest.approx(gaps)


def test_gaps_that_are_mostly_or_all_zero() -> None:
    assert comparable([0.0] * 7 + [2.0], [1] * 8, "median", 1) == pytest.approx([0.0] * 7 + [8.0])  # over the mean, ¼
    for scale in ("median", "rank"):
        assert comparable([0.0] * 8, [1] * 8, scale, 1) == [0.0] * 8  # type: ignore[arg-type]
    assert comparable([], [], "rank", 4) == []


@pytest.mark.parametrize("scale", ["median", "rank"])
@settings(deadline=None, max_examples=30)
@given(factor=st.floats(0.01, 100), count=st.integers(1, 60), seed=st.integers(0, 9))
def test_a_scorers_own_scale_has_no_say(scale: str, factor: float, count: int, seed: int) -> None:
    draw = random.Random(seed)
    gaps, lengths = [draw.gauss(0.3, 1) for _ in range(count)], [draw.randrange(1, 30) for _ in range(count)]
    found = comparable(gaps, lengths, scale, 4)  # type: ignore[arg-type]
    scaled = comparable([factor * gap for gap in gaps], lengths, scale, 4)  # type: ignore[arg-type]
    assert scaled == pytest.approx(found)
    assert [x > 0 for x in found] == [gap > 0 for gap in gaps]


def test_margin_calibration_takes_them_as_they_are_by_default() -> None:
    assert MarginCalibration().rescaled(EIGHT, [5] * 8) == EIGHT
    assert MarginCalibration(scale="median").rescaled(EIGHT, [5] * 8) == comparable(EIGHT, [5] * 8, "median", 4)
