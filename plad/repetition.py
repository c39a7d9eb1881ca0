"""How much a text repeats itself: one formula for the guard, the measures of outputs, and the warnings."""

from __future__ import annotations

from collections.abc import Sequence

GRAM = 3
"""Words of the runs that are counted: a pair of words comes twice in much good text."""


def repetition(text: str) -> float:
    """The share of a text's runs of GRAM words that it has had before: seq-rep-n of Welleck et al. (arXiv 1908.04319).

    Whatever the case; 0 of a text that is shorter than one run.
    """
    return repeated_runs(text.lower().split(), GRAM)


def repeated_runs(words: Sequence[str], length: int) -> float:
    """The share of runs of `length` words that stood in `words` before; 0 where there are none."""
    runs = [tuple(words[start : start + length]) for start in range(len(words) - length + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
