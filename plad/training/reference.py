"""The log-likelihoods under the initial student that DPO and its like compare with: computed once, before training.

Stored with the examples, so that no second model stays in memory while the first is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

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
    found: list[Example] = list(examples)
    # Like lengths together, the longest first: a lack of memory shows at once.
    order = sorted(range(len(found)), key=lambda k: (-found[k].tokens, k))
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        with torch.no_grad():
            logps_BR: Tensor = score([found[k] for k in places]).logps("sum")
        for k, logps in zip(places, logps_BR.tolist(), strict=True):
            found[k] = replace(found[k], reference_logps=logps[: len(found[k].responses)])
    return Examples(found)
