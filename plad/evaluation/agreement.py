"""How far two scorers agree on the same outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from plad.errors import PladError
from plad.evaluation.statistics import Vector, mean, ratio, spearman, win_rate
from plad.records import EvalRow, Score


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


def side_by_side(
    rows: Mapping[str, Sequence[EvalRow]],
    others: Mapping[str, Mapping[str, Sequence[Score]]],
    initial: str,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """What other scorers make of outputs that were judged, and how far they agree with the judge.

    Args:
        rows: each model's judged outputs; `others`, by scorer, its scores of the same outputs in the same order.

    Returns:
        A scorer each: `name`, `rows` of `name`, `win_rate` and `against_initial`, and its `agreement` with the judge
        over the models' answers and the references.
    """
    judged = _with_reference(rows)
    return [
        {
            "name": scorer,
            "rows": [
                {
                    "name": name,
                    "win_rate": _rate([s.score for s in scores], [s.reference_score for s in scores], seed),
                    "against_initial": None if name == initial else _against(scores, by_model[initial], seed),
                }
                for name, scores in by_model.items()
            ],
            "agreement": agreement(judged, _with_reference(by_model), seed),
        }
        for scorer, by_model in others.items()
    ]


def _with_reference(by_model: Mapping[str, Sequence[EvalRow | Score]]) -> dict[str, list[float]]:
    """Each model's scores, and those of the references: they are answers to the same prompts."""
    first = next(iter(by_model.values()))
    scores = {name: [row.score for row in rows] for name, rows in by_model.items()}
    return scores | {"(reference)": [row.reference_score for row in first]}


def _against(scores: Sequence[Score], before: Sequence[Score], seed: int) -> dict[str, Any]:
    direct = [score.against_initial for score in scores if score.against_initial is not None]
    if len(direct) == len(scores):
        return _rate(direct, [0.5] * len(direct), seed)
    return _rate([score.score for score in scores], [score.score for score in before], seed)


def _rate(a: Sequence[float], b: Sequence[float], seed: int) -> dict[str, Any]:
    return win_rate(a, b, seed).to_json()


def _pairs(one_MN: Vector, other_MN: Vector) -> tuple[Vector, Vector]:
    """Per prompt, in how many pairs of answers both scorers agree, and in how many both decide."""
    same_N, decided_N = np.zeros(one_MN.shape[1]), np.zeros(one_MN.shape[1])
    for a, b in combinations(range(len(one_MN)), 2):
        product_N = np.sign(one_MN[a] - one_MN[b]) * np.sign(other_MN[a] - other_MN[b])
        same_N += product_N > 0
        decided_N += product_N != 0
    return same_N, decided_N
