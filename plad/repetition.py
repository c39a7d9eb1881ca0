"""How much a text repeats itself: one formula for the guard of training and for the measures of outputs."""

from __future__ import annotations

GRAM = 3
"""Words of the runs that are counted: a pair of words comes twice in much good text."""


def repetition(text: str) -> float:
    """The share of a text's runs of GRAM words that it has had before: seq-rep-n of Welleck et al. (arXiv 1908.04319).

    Whatever the case; 0 of a text that is shorter than one run.
    """
    words = text.lower().split()
    runs = [tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
