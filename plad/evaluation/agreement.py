"""How far two scorers agree on the same outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from plad.errors import PladError
from plad.evaluation.statistics import Vector, mean, ratio, spearman


def agreement(
    one: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]], seed: int = 0
) -> dict[str, Any]:
    """Agreement of two scorers on the answers of several models to the same N prompts.

    Args:
        one: each model's N scores by the one scorer, in the order of the prompts; `other`, by the other.

    Returns:
        `pairwise`: of all pairs of answers to one prompt of which both scorers call one better, the share in which
        they call the same one better; `spearman`: the rank correlation over the answers to a prompt, averaged over the
        prompts where it is defined. Each with a bootstrap interval over prompts, or None where nothing is defined.
        Some answers may be alike under a scorer on every prompt: `spearman` counts them as ties.

    Raises:
        PladError: the models differ.
    """
    if one.keys() != other.keys():
        raise PladError(f"agreement needs the same models, but got {', '.join(one)} and {', '.join(other)}.")
    one_MN, other_MN = (np.array([scores[name] for name in one], dtype=np.float64) for scores in (one, other))
    same_N, decided_N = _pairs(one_MN, other_MN)
    ranks = [spearman(a, b) for a, b in zip(one_MN.T, other_MN.T, strict=True)]
    defined = [rank for rank in ranks if rank is not None]
    return {
        "pairwise": ratio(same_N, decided_N, seed).to_json() if decided_N.any() else None,
        "spearman": mean(defined, seed).to_json() if defined else None,
    }


def _pairs(one_MN: Vector, other_MN: Vector) -> tuple[Vector, Vector]:
    """Per prompt, in how many pairs of answers both scorers agree, and in how many both decide."""
    same_N, decided_N = np.zeros(one_MN.shape[1]), np.zeros(one_MN.shape[1])
    for a, b in combinations(range(len(one_MN)), 2):
        product_N = np.sign(one_MN[a] - one_MN[b]) * np.sign(other_MN[a] - other_MN[b])
        same_N += product_N > 0
        decided_N += product_N != 0
    return same_N, decided_N
