"""How alike the two answers of a pair are: which pairs teach a difference, and which only where to stop or a word."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal

from plad.data.source import fold
from plad.records import PreferencePair

Likeness = Literal["informative", "prefix", "near_duplicate"]
"""`prefix`: one answer is the beginning of the other, so that they differ in where they end alone."""

NEAR = 0.8
"""Share of the words of both that stand in the same order in both, from which a pair is a near duplicate."""


def likeness(pair: PreferencePair) -> Likeness:
    """Which of the three a pair is, by words in lower case; a prefix is no near duplicate."""
    one, other = (fold(text).lower().split() for text in (pair.chosen, pair.rejected))
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:
        return "prefix"
    return "near_duplicate" if _common(one, other) >= NEAR else "informative"


def _common(one: Sequence[str], other: Sequence[str]) -> float:
    """Twice the words that match, over those of both (Ratcliff and Obershelp 1988)."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    # The bound is cheap, and nearly every pair is below it.
    return matcher.ratio() if matcher.quick_ratio() >= NEAR else 0.0
