"""Numbers with intervals: the percentile bootstrap over prompts (Efron 1979), 95 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plad.errors import PladError

RESAMPLES = 2_000
BLOCK = 500_000  # draws held in memory at once: 8 MB
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` prompts with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """`{"value", "low", "high", "n"}`."""
        return asdict(self)


def mean(values: Sequence[float] | Vector, seed: int = 0) -> Estimate:
    """The mean with its bootstrap interval. Equal values and seeds give equal numbers.

    Raises:
        PladError: there are no values, or some are NaN.
    """
    values_N = _checked(values, "values")
    low, high = np.quantile(_resampled_means(values_N, seed), (0.025, 0.975))
    return Estimate(float(values_N.mean()), float(low), float(high), len(values_N))


def mean_over_seeds(by_seed: Sequence[Sequence[float] | Vector], seed: int = 0) -> Estimate:
    """The mean of the means of several runs, each of a seed of its own, with a hierarchical bootstrap interval.

    A resample draws seeds with replacement, then prompts of each (Davison and Hinkley 1997, section 3.8): the interval
    has the spread between runs in it and not only that between prompts. Of three seeds all draws fall on the lowest one
    in 1 of 27 resamples, more than the 1 in 40 that is left out on either side, so that the ends are near the lowest
    and the highest run. One seed gives `mean`.

    Raises:
        PladError: there are no seeds, or no values of one, or some are NaN.
    """
    groups = [_checked(values, "values") for values in by_seed]
    if len(groups) < 2:
        return mean(groups[0] if groups else [], seed)
    rng = np.random.default_rng(seed)
    drawn_BK = rng.integers(len(groups), size=(RESAMPLES, len(groups)))
    means_BK = np.empty(drawn_BK.shape)
    for k, values_N in enumerate(groups):
        means_BK[drawn_BK == k] = _means(values_N, rng, int((drawn_BK == k).sum()))
    low, high = np.quantile(means_BK.mean(axis=1), (0.025, 0.975))
    value = float(np.mean([values_N.mean() for values_N in groups]))
    return Estimate(value, float(low), float(high), sum(map(len, groups)))


def wins(a_scores: Sequence[float] | Vector, b_scores: Sequence[float] | Vector) -> Vector:
    """Per prompt 1 where a scores higher, ½ where both score the same, else 0.

    Raises:
        PladError: the numbers differ or are 0, or scores are NaN.
    """
    a_N, b_N = _checked(a_scores, "scores of a"), _checked(b_scores, "scores of b")
    _check_paired(a_N, b_N)
    return (a_N > b_N) + 0.5 * (a_N == b_N)


def win_rate(a_scores: Sequence[float] | Vector, b_scores: Sequence[float] | Vector, seed: int = 0) -> Estimate:
    """How often a beats b on the same prompt, ties ½.

    Raises:
        PladError: as `wins`.
    """
    return mean(wins(a_scores, b_scores), seed)


def paired_difference(win_a: Sequence[float] | Vector, win_b: Sequence[float] | Vector, seed: int = 0) -> Estimate:
    """By how much method a's wins (or any number per prompt) exceed method b's, paired by prompt.

    Raises:
        PladError: the numbers differ or are 0, or some are NaN.
    """
    a_N, b_N = checked_pair(win_a, win_b)
    return mean(a_N - b_N, seed)


def ratio(numerators: Sequence[float] | Vector, denominators: Sequence[float] | Vector, seed: int = 0) -> Estimate:
    """`Σ numerators / Σ denominators` over prompts, with its bootstrap interval; `n` is the sum of the denominators.

    For a share whose base differs from prompt to prompt. A resample without any base is left out.

    Raises:
        PladError: the numbers differ or are 0, or some are NaN.
    """
    top_N, base_N = checked_pair(numerators, denominators)
    # One seed draws the same prompts for both.
    tops_B, bases_B = _resampled_means(top_N, seed), _resampled_means(base_N, seed)
    low, high = np.quantile(tops_B[bases_B > 0] / bases_B[bases_B > 0], (0.025, 0.975))
    return Estimate(float(top_N.sum() / base_N.sum()), float(low), float(high), int(base_N.sum()))


def spearman(a: Sequence[float] | Vector, b: Sequence[float] | Vector) -> float | None:
    """The rank correlation, tied values at their mean rank. None where either side is constant: it is undefined.

    Raises:
        PladError: the numbers differ or are 0, or some are NaN.
    """
    a_N, b_N = checked_pair(a, b)
    a_N, b_N = (_ranks(values_N) - (len(values_N) + 1) / 2 for values_N in (a_N, b_N))
    scale = np.sqrt((a_N @ a_N) * (b_N @ b_N))
    return float(a_N @ b_N / scale) if scale else None


def checked_pair(a: Sequence[float] | Vector, b: Sequence[float] | Vector) -> tuple[Vector, Vector]:
    """Both as arrays.

    Raises:
        PladError: the numbers differ or are 0, or some are NaN.
    """
    a_N, b_N = _checked(a, "values of a"), _checked(b, "values of b")
    _check_paired(a_N, b_N)
    return a_N, b_N


def _ranks(values_N: Vector) -> Vector:
    """Ranks from 1, tied values at the mean of theirs."""
    _, place_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place_N]


def _resampled_means(values_N: Vector, seed: int) -> Vector:
    return _means(values_N, np.random.default_rng(seed), RESAMPLES)


def _means(values_N: Vector, rng: np.random.Generator, resamples: int) -> Vector:
    """So many means of n draws with replacement, in blocks that bound the memory."""
    count = len(values_N)
    rows = max(1, BLOCK // count)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    drawn = [values_N[rng.integers(count, size=(size, count))].mean(axis=1) for size in sizes]
    return np.concatenate([np.empty(0), *drawn])


def _checked(values: ArrayLike, name: str) -> Vector:
    values_N = np.asarray(values, dtype=np.float64)
    if not values_N.size:
        raise PladError(f"an estimate needs one prompt or more, but there are 0 {name}. Evaluate some prompts first.")
    if nans := int(np.isnan(values_N).sum()):
        raise PladError(f"{name} must be numbers, but {nans} of {values_N.size} are NaN. Mend the scorer.")
    return values_N


def _check_paired(a_N: Vector, b_N: Vector) -> None:
    if len(a_N) != len(b_N):
        raise PladError(
            f"a comparison is paired by prompt, but there are {len(a_N)} and {len(b_N)} values. "
            "Evaluate both on the same prompts."
        )
