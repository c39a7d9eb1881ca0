"""What is wrong with outputs that no win rate tells: loops, one answer to every prompt, nothing, and odd lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from plad.evaluation.statistics import mean
from plad.scoring.length import word_count

GRAM = 3
"""Words of the runs that are counted: a pair of words comes twice in much good text."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def diagnostics(texts: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Of texts, one a prompt: `repetition`, `shared` and `empty` as estimates, and `word_quantiles`.

    `repetition` is the mean of the function of that name; `shared` the share of texts that are not empty and that
    another prompt got too, whatever the case and the white space; `empty` the share without a word; `word_quantiles`
    the words at QUANTILES.

    Raises:
        PladError: there are no texts.
    """
    same = [" ".join(text.lower().split()) for text in texts]
    counts = Counter(same)
    return {
        "repetition": mean([repetition(text) for text in texts], seed).to_json(),
        "shared": mean([float(bool(text) and counts[text] > 1) for text in same], seed).to_json(),
        "empty": mean([float(not text) for text in same], seed).to_json(),
        "word_quantiles": [float(words) for words in np.quantile([word_count(text) for text in texts], QUANTILES)],
    }


def repetition(text: str) -> float:
    """The share of a text's runs of GRAM words that it has had before: seq-rep-n of Welleck et al. (arXiv 1908.04319).

    Whatever the case; 0 of a text that is shorter than one run.
    """
    words = text.lower().split()
    runs = [tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
