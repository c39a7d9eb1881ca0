"""Gaps in scores on a scale of their own, so that β asks the same of a pair whatever scorer gave the scores.

A scorer's scale is its own, and for many the gap grows with the answers' length. Pairs are therefore compared with
those of like length: one whose gap is typical of them gets 1, one of a larger gap more, and one whose order the scorer
would turn round less than 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Literal

Scale = Literal["score", "median", "rank"]

FEWEST = 8
"""Pairs of a band of lengths; fewer say little of what is typical."""


def comparable(gaps: Sequence[float], lengths: Sequence[int], scale: Scale, bands: int) -> list[float]:
    """The gaps of all pairs of a data set on another scale; signs stay, and a gap of 0 stays 0.

    Args:
        lengths: of the preferred responses.
        scale: `median` divides by the median size of the gaps of a band, or their mean where that is 0; `rank` takes
            2r/(n + 1) with r the rank of the size among the n of a band, ties at the mean of theirs. `score` leaves the
            gaps as they are.
        bands: of length, with about as many pairs each and pairs of one length together.
    """
    if scale == "score":
        return list(gaps)
    found = [0.0] * len(gaps)
    for places in _bands(lengths, bands):
        sizes = [abs(gaps[place]) for place in places]
        scaled = _over_median(sizes) if scale == "median" else _ranks(sizes)
        for place, size in zip(places, scaled, strict=True):
            found[place] = size if gaps[place] > 0 else -size if gaps[place] < 0 else 0.0
    return found


def _bands(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Places by length, shortest first; a band ends where it has its share and the length changes."""
    order = sorted(range(len(lengths)), key=lambda place: (lengths[place], place))
    share = max(FEWEST, -(-len(order) // most))
    found: list[list[int]] = []
    for place in order:
        if not found or (len(found[-1]) >= share and lengths[place] != lengths[found[-1][-1]]):
            found.append([])
        found[-1].append(place)
    if len(found) > 1 and len(found[-1]) < FEWEST:
        found[-2:] = [found[-2] + found[-1]]
    return found


def _over_median(sizes: Sequence[float]) -> list[float]:
    typical = median(sizes) or fmean(sizes)
    return [size / typical if typical else 0.0 for size in sizes]


def _ranks(sizes: Sequence[float]) -> list[float]:
    """1 for the size in the middle."""
    ordered = sorted(sizes)
    first = {size: place for place, size in reversed(list(enumerate(ordered)))}
    last = {size: place for place, size in enumerate(ordered)}
    return [(first[size] + last[size] + 2) / (len(sizes) + 1) for size in sizes]
