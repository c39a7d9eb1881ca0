"""The log-likelihoods that a trained model gives responses, by the same engine that trains it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from plad.losses.sequence import Normalisation
from plad.training.layout import Example
from plad.training.likelihood import choose_layout, sequences


@torch.no_grad()
def response_logps(
    model: Any,
    pad_id: int,
    examples: Sequence[Example],
    normalise: Normalisation = "mean",
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
) -> list[list[float]]:
    """log q(y | x) of every response, per token where `normalise` is `mean`; a row an example, in their order.

    Args:
        batch_size: examples at a time.
        progress: told how many examples were newly done.
    """
    layout, device = choose_layout(model.eval(), pad_id), next(model.parameters()).device
    order = sorted(range(len(examples)), key=lambda index: -examples[index].tokens)
    found: list[list[float]] = [[] for _ in examples]
    for start in range(0, len(order), batch_size):
        some = order[start : start + batch_size]
        batch = layout([examples[index] for index in some])
        logps_BR = sequences(model, {name: value.to(device) for name, value in batch.items()}).logps(normalise)
        for index, row in zip(some, logps_BR.tolist(), strict=True):
            found[index] = row[: len(examples[index].responses)]
        if progress:
            progress(len(some))
    return found
