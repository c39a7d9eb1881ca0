"""What several models' rows say of each other: paired tests between methods, and gains that go with length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.evaluation.length import by_length, length_controlled
from plad.evaluation.paired import permutation_test, versus
from plad.evaluation.statistics import Vector, paired_difference, wins
from plad.records import EvalRow, Prompt, Score
from plad.scoring.length import word_count

Rows = Sequence[EvalRow]
NOTABLE = 0.05
"""A change in words that is worth a warning, as a share of what it was."""


def outcomes_against(rows: Rows | Sequence[Score], before: Rows | Sequence[Score]) -> Vector:
    """1, ½ or 0 a prompt against the initial student: a pairwise judge's own verdict, or which score is higher."""
    direct = [row.against_initial for row in rows]
    if None not in direct:
        return wins([float(verdict or 0) for verdict in direct], [0.5] * len(direct))
    return wins([row.score for row in rows], [row.score for row in before])


def lengths(rows: Rows, before: Rows | None, prompts: Sequence[Prompt], seed: int) -> dict[str, Any]:
    """One model's win rates with length held equal, its change in words, and its win rate by length of output."""
    words = [float(row.words) for row in rows]
    against_reference = wins([row.score for row in rows], [row.reference_score for row in rows])
    reference_words = [float(word_count(prompt.reference or "")) for prompt in prompts]
    found: dict[str, Any] = {
        "win_rate_at_equal_length": length_controlled(against_reference, words, reference_words, seed).to_json(),
        "against_initial_at_equal_length": None,
        "words_change": None,
        "by_length": None,
    }
    if before is None:
        return found
    outcomes, old_words = outcomes_against(rows, before), [float(row.words) for row in before]
    return found | {
        "against_initial_at_equal_length": length_controlled(outcomes, words, old_words, seed).to_json(),
        "words_change": paired_difference(words, old_words, seed).to_json(),
        "by_length": by_length(outcomes, words, seed),
    }


def comparisons(
    rows_by_model: Mapping[str, Rows], subject: str, others: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """The subject against each of the others on the same prompts.

    Returns:
        For each: `name`, `other`, what `versus` says of its answers against the other's, and `difference`, of their
        win rates against the reference, with `difference_p` by permutation.
    """
    ours = rows_by_model[subject]
    found = []
    for other in others:
        theirs = rows_by_model[other]
        a, b = (wins([row.score for row in rows], [row.reference_score for row in rows]) for rows in (ours, theirs))
        found.append(
            {
                "name": subject,
                "other": other,
                **versus(wins([row.score for row in ours], [row.score for row in theirs]), seed),
                "difference": paired_difference(a, b, seed).to_json(),
                "difference_p": permutation_test(a, b, seed),
            }
        )
    return found


def length_warning(row: Mapping[str, Any], before: Mapping[str, Any]) -> str | None:
    """A sentence where a gain over the initial student goes with a change in length; both are rows of the results."""
    gain, change, old = row.get("against_initial"), row.get("words_change"), before["words"]["value"]
    if not gain or not change or gain["low"] <= 0.5 or not old:
        return None
    if change["low"] <= 0 <= change["high"] or abs(change["value"]) < NOTABLE * old:
        return None
    share, how = abs(change["value"]) / old, "longer" if change["value"] > 0 else "shorter"
    held = row["against_initial_at_equal_length"]
    left = f"{100 * held['value']:.1f} % (95 % interval {100 * held['low']:.1f} to {100 * held['high']:.1f} %)"
    alone = (
        " Nothing of the gain is sure to be left, so that it may be one of length alone: compare with another judge, "
        "and try a loss with `normalise: mean`, a lower learning_rate or fewer epochs."
    )
    return (
        f"{row['label']} wins against the initial student on {100 * gain['value']:.1f} % of the prompts with outputs "
        f"{100 * share:.0f} % {how} ({old:.1f} to {old + change['value']:.1f} words). "
        f"At equal length it would be {left}.{alone if held['low'] <= 0.5 else ''}"
    )
