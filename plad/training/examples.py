"""Tokenised examples, and the order in which an epoch visits them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from plad.errors import PladError
from plad.losses.sequence import Loss
from plad.models.prompts import Formatter
from plad.records import PreferencePair, Prompt
from plad.training.layout import Example


class Examples(Dataset[Example]):
    """Examples in memory, as token ids."""

    def __init__(self, examples: Sequence[Example]):
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]

    def __iter__(self) -> Iterator[Example]:
        return iter(self._examples)

    @property
    def tokens(self) -> list[int]:
        """Tokens of each example."""
        return [example.tokens for example in self._examples]


def from_references(prompts: Iterable[Prompt], formatter: Formatter) -> Examples:
    """Prompt → human reference, one response each."""
    return from_answers(((p, [p.reference or ""]) for p in prompts), formatter)


def from_answers(answered: Iterable[tuple[Prompt, Sequence[str]]], formatter: Formatter) -> Examples:
    """Prompt → the answers given, in their order; none where the training samples them."""
    return Examples(
        [
            Example(formatter.prompt_ids(prompt.prompt), [formatter.response_ids(answer) for answer in answers])
            for prompt, answers in answered
        ]
    )


def from_pairs(pairs: Iterable[PreferencePair], formatter: Formatter, loss: Loss) -> Examples:
    """Prompt → chosen (and rejected, where the loss looks at two responses).

    Pairs that follow one another and have prompt and chosen response in common are one example. Scores are as the loss
    takes their gaps, which may depend on those of all pairs.

    Raises:
        PladError: the loss needs scores and a pair has none, or has one that is not finite.
    """
    together = groupby(pairs, key=lambda pair: (pair.id, pair.prompt, pair.chosen))
    found = [_from_pairs(list(some), formatter, loss) for _, some in together]
    return Examples(_rescaled(found, loss) if loss.needs_scores else found)


def from_rows(rows: Iterable[Mapping[str, Any]], formatter: Formatter, loss: Loss) -> Examples:
    """The rows of a `datasets.Dataset` with the columns prompt, chosen, rejected[, chosen_score, rejected_score].

    `prompt` is text or a list of messages. A response may be a list of messages too: its last one counts.

    Raises:
        PladError: a column is missing, or there are no rows.
    """
    needed = {"prompt", *(() if loss.rollout() else ("chosen", "rejected")[: loss.responses])}
    pairs = []
    for index, row in enumerate(rows):
        if missing := sorted(name for name in needed if row.get(name) is None):
            raise PladError(f"the data set needs the columns {sorted(needed)}, but row {index} has no {missing[0]!r}.")
        prompt = row["prompt"] if isinstance(row["prompt"], str) else tuple(row["prompt"])
        pairs.append(
            PreferencePair(
                id=str(index),
                prompt=prompt,
                chosen=_text(row["chosen"]) if "chosen" in needed else "",
                rejected=_text(row["rejected"]) if "rejected" in needed else "",
                chosen_score=row.get("chosen_score"),
                rejected_score=row.get("rejected_score"),
            )
        )
    if not pairs:
        raise PladError("training needs at least one pair, but the data set has 0 rows.")
    return from_pairs(pairs, formatter, loss)


class LengthGrouped(Sampler[int]):
    """Every example once an epoch, in batches of like length, in an order that the seed and the epoch determine.

    Examples are shuffled, cut into pools of 32 batches, sorted by length within a pool, and the batches shuffled.
    A batch is what an optimiser step sees: how much of it a device holds at once changes no step.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate's data loader at the start of each epoch."""
        self.epoch = epoch

    @property
    def batches(self) -> int:
        """Optimiser steps an epoch."""
        return -(-len(self.lengths) // self.batch_size)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        pool = self.batch_size * 32
        pools = [sorted(order[i : i + pool], key=lambda k: self.lengths[k]) for i in range(0, len(order), pool)]
        flat = [k for some in pools for k in some]
        batches = [flat[i : i + self.batch_size] for i in range(0, len(flat), self.batch_size)]
        # A short last batch stays last: in the middle it would shift every batch behind it.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for b in torch.randperm(len(full), generator=generator).tolist():
            yield from full[b]
        for batch in batches[len(full) :]:
            yield from batch


def _from_pairs(pairs: Sequence[PreferencePair], formatter: Formatter, loss: Loss) -> Example:
    """One example of pairs that share all but the rejected response."""
    pair = pairs[0]
    rejected = [pair.rejected for pair in pairs] if loss.responses > 1 else []
    responses = [] if loss.rollout() else [pair.chosen, *rejected]
    scores = [pair.chosen_score, *(pair.rejected_score for pair in pairs)]
    if loss.needs_scores and not all(isinstance(s, int | float) and abs(s) < float("inf") for s in scores):
        raise PladError(
            f"this loss needs a finite score of both responses, but pair {pair.id} has "
            f"{' and '.join(map(str, scores))}. "
            "Score the pairs, or use `type: ranking`."
        )
    return Example(
        prompt=formatter.prompt_ids(pair.prompt),
        responses=[formatter.response_ids(text) for text in responses],
        scores=scores if loss.needs_scores else None,  # type: ignore[arg-type]
        weights=_weights(pairs) if rejected else None,
    )


def _rescaled(examples: Sequence[Example], loss: Loss) -> list[Example]:
    """With scores whose gaps are those that the loss takes in place of the scorer's."""
    lists = [example.scores or [] for example in examples]
    gaps = [scores[0] - other for scores in lists for other in scores[1:]]
    lengths = [len(example.responses[0]) for example in examples for _ in example.responses[1:]]
    taken = loss.rescaled(gaps, lengths)
    if taken == gaps:
        return list(examples)
    left = iter(taken)
    return [replace(example, scores=[0.0, *(-next(left) for _ in example.responses[1:])]) for example in examples]


def _weights(pairs: Sequence[PreferencePair]) -> list[float] | None:
    """What each pair counts for, behind the chosen response's place; None where none says."""
    if all(pair.weight is None for pair in pairs):
        return None
    return [1.0, *(1.0 if pair.weight is None else pair.weight for pair in pairs)]


def _text(response: Any) -> str:
    return response if isinstance(response, str) else str(response[-1]["content"])
