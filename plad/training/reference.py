"""The log-likelihoods under the initial student that DPO and its like compare with: computed once, before training.

Stored with the examples, so that no second model stays in memory while the first is trained.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plad.losses.sequence import Sequences
from plad.training.examples import Examples
from plad.training.layout import Example


def with_reference(examples: Examples, score: Callable[[list[Example]], Sequences], batch_size: int) -> Examples:
    """The same examples, each response with its log-likelihood, summed over its tokens.

    Args:
        score: the model as it is now, without dropout, on a batch.
    """
    lengths = np.asarray(examples.tokens)
    # Like lengths together, the longest first: a lack of memory shows at once.
    order = np.argsort(-lengths, kind="stable")
    found: list[array[float]] = [array("d")] * len(order)
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size].tolist()
        some = [examples[k] for k in places]
        with torch.no_grad():
            logps_BR: Tensor = score(some).logps("sum")
        for k, example, logps in zip(places, some, logps_BR.tolist(), strict=True):
            found[k] = array("d", logps[: len(example.responses)])
    return examples.beside(_Referenced(examples, found))


class _Referenced(Sequence[Example]):
    """Examples with the log-likelihoods of their responses, which alone are in memory."""

    def __init__(self, examples: Examples, logps: Sequence[Sequence[float]]):
        self.examples, self.logps = examples, logps

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: Any) -> Any:
        return replace(self.examples[index], reference_logps=list(self.logps[index]))
