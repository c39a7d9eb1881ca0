"""Tokenised examples, and the order in which an epoch visits them."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from plad.errors import PladError
from plad.losses.sequence import Loss
from plad.models.prompts import AT_ONCE, Formatter
from plad.records import Lines, PreferencePair, Prompt, PromptText, together
from plad.training.layout import Example


class Examples(Dataset[Example]):
    """Examples as token ids, in memory or on disk.

    Args:
        tokens: of each example, where they are known.
    """

    def __init__(self, examples: Sequence[Example], tokens: Sequence[int] | None = None):
        self._examples, self._tokens = examples, tokens

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]

    def __iter__(self) -> Iterator[Example]:
        return iter(self._examples)

    @property
    def tokens(self) -> Sequence[int]:
        """Tokens of each example."""
        if self._tokens is None:
            self._tokens = [example.tokens for example in self._examples]
        return self._tokens

    def beside(self, examples: Sequence[Example]) -> Examples:
        """Other examples of the same text, in the same order."""
        return Examples(examples, self.tokens)


def kept(examples: Iterable[Example], file: Path | None) -> Examples:
    """The examples in a file, where they are read one by one; in memory where there is none.

    A line is an example with what it has before training: prompt, responses, scores, weights.
    """
    if file is None:
        return Examples(list(examples))
    tokens = array("q")
    file.parent.mkdir(parents=True, exist_ok=True)
    # Each of several processes writes the same.
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8") as lines:
        for example in examples:
            lines.write(json.dumps([example.prompt, example.responses, example.scores, example.weights]) + "\n")
            tokens.append(example.tokens)
    partial.replace(file)
    return Examples(Lines(file, _read), tokens)


def _read(line: str) -> Example:
    prompt, responses, scores, weights = json.loads(line)
    return Example(prompt, responses, scores=scores, weights=weights)


def from_references(prompts: Iterable[Prompt], formatter: Formatter, file: Path | None = None) -> Examples:
    """Prompt → human reference, one response each; kept in a file where one is named."""
    return from_answers(((p, [p.reference or ""]) for p in prompts), formatter, file)


def from_answers(
    answered: Iterable[tuple[Prompt, Sequence[str]]], formatter: Formatter, file: Path | None = None
) -> Examples:
    """Prompt → the answers given, in their order; none where the training samples them."""
    return kept(_tokenised((_Text(prompt.prompt, answers) for prompt, answers in answered), formatter), file)


def from_pairs(pairs: Iterable[PreferencePair], formatter: Formatter, loss: Loss, file: Path | None = None) -> Examples:
    """Prompt → chosen (and rejected, where the loss looks at two responses).

    Pairs that follow one another and have prompt and chosen response in common are one example. Scores are as the loss
    takes their gaps, which may depend on those of all pairs.

    Raises:
        PladError: the loss needs scores and a pair has none, or has one that is not finite.
    """
    found = kept(_tokenised((_from_pairs(some, loss) for some in alike(pairs)), formatter), file)
    return _rescaled(found, loss, file) if loss.needs_scores else found


def alike(pairs: Iterable[PreferencePair]) -> Iterator[list[PreferencePair]]:
    """Pairs that follow one another and have prompt and chosen response in common: they are one example."""
    return (list(some) for _, some in groupby(pairs, key=lambda pair: (pair.id, pair.prompt, pair.chosen)))


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
        order = torch.randperm(len(self.lengths), generator=generator).numpy()
        pool, lengths = self.batch_size * 32, np.asarray(self.lengths)
        for start in range(0, len(order), pool):
            some = order[start : start + pool]
            order[start : start + pool] = some[np.argsort(lengths[some], kind="stable")]
        # A short last batch stays last: in the middle it would shift every batch behind it.
        full = len(order) // self.batch_size
        for b in torch.randperm(full, generator=generator).numpy():
            yield from order[b * self.batch_size : (b + 1) * self.batch_size].tolist()
        yield from order[full * self.batch_size :].tolist()


class _Text(NamedTuple):
    """What an example is before it is tokenised."""

    prompt: PromptText
    responses: Sequence[str]
    scores: list[float] | None = None
    weights: list[float] | None = None


def _tokenised(texts: Iterable[_Text], formatter: Formatter) -> Iterator[Example]:
    """Some are tokenised together."""
    for some in together(texts, AT_ONCE):
        responses = iter(formatter.all_response_ids([response for text in some for response in text.responses]))
        prompts = formatter.all_prompt_ids(text.prompt for text in some)
        for text, ids in zip(some, prompts, strict=True):
            yield Example(ids, [next(responses) for _ in text.responses], scores=text.scores, weights=text.weights)


def _from_pairs(pairs: Sequence[PreferencePair], loss: Loss) -> _Text:
    """The text of pairs that share all but the rejected response."""
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
    return _Text(
        pair.prompt,
        responses,
        scores=scores if loss.needs_scores else None,  # type: ignore[arg-type]
        weights=_weights(pairs) if rejected else None,
    )


def _rescaled(examples: Examples, loss: Loss, file: Path | None) -> Examples:
    """With scores whose gaps are those that the loss takes in place of the scorer's."""
    scores = (example.scores or [] for example in examples)
    gaps = [some[0] - other for some in scores for other in some[1:]]
    lengths = [len(example.responses[0]) for example in examples for _ in example.responses[1:]]
    taken = loss.rescaled(gaps, lengths)
    if taken == gaps:
        return examples
    left = iter(taken)
    found = (replace(each, scores=[0.0, *(-next(left) for _ in each.responses[1:])]) for each in examples)
    return kept(found, file and file.with_suffix(".rescaled"))


def _weights(pairs: Sequence[PreferencePair]) -> list[float] | None:
    """What each pair counts for, behind the chosen response's place; None where none says."""
    if all(pair.weight is None for pair in pairs):
        return None
    return [1.0, *(1.0 if pair.weight is None else pair.weight for pair in pairs)]


def _text(response: Any) -> str:
    return response if isinstance(response, str) else str(response[-1]["content"])
