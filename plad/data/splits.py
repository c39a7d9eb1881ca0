"""Four splits that share no text: to fine-tune on, to distil on, to choose by, and to report on.

Which split a prompt is in depends on its own text and the seed, so new data never moves an old prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from plad.data.duplicates import groups
from plad.data.shelf import Shelf, shelf
from plad.data.source import fold
from plad.errors import PladError
from plad.records import Prompt
from plad.spec import Spec

NAMES = ("train", "distill", "validation", "test")
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Splits(Spec):
    """The expected share of each split, and at most how many prompts it keeps (those of the lowest hash).

    `near_duplicates` is the Jaccard similarity of word shingles from which on two prompts count as one; None keeps
    all but exact duplicates. Numbers count as equal: set None for tasks whose prompts differ in numbers alone.
    """

    train: Fraction = 0.45
    distill: Fraction = 0.45
    validation: Fraction = 0.03
    test: Fraction = 0.07
    max_train: PositiveInt | None = None
    max_distill: PositiveInt | None = None
    max_validation: PositiveInt | None = None
    max_test: PositiveInt | None = None
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = 0.7

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum(self.fractions())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the fractions {', '.join(NAMES)} must sum to 1, but sum to {total:g}")
        return self

    def fractions(self) -> tuple[float, ...]:
        """The four shares, in the order of `NAMES`."""
        return self.train, self.distill, self.validation, self.test

    def caps(self) -> tuple[int | None, ...]:
        """The four caps, in the order of `NAMES`."""
        return self.max_train, self.max_distill, self.max_validation, self.max_test


@dataclass(frozen=True)
class SplitData:
    """The splits, each in the order of its hashes, and the counts of what was read, dropped and kept.

    `counts` has the keys read, exact_duplicates, near_duplicates, over_cap, train, distill, validation, test.
    """

    train: tuple[Prompt, ...]
    distill: tuple[Prompt, ...]
    validation: tuple[Prompt, ...]
    test: tuple[Prompt, ...]
    counts: dict[str, int]


@dataclass(frozen=True)
class Division:
    """The splits while they are on disk. `counts` as those of `SplitData`."""

    counts: dict[str, int]
    _shelf: Shelf
    _splits: Splits

    def of(self, name: str) -> Iterator[Prompt]:
        """The prompts of a split, in the order of their hashes.

        The references of `distill` are removed: nothing downstream may learn from them.
        """
        number = NAMES.index(name)
        found = self._shelf.of(number, self._splits.caps()[number])
        return (replace(prompt, reference=None) for prompt in found) if name == "distill" else found


def split(prompts: Iterable[Prompt], splits: Splits, seed: int) -> SplitData:
    """As `divided`, with all splits in memory."""
    with divided(prompts, splits, seed) as division:
        train, distill, validation, test = (tuple(division.of(name)) for name in NAMES)
        return SplitData(train, distill, validation, test, division.counts)


@contextmanager
def divided(prompts: Iterable[Prompt], splits: Splits, seed: int, folder: Path | None = None) -> Iterator[Division]:
    """Remove duplicates and assign each remaining prompt by the salted SHA-256 of its text.

    Neither the prompts nor an order of them are held in memory: they are on disk, inside `folder`, within the `with`
    block. Where near-duplicates are looked for, some 100 bytes of each are.

    Raises:
        PladError: there is no prompt, two prompts share an id, or a split is empty.
    """
    *bounds, _ = accumulate(splits.fractions())
    with shelf(folder) as kept:
        for prompt in prompts:
            place = _hash(prompt, f"split {seed}")
            kept.add(prompt, sum(place >= bound for bound in bounds), place, _hash(prompt, "near duplicates"))
        if not kept.put:
            raise PladError("splitting needs examples, but the source gave none. Check its path, filters and columns.")
        exact = len(kept)
        if splits.near_duplicates is not None:
            kept.remove(_all_but_one(kept, splits.near_duplicates, folder))
        _check_ids(kept)
        yield Division(_counted(kept, splits, exact), kept, splits)


def _all_but_one(kept: Shelf, threshold: float, folder: Path | None) -> Iterator[int]:
    """Of each group of near-duplicates all but the prompt of the lowest hash; its salt is independent of the seed's."""
    found = groups(kept.texts(), threshold, folder)
    rows = np.fromiter(kept.chances(), [("number", np.int64), ("chance", np.float64)], len(found))
    order = np.lexsort((rows["chance"], found))
    same = np.flatnonzero(np.diff(found[order]) == 0) + 1
    return iter(rows["number"][order[same]].tolist())


def _counted(kept: Shelf, splits: Splits, exact: int) -> dict[str, int]:
    """What was read, dropped and kept.

    Raises:
        PladError: a split is empty.
    """
    whole = [kept.count(number) for number in range(len(NAMES))]
    capped = [count if cap is None else min(count, cap) for count, cap in zip(whole, splits.caps(), strict=True)]
    counts = {
        "read": kept.put,
        "exact_duplicates": kept.put - exact,
        "near_duplicates": exact - sum(whole),
        "over_cap": sum(whole) - sum(capped),
        **dict(zip(NAMES, capped, strict=True)),
    }
    _check_filled(counts, sum(whole))
    return counts


def _hash(prompt: Prompt, salt: str) -> float:
    """A number in [0, 1) that depends on the salt and the text (white space folded)."""
    digest = hashlib.sha256(f"{salt}\n{fold(prompt.text)}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _check_ids(kept: Shelf) -> None:
    if (name := kept.repeated_id()) is not None:
        raise PladError(
            f"ids must be unique, but {name!r} names two different prompts. "
            "Mend the id column, or leave it unset: ids are then derived from the text."
        )


def _check_filled(counts: dict[str, int], kept: int) -> None:
    empty = [name for name in NAMES if not counts[name]]
    if empty:
        raise PladError(
            f"each split needs an example, but {', '.join(empty)} {'has' if len(empty) == 1 else 'have'} none: "
            f"{kept} of {counts['read']} examples are left without duplicates. "
            f"Give more data, a larger fraction, or a higher `near_duplicates` threshold."
        )
