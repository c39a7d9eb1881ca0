"""PLaD's premise: that the teacher's answer is better than the student's. Whether it holds, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plad.evaluation.length import by_length
from plad.evaluation.statistics import Estimate, mean


def premise(outcomes: Sequence[float], words: Sequence[int], kinds: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """How often the teacher's answer is the better one: overall, by its length, and by kind of pair.

    Args:
        outcomes: 1 where the teacher's is better, ½ for a tie, else 0; of a pair a prompt.
        words: of the teacher's answers.
        kinds: what each pair is, such as `informative`.

    Returns:
        `teacher_better`, an estimate; `by_length`, as `length.by_length`; `by_kind`, an estimate each; `warning`, a
        sentence or None.

    Raises:
        PladError: there are no pairs.
    """
    overall = mean(outcomes, seed)
    return {
        "teacher_better": overall.to_json(),
        "by_length": by_length(outcomes, words, seed),
        "by_kind": {kind: found.to_json() for kind, found in _by_kind(outcomes, kinds, seed).items()},
        "warning": warning(overall),
    }


def warning(teacher: Estimate) -> str | None:
    """What is to be said where the premise is not shown to hold; None where it is."""
    share = f"{100 * teacher.value:.1f} % of {teacher.n} pairs (95 % interval {100 * teacher.low:.1f} to "
    share += f"{100 * teacher.high:.1f})"
    if teacher.high < 0.5:
        return (
            f"PLaD's premise does not hold for this teacher and student: the teacher's answer is better on only "
            f"{share}, so that training would prefer the worse. Use another teacher, or pairs.audit.action: flip."
        )
    if teacher.low <= 0.5:
        return (
            f"PLaD's premise is not shown for this teacher and student: the teacher's answer is better on "
            f"{share}. A stronger teacher, or pairs.audit.action: drop, gives pairs that teach more."
        )
    return None


def _by_kind(outcomes: Sequence[float], kinds: Sequence[str], seed: int) -> Mapping[str, Estimate]:
    of = {kind: [won for won, other in zip(outcomes, kinds, strict=True) if other == kind] for kind in sorted({*kinds})}
    return {kind: mean(some, seed) for kind, some in of.items()}
