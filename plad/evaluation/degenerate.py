"""Outputs that went wrong in ways that a score may not see: repetition, collapse, endless or empty answers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from plad.evaluation.methods import Rows
from plad.records import EvalRow, Prompt
from plad.repetition import repeated_runs
from plad.scoring.length import word_count

PHRASE = 4
"""Words of a phrase; one that comes again is a repetition (Holtzman et al. 2020, arXiv 1904.09751, section 5)."""
MUCH = 0.2
"""A share that is worth a sentence, where it is also this much, or half of it, more than the initial student's."""


def degeneration(label: str, rows: Rows, before: Rows, prompts: Sequence[Prompt]) -> list[str]:
    """Sentences on a model's outputs beside the initial student's and the references, each with what to try."""
    told = (_repetition(label, rows, before), _collapse(label, rows, before, prompts), _endless(label, rows, before))
    return [sentence for sentence in told if sentence]


def repeated(text: str) -> float:
    """The share of a text's phrases of four words that stood in it before; 0 where there are none."""
    return repeated_runs(text.split(), PHRASE)


def _repetition(label: str, rows: Rows, before: Rows) -> str | None:
    now, then = (fmean(repeated(row.response) for row in some) for some in (rows, before))
    if now <= max(MUCH, then + MUCH / 2):
        return None
    return (
        f"{label} repeats itself: {100 * now:.0f} % of its phrases of {PHRASE} words stood in the answer before "
        f"({100 * then:.0f} % with the initial student). Try a lower learning_rate, fewer epochs, or an anchor."
    )


def _collapse(label: str, rows: Rows, before: Rows, prompts: Sequence[Prompt]) -> str | None:
    """Less than half as long as the initial student's answers and as the references."""
    now, then = _words(rows), _words(before)
    human = fmean(word_count(prompt.reference or "") for prompt in prompts)
    empty = fmean(not row.response.strip() for row in rows)
    if empty <= MUCH / 2 and now >= min(then, human) / 2:
        return None
    return (
        f"{label} hardly answers any more: {now:.1f} words on average and {100 * empty:.0f} % empty answers, against "
        f"{then:.1f} words of the initial student and {human:.1f} of the references. Try distill.loss.anchor (3 "
        "is recommended), a lower learning_rate, fewer epochs, or `normalise: mean` where the loss sums over tokens."
    )


def _endless(label: str, rows: Rows, before: Rows) -> str | None:
    now, then = (fmean(not row.finished for row in some) for some in (rows, before))
    if now <= max(MUCH, then + MUCH / 2):
        return None
    return (
        f"{label} no longer ends its answers: {100 * now:.0f} % were cut off at the limit ({100 * then:.0f} % with the "
        "initial student). Raise max_new_tokens if answers are meant to be so long; else try a lower learning_rate."
    )


def _words(rows: Sequence[EvalRow]) -> float:
    return fmean(row.words for row in rows)
