"""When another round is no longer worth it."""

from __future__ import annotations

from plad.evaluation.statistics import Estimate


def reason_to_stop(teacher: Estimate, now: Estimate, before: Estimate | None) -> str | None:
    """Why no round should follow, in words; None while one should.

    Args:
        teacher: the teacher's win rate over the current student, on held-out prompts.
        now, before: the win rate of the current student over the references, and that of the round before.
    """
    if before is not None and now.value < before.value:
        return f"the validation win rate fell from {100 * before.value:.1f} to {100 * now.value:.1f} %"
    if teacher.low <= 0.5:
        told = f"{100 * teacher.value:.1f} % ({100 * teacher.low:.1f} to {100 * teacher.high:.1f})"
        return f"the teacher's win rate over the student, {told}, does not exclude that they are equal"
    return None
