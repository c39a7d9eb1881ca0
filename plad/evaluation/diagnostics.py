"""What is wrong with outputs that no win rate tells: loops, one answer to every prompt, nothing, and odd lengths."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np

from plad.evaluation.statistics import mean
from plad.repetition import repetition
from plad.scoring.length import word_count

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def diagnostics(texts: Iterable[str], seed: int = 0) -> dict[str, Any]:
    """Of texts, one a prompt: `repetition`, `shared` and `empty` as estimates, and `word_quantiles`.

    `repetition` is the mean of `plad.repetition`; `shared` the share of texts that are not empty and that
    another prompt got too, whatever the case and the white space; `empty` the share without a word; `word_quantiles`
    the words at QUANTILES.

    Raises:
        PladError: there are no texts.
    """
    repeated, words, digests = array("d"), array("q"), array("Q")  # numbers alone, however many texts there are
    for text in texts:
        repeated.append(repetition(text))
        words.append(word_count(text))
        same = " ".join(text.lower().split()).encode("utf-8", "surrogatepass")
        digests.append(int.from_bytes(hashlib.blake2b(same, digest_size=8).digest()))
    _, kind_N, counts = np.unique(np.asarray(digests), return_inverse=True, return_counts=True)
    words_N = np.asarray(words)
    return {
        "repetition": mean(repeated, seed).to_json(),
        "shared": mean(((counts[kind_N] > 1) & (words_N > 0)).astype(np.float64), seed).to_json(),
        "empty": mean((words_N == 0).astype(np.float64), seed).to_json(),
        "word_quantiles": [float(quantile) for quantile in np.quantile(words_N, QUANTILES)],
    }
