"""What is wrong with outputs that no win rate tells: loops, one answer to every prompt, nothing, and odd lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from plad.evaluation.statistics import mean
from plad.repetition import repetition
from plad.scoring.length import word_count

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def diagnostics(texts: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Of texts, one a prompt: `repetition`, `shared` and `empty` as estimates, and `word_quantiles`.

    `repetition` is the mean of `plad.repetition`; `shared` the share of texts that are not empty and that
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
