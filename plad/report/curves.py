"""The numbers behind a training curve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from plad.report.numbers import is_number

Point = tuple[int, float]


@dataclass(frozen=True)
class Series:
    """One line of a chart."""

    hue: str
    label: str
    points: Sequence[Point]
    dashed: bool = False

    @property
    def noisy(self) -> bool:
        """Whether there are enough points for a running mean to say more than the points."""
        return len(self.points) >= 40


def points_of(rows: Iterable[Mapping[str, Any]], key: str) -> list[Point]:
    """(step, value) of the log lines that have `key`; a NaN cannot be drawn and is left out."""
    return [(row["step"], row[key]) for row in rows if is_number(row.get("step")) and is_number(row.get(key))]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points at even distances, with the first and the last among them."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(place * last / (most - 1))] for place in range(most)]


def running_mean(values: Sequence[float]) -> list[float]:
    """The mean over a window of a tenth of the curve round each point, shorter at both ends."""
    half = max(1, len(values) // 20)
    sums = [0.0, *accumulate(values)]
    windows = ((max(0, place - half), min(len(values), place + half + 1)) for place in range(len(values)))
    return [(sums[end] - sums[start]) / (end - start) for start, end in windows]
